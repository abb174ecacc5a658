package access

import (
	"context"
	"errors"
	"sync"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// imported remembers how far the log was found to hold only imported changes.
type imported struct {
	mu sync.Mutex // guards the fields below
	at store.Place
}

// importedPage is how many changes are read at once.
const importedPage = 500

// enters sets EnteredBy on a batch with another actor than its caller or with a given time. Only the program itself may
// set EnteredBy in the request.
func (c call) enters(ctx context.Context, b *knowledge.Batch) error {
	if c.caller.ID == SystemID {
		return nil
	}
	b.EnteredBy = ""
	if b.Actor == c.caller.ID && b.At.IsZero() {
		return nil
	}
	b.EnteredBy = c.caller.ID
	if b.At.IsZero() {
		return nil
	}
	// A history with times of the past can't be checked against anything: it is taken only by a log without changes of
	// its own.
	own, err := c.firstOwn(store.WithFresh(ctx))
	if err != nil || own == nil {
		return err
	}
	if again, err := c.taken(ctx, b.ID); err != nil || again {
		return err
	}
	return knowledge.Invalid("/at",
		"the log already holds changes made here (change %d, %s by %s): a history with its times can only be "+
			"imported into a log "+
			"without such changes; send it without times, or to a new instance", own.Seq, own.Key, own.Actor)
}

// firstOwn returns the first change that a user has made here. It returns nil if the log holds only changes imported
// with their times, the program's own changes, and principals.
func (c call) firstOwn(ctx context.Context) (*knowledge.Change, error) {
	m := &c.s.imported
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.Seq > 0 {
		last, err := c.s.next.Changes(ctx, knowledge.ChangeQuery{After: m.at.Seq - 1, Limit: 1})
		if err != nil && !errors.Is(err, store.ErrGone) {
			return nil, err
		}
		if len(last) == 0 || store.PlaceOf(&last[0]) != m.at { // the log was replaced
			m.at = store.Place{}
		}
	}
	for {
		page, err := c.s.next.Changes(ctx, knowledge.ChangeQuery{After: m.at.Seq, Limit: importedPage})
		if gone, ok := errors.AsType[*store.GoneError](err); ok {
			return &knowledge.Change{Seq: gone.Oldest - 1, Actor: "an unknown actor"}, nil
		}
		if err != nil || len(page) == 0 {
			return nil, err
		}
		for i := range page {
			if own(&page[i]) {
				return &page[i], nil
			}
			m.at = store.PlaceOf(&page[i])
		}
	}
}

// own reports whether a user has made a change here.
func own(c *knowledge.Change) bool {
	switch {
	case c.Entered() && !c.EnteredAt.Equal(c.At.Time), c.Key.Kind == knowledge.KindPrincipal, c.Actor == SystemID,
		c.Actor == knowledge.SeedActor:
		return false
	}
	return true
}
