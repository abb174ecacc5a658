package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// names is a follower in memory. A bug makes it forget new histories in one way or another.
type names struct {
	s   store.Store
	bug string

	mu    sync.Mutex // guards known
	known map[string]string
}

func (n *names) Name(id string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[id]
}

func (n *names) learn(r *knowledge.Record) error {
	d, err := r.Document()
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[r.Key.ID] = d.(*knowledge.Principal).Name
	return nil
}

func (n *names) begin(ctx context.Context, why error) (store.Place, error) {
	end, err := store.Newest(ctx, n.s)
	if err != nil || why != nil && n.bug == "begins without reading" {
		return end, err
	}
	n.mu.Lock()
	n.known = map[string]string{}
	n.mu.Unlock()
	return end, store.All(ctx, n.s, knowledge.Query{Kind: knowledge.KindPrincipal, Activity: knowledge.AnyActivity},
		n.learn)
}

func (n *names) changed(list []knowledge.Change) error {
	for i := range list {
		if err := n.learn(list[i].Record); err != nil {
			return err
		}
	}
	return nil
}

func (n *names) Run(ctx context.Context) error {
	if n.bug != "follows by number alone" {
		w := store.Watch{Feed: n.s, Begin: n.begin, Changed: n.changed}
		return w.Run(ctx)
	}
	at, err := n.begin(ctx, nil)
	for err == nil && ctx.Err() == nil {
		var list []knowledge.Change
		if list, err = n.s.Changes(ctx, knowledge.ChangeQuery{After: at.Seq}); err == nil && len(list) > 0 {
			err, at = n.changed(list), store.PlaceOf(&list[len(list)-1])
		}
		n.s.Wait(ctx, at.Seq)
	}
	return err
}

func TestAFollowerThatForgetsANewHistoryIsFound(t *testing.T) {
	for _, bug := range []string{"", "begins without reading", "follows by number alone"} {
		patience := 300 * time.Millisecond
		if bug == "" {
			patience = followerPatience
		}
		r := &recorder{TB: t}
		runFollower(r, patience, func() store.Store { return newMemory("") }, func(s store.Store) Follower {
			n := &names{s: s, bug: bug, known: map[string]string{}}
			return Follower{n.Run, n.Name}
		})
		if bug == "" && len(r.failures) > 0 {
			t.Errorf("a good follower: %q", r.failures)
		}
		if bug != "" && len(r.failures) == 0 {
			t.Errorf("a follower that %s was not found", bug)
		}
	}
}
