package failover_test

import (
	"errors"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// disputes makes conflicts about some documents: each has a chain of batches, one on top of the other, none of which
// fits any more.
func disputes(c *scene, chain int, ids ...string) []knowledge.BatchID {
	c.t.Helper()
	for _, id := range ids {
		c.write(knowledge.Put(rule(id), 0))
	}
	c.follow()
	c.primary.set(refused)
	waitMode(c.t, c.s, knowledge.ModeDegraded)
	var batches []knowledge.BatchID
	for _, id := range ids {
		op := knowledge.Put(titled(id, "first"), 1)
		for i := range chain {
			if i > 0 {
				op = onBatch(titled(id, "then"), batches[len(batches)-1])
			}
			b := batchOf(op)
			if rec, err := c.s.Apply(c.t.Context(), b); err != nil || !rec.Queued {
				c.t.Fatalf("write: queued %t, %v", rec.Queued, err)
			}
			batches = append(batches, b.ID)
		}
		c.past(knowledge.Put(titled(id, "theirs"), 1))
	}
	c.primary.set(healthy)
	waitMode(c.t, c.s, knowledge.ModeNormal)
	return batches
}

func (c *scene) title(id string) string {
	c.t.Helper()
	r, err := c.s.Get(c.t.Context(), ruleKey(id))
	if err != nil {
		c.t.Fatal(err)
	}
	doc, err := r.Document()
	if err != nil {
		c.t.Fatal(err)
	}
	return doc.(*knowledge.Rule).Title
}

func TestADecisionDoesNotOverwriteWhatItHasNotSeen(t *testing.T) {
	c := newScene(t)
	disputes(c, 1, "R")
	seen := c.conflicts()[0]
	decide := func(d store.Decision) error {
		d.ID = seen.Entry.Batch.ID
		_, err := c.s.Resolve(t.Context(), "judge", d)
		return err
	}
	var invalid *knowledge.InvalidError
	if err := decide(store.Decision{How: store.ResolveOurs}); !errors.As(err, &invalid) {
		t.Errorf("without what was seen: %v; want a refusal that names it", err)
	}
	c.write(knowledge.Put(titled("R", "later"), 2))
	if err := decide(store.Decision{How: store.ResolveOurs, Seen: seen.Seen}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("after somebody wrote: %v; want a conflict", err)
	}
	if got := c.title("R"); got != "later" {
		t.Errorf("the document is %q, want what came after the look", got)
	}
	now := c.conflicts()[0]
	if now.Found != 3 || now.Seen == seen.Seen {
		t.Errorf("looked at again it is found at version %d, seen as %s; want version 3, and another name", now.Found,
			now.Seen)
	}
	if err := decide(store.Decision{How: store.ResolveOurs, Seen: now.Seen}); err != nil {
		t.Errorf("of what stands now: %v", err)
	}
	if got := c.title("R"); got != "first" {
		t.Errorf("the document is %q, want what was journalled", got)
	}
	if err := decide(store.Decision{How: store.ResolveTheirs}); !errors.As(err, &invalid) {
		t.Errorf("decided twice: %v", err)
	}
}

func TestManyDecisionsAreCarriedOutInTheOrderOfTheChain(t *testing.T) {
	c := newScene(t)
	batches := disputes(c, 2, "A", "B")
	var decisions []store.Decision
	for _, p := range c.conflicts() { // the newest first: the children before their parents
		decisions = append(decisions, store.Decision{ID: p.Entry.Batch.ID, How: store.ResolveOurs, Seen: p.Seen})
	}
	if len(decisions) != len(batches) || decisions[0].ID != batches[len(batches)-1] {
		t.Fatalf("%d conflicts, want %d with the newest first", len(decisions), len(batches))
	}
	done, err := c.s.Resolve(t.Context(), "judge", decisions...)
	if err != nil || len(done) != len(batches) {
		t.Fatalf("carried out %d, %v; want all %d", len(done), err, len(batches))
	}
	for i := range done {
		if done[i].ID != batches[i] {
			t.Errorf("decision %d was about %s, want %s", i, done[i].ID, batches[i])
		}
	}
	for _, id := range []string{"A", "B"} {
		if got := c.title(id); got != "then" {
			t.Errorf("%s is %q, want what the last of its chain leaves", id, got)
		}
	}
	if list := c.conflicts(); len(list) != 0 {
		t.Errorf("still waiting: %s", brief(list))
	}
}

func TestOneStaleDecisionAmongManyDecidesNothing(t *testing.T) {
	c := newScene(t)
	disputes(c, 1, "A", "B")
	var decisions []store.Decision
	for _, p := range c.conflicts() {
		decisions = append(decisions, store.Decision{ID: p.Entry.Batch.ID, How: store.ResolveOurs, Seen: p.Seen})
	}
	c.write(knowledge.Put(titled("B", "later"), 2))
	if done, err := c.s.Resolve(t.Context(), "judge", decisions...); !errors.Is(err, store.ErrConflict) ||
		len(done) != 0 {
		t.Errorf("carried out %d, %v; want a conflict and nothing done", len(done), err)
	}
	if got := c.title("A"); got != "theirs" {
		t.Errorf("A is %q, want it untouched", got)
	}
}

func TestConflictsArePagedAndFiltered(t *testing.T) {
	c := newScene(t)
	disputes(c, 1, "A", "B", "C")
	ask := func(q store.ParkedQuery) []store.Parked {
		t.Helper()
		list, err := c.s.Conflicts(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	var ids strings.Builder
	q := store.ParkedQuery{Limit: 2}
	for page := ask(q); len(page) > 0; page = ask(q) {
		for i := range page {
			ids.WriteString(page[i].Key().ID)
		}
		q.Before = page[len(page)-1].Entry.Seq
	}
	if ids.String() != "CBA" {
		t.Errorf("page by page: %s, want the newest first", ids.String())
	}
	for _, one := range []struct {
		q    store.ParkedQuery
		want int
	}{
		{store.ParkedQuery{Kind: knowledge.KindRule, DocumentID: "B"}, 1},
		{store.ParkedQuery{Kind: knowledge.KindPractice}, 0},
		{store.ParkedQuery{Actor: "writer"}, 3},
		{store.ParkedQuery{Actor: "somebody"}, 0},
		{store.ParkedQuery{ID: ask(store.ParkedQuery{})[1].Entry.Batch.ID}, 1},
	} {
		if list := ask(one.q); len(list) != one.want {
			t.Errorf("%+v: %d conflicts, want %d", one.q, len(list), one.want)
		}
	}
}
