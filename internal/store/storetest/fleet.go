package storetest

import (
	"fmt"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// FleetBook holds a store of standings to what the fleet relies on: the newest check-in wins in whatever order they come, pages show each
// repository once, and a state's page holds that state alone. The book must be empty.
func FleetBook(t *testing.T, book store.FleetBook) {
	at := knowledge.At(time.Date(2026, 1, 31, 2, 0, 0, 0, time.UTC))
	standing := func(id string, state store.FleetState, minutes int) store.Standing {
		when := knowledge.At(at.Add(time.Duration(minutes) * time.Minute))
		return store.Standing{CheckIn: store.CheckIn{Repository: id, At: when, Via: "sync"}, State: state, Since: when, Touched: when}
	}
	put := func(t *testing.T, list ...store.Standing) {
		t.Helper()
		if err := book.PutStandings(t.Context(), list...); err != nil {
			t.Fatal(err)
		}
	}
	page := func(t *testing.T, q store.FleetQuery) []string {
		t.Helper()
		list, err := book.Standings(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for i := range list {
			ids = append(ids, list[i].Repository)
		}
		return ids
	}
	t.Run("an empty book is empty", func(t *testing.T) {
		counts, err := book.CountStandings(t.Context())
		if len(page(t, store.FleetQuery{})) != 0 || err != nil || counts == nil || len(counts) != 0 {
			t.Errorf("counts %v, %v", counts, err)
		}
		put(t)
		if err := book.DropStandings(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("the newest check-in wins", func(t *testing.T) {
		newer, older := standing("acme.pay", store.FleetCurrent, 5), standing("acme.pay", store.FleetEdited, 1)
		older.Touched = knowledge.At(at.Add(time.Hour)) // a check-in that waited for long is still an old one
		put(t, newer)
		put(t, older)
		judged := newer
		judged.State, judged.Touched = store.FleetBehind, knowledge.At(at.Add(2*time.Hour))
		put(t, judged)
		put(t, newer) // of the same check-in, what was written last
		list, err := book.Standings(t.Context(), store.FleetQuery{IDs: []string{"acme.pay", "nobody"}})
		if err != nil || len(list) != 1 || list[0].State != store.FleetBehind || !list[0].At.Equal(newer.At.Time) {
			t.Errorf("got %+v, %v; want the one that is behind", list, err)
		}
	})
	t.Run("pages", func(t *testing.T) {
		var list []store.Standing
		for i := range 25 {
			list = append(list, standing(fmt.Sprintf("Fleet-%02d", i), []store.FleetState{store.FleetBehind, store.FleetSilent}[i%2], i))
		}
		put(t, list...)
		put(t, standing("acme.never", store.FleetSilent, 0))
		seen := map[string]int{}
		for after := ""; ; {
			ids := page(t, store.FleetQuery{After: after, Limit: 7})
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
		for _, id := range page(t, store.FleetQuery{State: store.FleetSilent, After: "Fleet-10", Limit: 3}) {
			if id != "Fleet-11" && id != "Fleet-13" && id != "Fleet-15" {
				t.Errorf("%s is on the page of those that are silent", id)
			}
		}
		counts, err := book.CountStandings(t.Context())
		if err != nil || len(counts) != 2 || counts[0].State != store.FleetBehind || counts[0].Repositories != 14 || !counts[0].Since.Equal(at.Time) {
			t.Errorf("counts %+v, %v", counts, err)
		}
		if ids := page(t, store.FleetQuery{Touched: knowledge.At(at.Add(23 * time.Minute))}); len(ids) != 3 { // two of these, and the one judged later
			t.Errorf("written since: %v", ids)
		}
	})
	t.Run("what is dropped is gone", func(t *testing.T) {
		if err := book.DropStandings(t.Context(), "acme.pay", "Fleet-00", "nobody"); err != nil {
			t.Fatal(err)
		}
		if ids := page(t, store.FleetQuery{IDs: []string{"acme.pay", "Fleet-00", "Fleet-01"}}); len(ids) != 1 || ids[0] != "Fleet-01" {
			t.Errorf("left: %v", ids)
		}
	})
}
