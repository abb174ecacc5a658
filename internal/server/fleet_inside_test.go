package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

func fleetStore(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func putAll(t *testing.T, s store.Store, docs ...knowledge.Document) {
	t.Helper()
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "test"}
	for _, d := range docs {
		b.Ops = append(b.Ops, knowledge.Op{Verb: knowledge.VerbPut, Key: d.Key(), Doc: d})
	}
	if _, err := s.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func stateOf(t *testing.T, b store.FleetBook, id string) store.FleetState {
	t.Helper()
	list, err := b.Standings(t.Context(), store.FleetQuery{IDs: []string{id}})
	if err != nil || len(list) > 1 {
		t.Fatal(list, err)
	}
	if len(list) == 0 {
		return ""
	}
	return list[0].State
}

// TestAClockThatIsAheadHidesNoCheckIn tells of a repository by a clock that is some minutes ahead, and then by one that
// is right.
func TestAClockThatIsAheadHidesNoCheckIn(t *testing.T) {
	docs := fleetStore(t)
	putAll(t, docs, &knowledge.Repository{RepositoryID: "a", Name: "A", IsActive: true})
	f := &fleet{book: sqlite.NewFleetBook(fleetStore(t)), docs: docs, log: slog.New(slog.DiscardHandler)}
	for _, c := range []store.CheckIn{
		{At: knowledge.At(time.Now().Add(fleetAhead - time.Minute)), Files: &store.FleetFiles{Edited: 1}},
		{Files: &store.FleetFiles{}},
	} {
		c.Repository, c.Via = "a", "sync"
		if _, err := f.CheckIn(t.Context(), docs, c); err != nil {
			t.Fatal(err)
		}
	}
	if got := stateOf(t, f.book, "a"); got != store.FleetCurrent {
		t.Errorf("it is %s, want what it told last", got)
	}
	late := store.CheckIn{Repository: "a", Via: "sync", At: knowledge.At(time.Now().Add(2 * fleetAhead))}
	if _, err := f.CheckIn(t.Context(), docs, late); err == nil {
		t.Error("a check-in of the far future is taken")
	}
}

// TestTheFleetGoesOnWithoutItsPrimary tells of repositories before, in and after an outage: nothing that was told is
// lost, and the newest wins.
func TestTheFleetGoesOnWithoutItsPrimary(t *testing.T) {
	docs := fleetStore(t)
	putAll(t, docs, &knowledge.Repository{RepositoryID: "a", Name: "A", IsActive: true},
		&knowledge.Repository{RepositoryID: "b", Name: "B", IsActive: true})
	primary, here := sqlite.NewFleetBook(fleetStore(t)), sqlite.NewFleetBook(fleetStore(t))
	var theirs store.FleetBook = primary
	book := &dualFleet{owes: true, copy: here, theirs: func() store.FleetBook { return theirs }}
	f := &fleet{book: book, docs: docs, log: slog.New(slog.DiscardHandler)}
	in := func(id string, ago time.Duration, edited int) {
		t.Helper()
		c := store.CheckIn{
			Repository: id, Via: "sync", At: knowledge.At(time.Now().Add(-ago)),
			Files: &store.FleetFiles{Edited: edited},
		}
		if _, err := f.CheckIn(t.Context(), docs, c); err != nil {
			t.Fatal(err)
		}
	}
	level := func() {
		t.Helper()
		if err := book.level(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	in("a", time.Hour, 0)
	level()
	theirs = nil // away
	in("a", time.Minute, 1)
	in("b", time.Minute, 1)
	if got := stateOf(t, book, "a"); got != store.FleetEdited {
		t.Errorf("in the outage a is %q, want what it told then", got)
	}
	if err := book.DropStandings(t.Context(), "a"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a repository was forgotten in the outage: %v", err)
	}
	// Meanwhile another instance has heard of b later, and of c.
	another := store.Standing{CheckIn: store.CheckIn{Repository: "b", At: knowledge.At(time.Now()), Via: "sync"}}
	another.Judge(time.Now())
	another.Touched = another.At
	if err := primary.PutStandings(t.Context(), another); err != nil {
		t.Fatal(err)
	}
	theirs = primary
	level()
	for _, b := range []store.FleetBook{primary, here} {
		if x, y := stateOf(t, b, "a"), stateOf(t, b, "b"); x != store.FleetEdited || y != store.FleetCurrent {
			t.Errorf("after the outage a is %q and b %q, want edited and current", x, y)
		}
	}
	// What is retired is forgotten in both.
	if _, err := docs.Apply(t.Context(), knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "test", Ops: []knowledge.Op{
		{Verb: knowledge.VerbRetire, Key: knowledge.Key{Kind: knowledge.KindRepository, ID: "b"}},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Look(t.Context(), &upkeep.Progress{}); err != nil {
		t.Fatal(err)
	}
	level()
	if x, y := stateOf(t, primary, "b"), stateOf(t, here, "b"); x != "" || y != "" {
		t.Errorf("b is gone, and stands as %q and %q", x, y)
	}
	if _, err := f.CheckIn(t.Context(), docs, store.CheckIn{Repository: "b"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a retired repository tells: %v", err)
	}
}

// A listCounter counts the calls of a store's lists.
type listCounter struct {
	store.Store
	lists int
}

func (c *listCounter) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	c.lists++
	return c.Store.List(ctx, q)
}

// TestAFleetOfManyIsLookedAtOnceForAll looks at thousands of repositories: what they take is worked out for each list
// of packs, not for each of them, and only what stands otherwise is written.
func TestAFleetOfManyIsLookedAtOnceForAll(t *testing.T) {
	docs := &listCounter{Store: fleetStore(t)}
	const many = 2000
	var list []knowledge.Document
	for i := range many {
		list = append(list, &knowledge.Repository{RepositoryID: fmt.Sprintf("r-%05d", i), Name: "R", IsActive: true})
	}
	putAll(t, docs, list...)
	f := &fleet{book: sqlite.NewFleetBook(fleetStore(t)), docs: docs, log: slog.New(slog.DiscardHandler)}
	look := func() string {
		t.Helper()
		docs.lists = 0
		said, err := f.Look(t.Context(), &upkeep.Progress{})
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	look()
	if most := many/knowledge.MaxLimit + 5; docs.lists > most {
		t.Errorf("%d lists were read for %d repositories, want at most %d", docs.lists, many, most)
	}
	if said, want := look(), fmt.Sprintf("%d repositories, 0 changed, 0 gone",
		many); said != want {
		t.Errorf("a second look says %q, want %q", said, want)
	}
	if _, err := f.CheckIn(t.Context(), docs, store.CheckIn{
		Repository: "r-00007", Takes: "old",
		Via: "sync",
	}); err != nil {
		t.Fatal(err)
	}
	look()
	counts, _ := f.Counts()
	if len(counts) != 2 || counts[0] != (store.FleetCount{
		State: store.FleetBehind, Repositories: 1,
		Since: counts[0].Since,
	}) {
		t.Errorf("counts %+v, want one that is behind", counts)
	}
}
