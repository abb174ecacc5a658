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

// scheme begins the URI of a document, as in tenet://rule/SEC-001.
const scheme = "tenet://"

const markdown = "text/markdown"

// addResources registers the URI templates of documents. Documents are not listed: there may be thousands.
func (d *Door) addResources() {
	for _, kind := range kindsShown() {
		about := knowledge.Describe(kind).About
		d.server.AddResourceTemplate(&mcp.ResourceTemplate{
			Name: string(kind), Title: about, Description: about + ", each by its id.", MIMEType: markdown,
			URITemplate: scheme + string(kind) + "/{id}",
		}, d.read)
	}
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

// wanted counts the subscribers of each URI.
type wanted struct {
	mu     sync.Mutex // guards counts
	counts map[string]int
}

// maxWanted is the largest number of subscribed URIs.
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
