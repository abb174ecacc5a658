package storetest

import (
	"fmt"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// FleetBook holds a store of standings to what the fleet relies on: the newest check-in wins in whatever order they
// come, pages show each repository once, and a state's page holds that state alone. The book must be empty.
func FleetBook(t *testing.T, book store.FleetBook) {
	b := fleetBook{book, knowledge.At(time.Date(2026, 1, 31, 2, 0, 0, 0, time.UTC))}
	t.Run("an empty book is empty", b.startsEmpty)
	t.Run("the newest check-in wins", b.newestCheckInWins)
	t.Run("pages", b.pagesShowEachOnce)
	t.Run("what is dropped is gone", b.dropsStandings)
}

// A fleetBook is a store of standings under test. Its check-ins are made after the time at.
type fleetBook struct {
	book store.FleetBook
	at   knowledge.Time
}

func (b fleetBook) standing(id string, state store.FleetState, minutes int) store.Standing {
	when := knowledge.At(b.at.Add(time.Duration(minutes) * time.Minute))
	return store.Standing{
		CheckIn: store.CheckIn{Repository: id, At: when, Via: "sync"}, State: state, Since: when,
		Touched: when,
	}
}

func (b fleetBook) put(t *testing.T, list ...store.Standing) {
	t.Helper()
	if err := b.book.PutStandings(t.Context(), list...); err != nil {
		t.Fatal(err)
	}
}

// page returns the ids of a page.
func (b fleetBook) page(t *testing.T, q store.FleetQuery) []string {
	t.Helper()
	list, err := b.book.Standings(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for i := range list {
		ids = append(ids, list[i].Repository)
	}
	return ids
}

func (b fleetBook) startsEmpty(t *testing.T) {
	counts, err := b.book.CountStandings(t.Context())
	if len(b.page(t, store.FleetQuery{})) != 0 || err != nil || counts == nil || len(counts) != 0 {
		t.Errorf("counts %v, %v", counts, err)
	}
	b.put(t)
	if err := b.book.DropStandings(t.Context()); err != nil {
		t.Error(err)
	}
}

func (b fleetBook) newestCheckInWins(t *testing.T) {
	newer, older := b.standing("acme.pay", store.FleetCurrent, 5), b.standing("acme.pay", store.FleetEdited, 1)
	older.Touched = knowledge.At(b.at.Add(time.Hour)) // a check-in that waited for long is still an old one
	b.put(t, newer)
	b.put(t, older)
	judged := newer
	judged.State, judged.Touched = store.FleetBehind, knowledge.At(b.at.Add(2*time.Hour))
	b.put(t, judged)
	b.put(t, newer) // of the same check-in, what was written last
	list, err := b.book.Standings(t.Context(), store.FleetQuery{IDs: []string{"acme.pay", "nobody"}})
	if err != nil || len(list) != 1 || list[0].State != store.FleetBehind || !list[0].At.Equal(newer.At.Time) {
		t.Errorf("got %+v, %v; want the one that is behind", list, err)
	}
}

func (b fleetBook) pagesShowEachOnce(t *testing.T) {
	var list []store.Standing
	for i := range 25 {
		list = append(list, b.standing(fmt.Sprintf("Fleet-%02d", i), []store.FleetState{
			store.FleetBehind,
			store.FleetSilent,
		}[i%2], i))
	}
	b.put(t, list...)
	b.put(t, b.standing("acme.never", store.FleetSilent, 0))
	seen := map[string]int{}
	for after := ""; ; {
		ids := b.page(t, store.FleetQuery{After: after, Limit: 7})
		for _, id := range ids {
			if seen[id]++; id <= after {
				t.Errorf("%s stands behind %s", id, after)
			}
			after = id
		}
		if len(ids) < 7 {
			break
		}
	}
	if len(seen) != 27 {
		t.Errorf("%d repositories are on the pages, want 27", len(seen))
	}
	for _, id := range b.page(t, store.FleetQuery{State: store.FleetSilent, After: "Fleet-10", Limit: 3}) {
		if id != "Fleet-11" && id != "Fleet-13" && id != "Fleet-15" {
			t.Errorf("%s is on the page of those that are silent", id)
		}
	}
	counts, err := b.book.CountStandings(t.Context())
	if err != nil || len(counts) != 2 || counts[0].State != store.FleetBehind || counts[0].Repositories != 14 ||
		!counts[0].Since.Equal(b.at.Time) {
		t.Errorf("counts %+v, %v", counts, err)
	}
	// two of these, and the one judged later
	if ids := b.page(t, store.FleetQuery{Touched: knowledge.At(b.at.Add(23 * time.Minute))}); len(ids) != 3 {
		t.Errorf("written since: %v", ids)
	}
}

func (b fleetBook) dropsStandings(t *testing.T) {
	if err := b.book.DropStandings(t.Context(), "acme.pay", "Fleet-00", "nobody"); err != nil {
		t.Fatal(err)
	}
	if ids := b.page(t, store.FleetQuery{IDs: []string{"acme.pay", "Fleet-00", "Fleet-01"}}); len(ids) != 1 ||
		ids[0] != "Fleet-01" {
		t.Errorf("left: %v", ids)
	}
}
