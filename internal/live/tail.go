package live

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Times of a tail.
const (
	shortLimit = 30 * time.Second // how long the log may seem shorter than before while the primary answers
	minPause   = 100 * time.Millisecond
)

// A tail follows the log into the ring.
type tail struct {
	h      *Hub
	seq    knowledge.Seq // the last change seen
	chain  [32]byte      // its chain value
	linked bool          // chain is known
}

func newTail(h *Hub) *tail { return &tail{h: h} }

// run follows the log until ctx ends, through all failures.
func (t *tail) run(ctx context.Context) {
	w := store.Watch{
		Name: "live changes", Feed: t.h.o.Feed, Begin: t.begin, Level: t.h.level,
		Changed: func(list []knowledge.Change) error { return t.publish(ctx, list) },
		// A shorter log may be a mirror that lags. It is another history if it stays short while the primary answers.
		Sure: func() bool { return t.h.o.Level().Mode == knowledge.ModeNormal }, Patience: shortLimit,
		Floor: t.h.o.PollFloor, Timeout: readTimeout, Retry: minPause, Log: t.h.o.Log,
	}
	if err := w.Run(ctx); errors.Is(err, store.ErrClosed) {
		<-ctx.Done()
	}
}

// begin finds the start: far enough back to fill the ring, for subscribers that reconnect after a restart. In a new
// history every subscriber is told to read everything again. If the log, or the mirror's part of it, begins after the
// tail's place, the tail goes on from there; a subscriber that needs earlier changes asks for them and learns whether
// they are gone.
func (t *tail) begin(ctx context.Context, why error) (store.Place, error) {
	short, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	end, err := store.Newest(short, t.h.o.Feed)
	if err != nil {
		return store.Place{}, err
	}
	if errors.Is(why, store.ErrHistory) {
		t.h.replaced()
	}
	t.seq = max(0, end.Seq-knowledge.Seq(t.h.o.Ring))
	if gone, ok := errors.AsType[*store.GoneError](why); ok {
		t.seq = max(t.seq, gone.Oldest-1)
	}
	t.chain, t.linked = [32]byte{}, t.seq == 0
	t.h.restart(t.seq)
	return store.Place{Seq: t.seq}, nil
}

// publish encodes changes and publishes them, once they are known to follow the last ones.
func (t *tail) publish(ctx context.Context, changes []knowledge.Change) error {
	now := time.Now()
	events := make([]*event, len(changes))
	for i := range changes {
		c := &changes[i]
		if c.Seq != t.seq+1 || t.linked && !c.Follows(t.chain) {
			return store.ErrHistory
		}
		e, err := changeEvent(c, now)
		if err != nil {
			return err
		}
		if e.tells, err = t.h.o.Tells(ctx, c); err != nil {
			return err
		}
		events[i] = e
		t.seq, t.chain, t.linked = c.Seq, c.Chain, true
	}
	t.h.publish(events)
	return nil
}
