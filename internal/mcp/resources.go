package mcp

import (
	"context"
	"errors"
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

// scheme begins the address of a document, as in tenet://rule/SEC-001.
const scheme = "tenet://"

const markdown = "text/markdown"

// addResources registers how documents are addressed. They are not listed: a list of thousands helps nobody.
func (d *Door) addResources() {
	for _, kind := range kindsShown() {
		about := knowledge.Describe(kind).About
		d.server.AddResourceTemplate(&mcp.ResourceTemplate{
			Name: string(kind), Title: about, Description: about + ", each by its id.", MIMEType: markdown, URITemplate: scheme + string(kind) + "/{id}",
		}, d.read)
	}
}

// keyOf returns the document that an address names.
func keyOf(uri string) (knowledge.Key, bool) {
	rest, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return knowledge.Key{}, false
	}
	key, err := knowledge.ParseKey(rest)
	return key, err == nil
}

// kindOf returns the kind that the address of a document, or the pattern of such addresses, names.
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
	c := &mcp.ResourceContents{URI: uri, MIMEType: markdown, Text: guidance.Text(doc), Meta: mcp.Meta{"tenet/version": rec.Version}}
	if kindHasNoText(key.Kind) {
		c.MIMEType, c.Text = "application/json", string(rec.JSON)
	}
	return &mcp.ReadResourceResult{Meta: d.meta(), Contents: []*mcp.ResourceContents{c}}, nil
}

// kindHasNoText reports whether documents of a kind are fields rather than something to read.
func kindHasNoText(kind knowledge.Kind) bool {
	return !slices.Contains(guidance.Kinds(), kind)
}

// wanted counts who subscribed to which address.
type wanted struct {
	mu     sync.Mutex // guards counts
	counts map[string]int
}

// maxWanted bounds the addresses that are followed, in all.
const maxWanted = 50_000

func (w *wanted) add(uri string, n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && w.counts[uri] == 0 && len(w.counts) >= maxWanted {
		return false
	}
	if w.counts[uri] += n; w.counts[uri] <= 0 {
		delete(w.counts, uri)
	}
	return true
}

func (w *wanted) has(uri string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[uri] > 0
}

func (w *wanted) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	uris := make([]string, 0, len(w.counts))
	for uri := range w.counts {
		uris = append(uris, uri)
	}
	return uris
}

func (d *Door) subscribe(ctx context.Context, req *mcp.SubscribeRequest) error {
	key, ok := keyOf(req.Params.URI)
	if !ok {
		return mcp.ResourceNotFoundError(req.Params.URI)
	}
	if c := access.CallerFrom(ctx); c != nil && !access.Sees(c, key.Kind) {
		return refuse("you may not read %s", key.Kind.Plural())
	}
	if !d.wanted.add(req.Params.URI, 1) {
		return refuse("%d addresses are followed, which is as many as there may be", maxWanted)
	}
	return nil
}

func (d *Door) unsubscribe(_ context.Context, req *mcp.UnsubscribeRequest) error {
	d.wanted.add(req.Params.URI, -1)
	return nil
}

// Run tells those who subscribed of changes, until ctx ends. Who tells and who follows are two: a client that takes nothing holds
// up no other follower of the log, and what changes meanwhile is told once.
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
			if err == nil && why != nil { // nobody knows what has changed
				n.add(true, d.wanted.all()...)
			}
			return at, err
		},
		Changed: func(changes []knowledge.Change) error {
			for i := range changes {
				uri := scheme + changes[i].Key.String()
				if d.wanted.has(uri) {
					n.add(false, uri)
				}
				if changes[i].Key.Kind == knowledge.KindTemplate {
					n.add(true)
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

// news is what has changed and was not told yet.
type news struct {
	bell    chan struct{}
	mu      sync.Mutex // guards what follows
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

// tellPatience bounds one round of telling.
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
			// The list is read from the store; only a change of what is registered makes the SDK tell of one.
			d.addPrompts()
		}
		for uri := range uris {
			within, cancel := context.WithTimeout(ctx, tellPatience)
			_ = d.server.ResourceUpdated(within, &mcp.ResourceUpdatedNotificationParams{URI: uri}) // who can't be told comes back and reads
			cancel()
		}
	}
}
