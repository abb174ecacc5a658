package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Follower is something that keeps itself level with a log and tells what it knows of a document.
type Follower struct {
	// Run follows until ctx ends.
	Run func(ctx context.Context) error
	// Name returns the name of a principal as the follower knows it, "" for none.
	Name func(id string) string
}

// Histories is a store whose history can be replaced by another one, as when a standby without the last commits is
// promoted or an older backup is put back.
type Histories struct {
	store.Store
	now atomic.Pointer[store.Store]
}

// NewHistories returns a store that is s at first.
func NewHistories(s store.Store) *Histories {
	h := &Histories{Store: s}
	h.now.Store(&s)
	return h
}

func (h *Histories) is() store.Store { return *h.now.Load() }

// Become puts another history in the place of the present one.
func (h *Histories) Become(s store.Store) { h.now.Store(&s) }

// Get implements [store.Store].
func (h *Histories) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	return h.is().Get(ctx, key)
}

// List implements [store.Store].
func (h *Histories) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	return h.is().List(ctx, q)
}

// Search implements [store.Store].
func (h *Histories) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	return h.is().Search(ctx, q)
}

// Apply implements [store.Store].
func (h *Histories) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	return h.is().Apply(ctx, b)
}

// Changes implements [store.Store].
func (h *Histories) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	return h.is().Changes(ctx, q)
}

// Wait implements [store.Store].
func (h *Histories) Wait(ctx context.Context, after knowledge.Seq) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond) // the bell of a history that is gone rings no more
	defer cancel()
	h.is().Wait(ctx, after)
	return nil
}

// followerPatience is how long a follower may take to notice something.
const followerPatience = 10 * time.Second

// RunFollower checks that a follower of a store notices a new history: what was lost is gone, what is new is there, and
// what changes in it arrives, while it is shorter than the one before and when it has grown past it. Open makes an
// empty store.
func RunFollower(t testing.TB, open func() store.Store, follow func(s store.Store) Follower) {
	t.Helper()
	runFollower(t, followerPatience, open, follow)
}

func runFollower(t testing.TB, patience time.Duration, open func() store.Store, follow func(s store.Store) Follower) {
	t.Helper()
	old, other := open(), open()
	put := func(s store.Store, id, name string) {
		t.Helper()
		p := Principal(func(p *knowledge.Principal) { p.PrincipalID, p.Name = id, name })
		if _, err := s.Apply(t.Context(), Batch(knowledge.Put(p, knowledge.AnyVersion))); err != nil {
			t.Fatal(err)
		}
	}
	h := NewHistories(old)
	put(old, "both", "old")
	put(other, "both", "new")
	for i := range 6 {
		put(old, fmt.Sprint("old-", i), "old")
	}
	f := follow(h)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	defer func() { stop(); <-ended }()
	want := func(when, id, name string) {
		t.Helper()
		got := f.Name(id)
		for end := time.Now().Add(patience); got != name && time.Now().Before(end); got = f.Name(id) {
			<-time.After(time.Millisecond)
		}
		if got != name {
			t.Errorf("%s: the follower knows %q as %q, want %q", when, id, got, name)
		}
	}
	want("in the first history", "old-5", "old")
	h.Become(other)
	want("in a shorter history", "both", "new")
	want("in a shorter history", "old-5", "")
	put(other, "new-0", "new")
	want("after a change of the shorter history", "new-0", "new")
	for i := 1; i < 12; i++ {
		put(other, fmt.Sprint("new-", i), "new")
	}
	want("once the new history is longer", "new-11", "new")
	put(other, "both", "newer")
	want("once the new history is longer", "both", "newer")
}
