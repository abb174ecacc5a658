package server

import (
	"context"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// dualFleet keeps the state of repositories at the primary, with a copy on this machine. While the primary is down, the
// copy answers and takes check-ins. They are sent to the primary when it is back, where the newest of each repository
// wins.
type dualFleet struct {
	theirs func() store.FleetBook // the primary's book; nil while it is away
	copy   store.FleetBook

	mu   sync.Mutex     // guards the fields below
	upto knowledge.Time // the copy has what was written before
	owes bool           // the copy may hold what the primary does not
}

// primaryPatience is how long the primary is waited for before the copy answers.
const primaryPatience = 2 * time.Second

func (d *dual) fleetBook() store.FleetBook {
	return &dualFleet{owes: true, copy: sqlite.NewFleetBook(d.instance), theirs: func() store.FleetBook {
		if p := d.primary.Load(); p != nil && d.Level().Mode == knowledge.ModeNormal {
			return postgres.NewFleetBook(p.Store)
		}
		return nil
	}}
}

func (e *embedded) fleetBook() store.FleetBook { return sqlite.NewFleetBook(e.Store) }

// PutStandings implements [store.FleetBook].
func (b *dualFleet) PutStandings(ctx context.Context, list ...store.Standing) error {
	stands := false
	if theirs := b.theirs(); theirs != nil {
		own, cancel := context.WithTimeout(ctx, primaryPatience)
		stands = theirs.PutStandings(own, list...) == nil
		cancel()
	}
	err := b.copy.PutStandings(ctx, list...)
	if stands {
		return nil
	}
	b.mu.Lock()
	b.owes = true
	b.mu.Unlock()
	return err
}

// asked asks the primary, and the copy where that does not answer.
func asked[T any](ctx context.Context, b *dualFleet, ask func(context.Context, store.FleetBook) (T, error)) (T, error) {
	if theirs := b.theirs(); theirs != nil {
		own, cancel := context.WithTimeout(ctx, primaryPatience)
		defer cancel()
		if got, err := ask(own, theirs); err == nil {
			return got, nil
		}
	}
	return ask(ctx, b.copy)
}

// Standings implements [store.FleetBook].
func (b *dualFleet) Standings(ctx context.Context, q store.FleetQuery) ([]store.Standing, error) {
	return asked(ctx, b, func(ctx context.Context, f store.FleetBook) ([]store.Standing, error) {
		return f.Standings(ctx, q)
	})
}

// CountStandings implements [store.FleetBook].
func (b *dualFleet) CountStandings(ctx context.Context) ([]store.FleetCount, error) {
	return asked(ctx, b, func(ctx context.Context, f store.FleetBook) ([]store.FleetCount, error) {
		return f.CountStandings(ctx)
	})
}

// DropStandings implements [store.FleetBook].
func (b *dualFleet) DropStandings(ctx context.Context, ids ...string) error {
	theirs := b.theirs()
	if theirs == nil {
		return &store.UnavailableError{
			Reason:     "PostgreSQL is down, and deleted repositories are removed there first",
			RetryAfter: primaryPatience, NotDone: true,
		}
	}
	if err := theirs.DropStandings(ctx, ids...); err != nil {
		return err
	}
	return b.copy.DropStandings(ctx, ids...)
}

// level brings what the copy took in to the primary, and the copy to where the primary is.
func (b *dualFleet) level(ctx context.Context) error {
	theirs := b.theirs()
	if theirs == nil {
		return nil
	}
	b.mu.Lock()
	owes, upto := b.owes, b.upto
	b.owes = false
	b.mu.Unlock()
	began := knowledge.At(time.Now())
	err := b.bring(ctx, theirs, owes)
	if err == nil {
		err = b.fetch(ctx, theirs, upto)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.owes = b.owes || owes
		return err
	}
	b.upto = began
	return nil
}

// bring writes what the copy holds to the primary. What that has newer stays.
func (b *dualFleet) bring(ctx context.Context, theirs store.FleetBook, owes bool) error {
	if !owes {
		return nil
	}
	return carry(ctx, b.copy, theirs, func(string) {})
}

// carry writes everything that one book holds into another, and calls seen with each id.
func carry(ctx context.Context, from, to store.FleetBook, seen func(id string)) error {
	var list []store.Standing
	err := store.EachStanding(ctx, from, func(s *store.Standing) error {
		seen(s.Repository)
		if list = append(list, *s); len(list) < fleetAtOnce {
			return nil
		}
		err := to.PutStandings(ctx, list...)
		list = list[:0]
		return err
	})
	if err != nil {
		return err
	}
	return to.PutStandings(ctx, list...)
}

// clockSlack is by how much the clocks of instances may differ.
const clockSlack = 5 * time.Minute

// fetch writes what the primary holds into the copy: what was written since, or all where there is another number of
// them.
func (b *dualFleet) fetch(ctx context.Context, theirs store.FleetBook, upto knowledge.Time) error {
	if !upto.IsZero() {
		for since := knowledge.At(upto.Add(-clockSlack)); ; {
			list, err := theirs.Standings(ctx, store.FleetQuery{Touched: since, Limit: store.MaxFleetLimit})
			if err != nil {
				return err
			}
			if err := b.copy.PutStandings(ctx, list...); err != nil {
				return err
			}
			if len(list) < store.MaxFleetLimit {
				break
			}
			last := list[len(list)-1].Touched
			if !last.After(since.Time) { // so many in one moment: all of them are copied below
				break
			}
			since = last
		}
		same, err := sameNumber(ctx, theirs, b.copy)
		if err != nil || same {
			return err
		}
	}
	began := time.Now()
	there := map[string]bool{}
	if err := carry(ctx, theirs, b.copy, func(id string) { there[id] = true }); err != nil {
		return err
	}
	var gone []string
	err := store.EachStanding(ctx, b.copy, func(s *store.Standing) error {
		if !there[s.Repository] && began.Sub(s.Touched.Time) > clockSlack { // else it may have come meanwhile
			gone = append(gone, s.Repository)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.copy.DropStandings(ctx, gone...)
}

func sameNumber(ctx context.Context, a, b store.FleetBook) (bool, error) {
	numbers := [2]int64{}
	for i, f := range []store.FleetBook{a, b} {
		counts, err := f.CountStandings(ctx)
		if err != nil {
			return false, err
		}
		for _, c := range counts {
			numbers[i] += c.Repositories
		}
	}
	return numbers[0] == numbers[1], nil
}
