package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// errReplaced says that the log is another history than the one that was followed.
var errReplaced = errors.New("the log is another history than before")

// Times of a tail.
const (
	checkEvery = 10 * time.Second     // between two comparisons with the log while nothing happens
	shortLimit = 30 * time.Second     // so long the log may seem shorter than it was while the primary answers
	quiet      = 2 * time.Millisecond // before a look after one that found nothing: a doorbell may ring for nothing, and often
	minPause   = 100 * time.Millisecond
	maxPause   = 2 * time.Second
)

// A tail follows the log into the ring.
type tail struct {
	h       *Hub
	seq     knowledge.Seq // the last change that was seen
	chain   [32]byte      // its chain value
	linked  bool          // chain is known
	started bool
	short   time.Time // since when the log seems shorter than it was; zero while it does not
	failing bool
}

func newTail(h *Hub) *tail { return &tail{h: h} }

// run follows until ctx ends, over every failure.
func (t *tail) run(ctx context.Context) {
	pause := minPause
	for ctx.Err() == nil {
		seq := t.seq
		err := t.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errReplaced) {
			t.h.o.Log.WarnContext(ctx, "the log is another history than before; every subscriber was told to read afresh", "seq", int64(t.seq))
			t.h.replaced()
			t.started, t.seq = false, 0
			continue
		}
		if !t.failing {
			t.failing = true
			t.h.o.Log.WarnContext(ctx, "the log can't be followed now; trying again until it can", "after", int64(t.seq), "error", err.Error())
		}
		if t.seq > seq {
			pause = minPause
		}
		sleep(ctx, pause)
		pause = min(2*pause, maxPause)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// follow reads the log and publishes what comes, until something fails.
func (t *tail) follow(ctx context.Context) error {
	if !t.started {
		if err := t.start(ctx); err != nil {
			return err
		}
	} else if err := t.compare(ctx); err != nil {
		return err
	}
	compared, idle := time.Now(), false
	for {
		changes, err := t.read(ctx)
		if err != nil {
			return err
		}
		if t.failing {
			t.failing = false
			t.h.o.Log.InfoContext(ctx, "the log is followed again", "after", int64(t.seq))
		}
		if len(changes) > 0 {
			if err := t.publish(changes); err != nil {
				return err
			}
			idle = false
			continue
		}
		t.h.level()
		if time.Since(compared) >= checkEvery {
			if err := t.compare(ctx); err != nil {
				return err
			}
			compared = time.Now()
		}
		if idle {
			sleep(ctx, quiet)
		}
		if err := t.wait(ctx); err != nil {
			return err
		}
		idle = true
	}
}

// start finds where to begin: so far back that the ring is filled, for those who come back after a restart.
func (t *tail) start(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, t.h.o.ReadTimeout)
	defer cancel()
	newest, err := store.Tail(short, t.h.o.Feed)
	if err != nil {
		return err
	}
	t.seq = max(0, newest-knowledge.Seq(t.h.o.Ring))
	t.chain, t.linked, t.short, t.started = [32]byte{}, t.seq == 0, time.Time{}, true
	t.h.restart(t.seq)
	return nil
}

// read returns the next changes. A log that begins later than where the tail stands is followed from its beginning, and so is
// the mirror's part of it: who needs what comes before asks for it, and hears whether it is gone.
func (t *tail) read(ctx context.Context) ([]knowledge.Change, error) {
	short, cancel := context.WithTimeout(ctx, t.h.o.ReadTimeout)
	defer cancel()
	changes, err := t.h.o.Feed.Changes(short, knowledge.ChangeQuery{After: t.seq})
	if gone, ok := errors.AsType[*store.GoneError](err); ok && gone.Oldest > t.seq+1 {
		t.seq, t.linked = gone.Oldest-1, false
		t.h.restart(t.seq)
		return t.h.o.Feed.Changes(short, knowledge.ChangeQuery{After: t.seq})
	}
	return changes, err
}

// publish encodes changes and hands them on, once it is certain that they go on where the last ones ended.
func (t *tail) publish(changes []knowledge.Change) error {
	now := time.Now()
	events := make([]*event, len(changes))
	for i := range changes {
		c := &changes[i]
		if c.Seq != t.seq+1 || t.linked && knowledge.NextChain(t.chain, c) != c.Chain {
			return errReplaced
		}
		e, err := changeEvent(c, now)
		if err != nil {
			return err
		}
		events[i] = e
		t.seq, t.chain, t.linked = c.Seq, c.Chain, true
	}
	t.h.publish(events)
	return nil
}

// compare looks whether the log still holds the last change that was seen. A shorter log may be a mirror that is not there
// yet; it is another history when it stays short while the primary answers.
func (t *tail) compare(ctx context.Context) error {
	if t.seq == 0 {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, t.h.o.ReadTimeout)
	defer cancel()
	changes, err := t.h.o.Feed.Changes(short, knowledge.ChangeQuery{Newest: true, After: t.seq + 1, Limit: 1})
	if err != nil {
		return err
	}
	switch there := len(changes) > 0 && changes[0].Seq == t.seq; {
	case there && t.linked && changes[0].Chain != t.chain:
		return errReplaced
	case there, t.h.o.Level().Mode != knowledge.ModeNormal:
		t.short = time.Time{}
	case t.short.IsZero():
		t.short = time.Now()
	case time.Since(t.short) >= shortLimit:
		return errReplaced
	}
	return nil
}

// wait returns when there may be changes, or at the latest after the floor.
func (t *tail) wait(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, t.h.o.PollFloor)
	defer cancel()
	err := t.h.o.Feed.Wait(short, t.seq)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && short.Err() == nil {
		return fmt.Errorf("wait for changes: %w", err)
	}
	return nil
}
