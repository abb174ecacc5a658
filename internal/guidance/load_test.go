package guidance_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A held store lets the caller of a list wait after it was read.
type held struct {
	store.Reader
	read, resume chan struct{}
	holds        atomic.Bool
}

func (h *held) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	page, err := h.Reader.List(ctx, q)
	if h.holds.CompareAndSwap(true, false) {
		close(h.read)
		<-h.resume
	}
	return page, err
}

// TestAChangeDuringALoadIsKept writes a rule after a load has read the rules, and before it takes the old index's
// place.
func TestAChangeDuringALoadIsKept(t *testing.T) {
	h := &held{read: make(chan struct{}), resume: make(chan struct{})}
	s := open(t, func(o *guidance.Options) { h.Reader, o.Store = o.Store, h })
	first := guidance.Query{Paths: []string{"a.go"}}
	s.put(rule("EARLY", nil))
	s.await("the first rule", func() bool { return strings.Contains(ids(s.ask(first)), "EARLY") })
	h.holds.Store(true)
	loaded := make(chan error, 1)
	go func() { loaded <- s.index.Load(t.Context()) }()
	<-h.read
	s.put(rule("LATE", nil))
	s.await("the second rule", func() bool { return strings.Contains(ids(s.ask(first)), "LATE") })
	close(h.resume)
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	if got := ids(s.now(first)); !strings.Contains(got, "EARLY") || !strings.Contains(got, "LATE") {
		t.Errorf("after the load guidance has %s, want both rules", got)
	}
}
