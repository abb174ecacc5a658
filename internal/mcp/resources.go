package mcp

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// scheme begins the URI of a document, as in tenet://rule/SEC-001.
const scheme = "tenet://"

const markdown = "text/markdown"

// addResources registers the URI templates of documents. Only packs are listed: of the others there may be thousands.
func (d *Door) addResources() {
	for _, kind := range kindsShown() {
		about := knowledge.Describe(kind).About
		d.server.AddResourceTemplate(&mcp.ResourceTemplate{
			Name: string(kind), Title: about, Description: about + ", each by its id.", MIMEType: markdown,
			URITemplate: scheme + string(kind) + "/{id}",
		}, d.read)
	}
}

// packPage is how many packs a page of the list of resources holds.
const packPage = 100

// listResources returns a page of the active packs.
func (d catalogue) listResources(ctx context.Context, p *mcp.ListResourcesParams) (mcp.Result, error) {
	q := knowledge.Query{Kind: knowledge.KindPack, Order: knowledge.OrderID, Limit: packPage}
	if p != nil {
		q.Cursor = p.Cursor
	}
	page, err := d.page(ctx, q)
	if err != nil {
		return nil, err
	}
	r := &mcp.ListResourcesResult{Meta: d.meta(ctx), Resources: []*mcp.Resource{}, NextCursor: page.Next}
	r.CacheScope = "private"
	for _, rec := range page.Records {
		doc, err := rec.Document()
		if err != nil {
			return nil, d.explain(ctx, err)
		}
		if pack, ok := doc.(*knowledge.Pack); ok {
			r.Resources = append(r.Resources, &mcp.Resource{
				URI: scheme + rec.Key.String(), Name: pack.PackID, Title: pack.Name, Description: pack.Description,
				MIMEType: "application/json",
			})
		}
	}
	return r, nil
}

// keyOf returns the document of a URI.
func keyOf(uri string) (knowledge.Key, bool) {
	rest, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return knowledge.Key{}, false
	}
	key, err := knowledge.ParseKey(rest)
	return key, err == nil
}

// kindOf returns the kind in a document's URI, or in a URI template.
func kindOf(uri string) (knowledge.Kind, bool) {
	name, _, ok := strings.Cut(strings.TrimPrefix(uri, scheme), "/")
	kind, err := knowledge.ParseKind(name)
	return kind, ok && err == nil && strings.HasPrefix(uri, scheme)
}

func (d *Door) read(ctx context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	uri := req.Params.URI
	key, ok := keyOf(uri)
	if !ok {
		return nil, mcp.ResourceNotFoundError(uri)
	}
	rec, err := d.o.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, mcp.ResourceNotFoundError(uri)
	}
	if err != nil {
		return nil, refuse("%s", d.explain(ctx, err))
	}
	doc, err := rec.Document()
	if err != nil {
		return nil, d.explain(ctx, err)
	}
	c := &mcp.ResourceContents{
		URI: uri, MIMEType: markdown, Text: guidance.Text(doc),
		Meta: mcp.Meta{"tenet/version": rec.Version},
	}
	if kindHasNoText(key.Kind) {
		c.MIMEType, c.Text = "application/json", string(rec.JSON)
	}
	return &mcp.ReadResourceResult{Meta: d.meta(ctx), Contents: []*mcp.ResourceContents{c}}, nil
}

// kindHasNoText reports whether documents of a kind consist of fields rather than text.
func kindHasNoText(kind knowledge.Kind) bool {
	return !slices.Contains(guidance.Kinds(), kind)
}

// Bounds of the addresses that assistants follow.
const (
	wantedAll  = 50_000
	wantedEach = 5_000 // of one principal
)

// wanted are the addresses that sessions follow.
type wanted struct {
	mu     sync.Mutex // guards the fields below
	of     map[*mcp.ServerSession]*wishes
	counts map[string]int // sessions that follow an address
	all    int            // addresses of all sessions together
}

// wishes are the addresses that one session follows.
type wishes struct {
	by   string // its principal
	uris map[string]bool
}

// add adds an address to a session of a principal. It returns why there is no room for it, "" if there is. Open are the
// sessions that there are: those that have ended are forgotten when room is needed.
func (w *wanted) add(s *mcp.ServerSession, by, uri string, open func() iter.Seq[*mcp.ServerSession]) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if own := w.of[s]; own != nil && own.uris[uri] {
		return ""
	}
	why := w.full(by)
	if why != "" {
		ended := maps.Clone(w.of)
		for one := range open() {
			delete(ended, one)
		}
		for one := range ended {
			w.forget(one)
		}
		why = w.full(by)
	}
	if why != "" {
		return why
	}
	if w.of[s] == nil {
		w.of[s] = &wishes{by: by, uris: map[string]bool{}}
	}
	w.of[s].uris[uri] = true
	w.counts[uri]++
	w.all++
	return ""
}

// full returns why a principal may follow no more, "" if it may. The caller holds the lock.
func (w *wanted) full(by string) string {
	own := 0
	for _, one := range w.of {
		if one.by == by {
			own += len(one.uris)
		}
	}
	switch {
	case own >= wantedEach:
		return fmt.Sprintf("this token follows %d addresses, which is as many as it may: unsubscribe from some", own)
	case w.all >= wantedAll:
		return fmt.Sprintf("%d addresses are followed, which is as many as there may be", w.all)
	}
	return ""
}

// drop takes an address from a session, if it has it.
func (w *wanted) drop(s *mcp.ServerSession, uri string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	own := w.of[s]
	if own == nil || !own.uris[uri] {
		return
	}
	w.less(uri)
	if delete(own.uris, uri); len(own.uris) == 0 {
		delete(w.of, s)
	}
}

func (w *wanted) less(uri string) {
	w.all--
	if w.counts[uri]--; w.counts[uri] == 0 {
		delete(w.counts, uri)
	}
}

// ended takes all addresses from a session that has ended.
func (w *wanted) ended(s *mcp.ServerSession) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[s] != nil {
		w.forget(s)
	}
}

// forget is ended of a session that follows any. The caller holds the lock.
func (w *wanted) forget(s *mcp.ServerSession) {
	for uri := range w.of[s].uris {
		w.less(uri)
	}
	delete(w.of, s)
}

func (w *wanted) has(uri string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[uri] > 0
}

func (w *wanted) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.counts))
}

// subscribe lets a caller follow a document that it may read.
func (d *Door) subscribe(ctx context.Context, req *mcp.SubscribeRequest) error {
	uri := req.Params.URI
	key, ok := keyOf(uri)
	if !ok {
		return mcp.ResourceNotFoundError(uri)
	}
	switch _, err := d.o.Store.Get(ctx, key); {
	case errors.Is(err, store.ErrNotFound):
		return mcp.ResourceNotFoundError(uri)
	case err != nil:
		return refuse("%s", d.explain(ctx, err))
	}
	by := ""
	if c := access.CallerFrom(ctx); c != nil {
		by = c.ID
	}
	if why := d.wanted.add(req.Session, by, uri, d.server.Sessions); why != "" {
		return refuse("%s", why)
	}
	return nil
}

func (d *Door) unsubscribe(_ context.Context, req *mcp.UnsubscribeRequest) error {
	d.wanted.drop(req.Session, req.Params.URI)
	return nil
}

// Run notifies subscribers of changes until ctx ends. One goroutine follows the log and another notifies, so that a
// slow client does not delay other followers of the log; changes in between are merged.
func (d *Door) Run(ctx context.Context) error {
	if d.o.Feed == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	n := &news{bell: make(chan struct{}, 1), uris: map[string]bool{}}
	w := &store.Watch{
		Name: "assistants", Feed: d.o.Feed,
		Begin: func(ctx context.Context, why error) (store.Place, error) {
			at, err := store.Newest(ctx, d.o.Feed)
			if err == nil && why != nil { // the missed changes are unknown
				n.add(true, d.wanted.list()...)
			}
			return at, err
		},
		Changed: func(changes []knowledge.Change) error {
			for i := range changes {
				if err := n.heard(ctx, d, &changes[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
	var told sync.WaitGroup
	told.Go(func() { d.tell(ctx, n) })
	defer told.Wait()
	return w.Run(ctx)
}

// heard takes in a change. An announcement goes to all who follow the address, so none is made of what few may read.
func (n *news) heard(ctx context.Context, d *Door, c *knowledge.Change) error {
	uri, prompt := scheme+c.Key.String(), c.Key.Kind == knowledge.KindTemplate
	wanted := d.wanted.has(uri)
	if !wanted && !prompt {
		return nil
	}
	if d.o.Quiet != nil {
		if quiet, err := d.o.Quiet(ctx, c); quiet || err != nil {
			return err
		}
	}
	if wanted {
		n.add(prompt, uri)
	} else {
		n.add(true)
	}
	return nil
}

// news holds changes that subscribers were not notified of yet.
type news struct {
	bell    chan struct{}
	mu      sync.Mutex // guards the fields below
	prompts bool
	uris    map[string]bool
}

func (n *news) add(prompts bool, uris ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.prompts = n.prompts || prompts
	for _, uri := range uris {
		n.uris[uri] = true
	}
	select {
	case n.bell <- struct{}{}:
	default:
	}
}

func (n *news) take() (bool, map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	prompts, uris := n.prompts, n.uris
	n.prompts, n.uris = false, map[string]bool{}
	return prompts, uris
}

// tellPatience bounds one round of notifications.
const tellPatience = 30 * time.Second

func (d *Door) tell(ctx context.Context, n *news) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.bell:
		}
		prompts, uris := n.take()
		if prompts {
			// Clients read the list from the store; the SDK announces a change only if a registration changes.
			d.addPrompts()
		}
		for uri := range uris {
			within, cancel := context.WithTimeout(ctx, tellPatience)
			// a client that misses this reads again after reconnecting
			_ = d.server.ResourceUpdated(within, &mcp.ResourceUpdatedNotificationParams{URI: uri})
			cancel()
		}
	}
}
