package guidance_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A gated feed shows no changes while it is shut. The store beside it opens it when a document is read.
type gated struct {
	store.Feed
	mu   sync.Mutex
	open chan struct{}
}

func (g *gated) gate() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

func (g *gated) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	select {
	case <-g.gate():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.Feed.Changes(ctx, q)
}

type opener struct {
	store.Reader
	g *gated
}

func (o *opener) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	o.g.mu.Lock()
	select {
	case <-o.g.open:
	default:
		close(o.g.open)
	}
	o.g.mu.Unlock()
	return o.Reader.Get(ctx, key)
}

func TestGuidanceHasWhatItsCallerHasSeen(t *testing.T) {
	g := &gated{open: make(chan struct{})}
	close(g.open)
	s := open(t, func(o *guidance.Options) {
		g.Feed = o.Feed
		o.Feed, o.Store = g, &opener{o.Store, g}
	})
	q := guidance.Query{Paths: []string{"a.go"}}
	s.put(rule("EARLY", nil))
	s.ask(q)
	g.mu.Lock()
	g.open = make(chan struct{}) // the index hears of nothing more until a query asks for it
	g.mu.Unlock()
	s.put(rule("LATE", nil))
	tail, err := store.Tail(t.Context(), s.store)
	if err != nil {
		t.Fatal(err)
	}
	ctx := store.WithWish(t.Context(), store.Wish{MinSeq: tail})
	p, err := s.index.Prepare(ctx, s.store, q)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Answer(ctx, s.store)
	if err != nil || a.Seq < tail || !strings.Contains(ids(a), "LATE") {
		t.Errorf("for a caller who has seen change %d guidance has %s as of change %d, %v", tail, ids(a), a.Seq, err)
	}
	// A position that the log does not reach is of another history, and not waited for.
	ctx = store.WithWish(t.Context(), store.Wish{MinSeq: tail + 100})
	if p, err = s.index.Prepare(ctx, s.store, q); err != nil || p == nil {
		t.Error(err)
	}
}
