package failover_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// heldBack is a mirror that does not follow while it is held.
type heldBack struct {
	failover.Mirror
	held atomic.Pointer[chan struct{}] // closed to let it go
}

func (m *heldBack) Replicate(ctx context.Context, changes []knowledge.Change) error {
	if held := m.held.Load(); held != nil {
		select {
		case <-*held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return m.Mirror.Replicate(ctx, changes)
}

// fullJournal is a journal whose disk is full while it is on.
type fullJournal struct {
	failover.Journal
	on atomic.Bool
}

func (j *fullJournal) Append(ctx context.Context, e store.Entry) error {
	if j.on.Load() {
		return &store.UnavailableError{Reason: "the disk of the data directory is full", NotDone: true}
	}
	return j.Journal.Append(ctx, e)
}

// TestAWriteWhoseOutcomeNobodyKeptIsNotRefused sends a batch to a primary that applies it and loses the answer. The
// journal does not get it: its disk is full, or the caller has disconnected. The mirror does not show it, and when it
// is sent again in the outage, it conflicts with what the mirror shows. It must not be refused: it was done.
func TestAWriteWhoseOutcomeNobodyKeptIsNotRefused(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"the journal's disk is full": false, "the caller has disconnected": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mirror, journal := &heldBack{}, &fullJournal{}
			c := newScene(t, func(o *failover.Options) {
				mirror.Mirror, o.Mirror, journal.Journal, o.Journal = o.Mirror, mirror, o.Journal, journal
			})
			c.past(knowledge.Put(rule("R"), 0))
			c.follow()
			held := make(chan struct{})
			mirror.held.Store(&held)
			c.past(knowledge.Op{Verb: knowledge.VerbPurge, Key: ruleKey("R")})

			b := batchOf(knowledge.Put(rule("R"), knowledge.NoVersion))
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if gone {
				c.primary.onApply = leave
			}
			journal.on.Store(true)
			c.primary.set(losesReply)
			_, err := c.s.Apply(ctx, b)
			if u, ok := errors.AsType[*store.UnavailableError](err); !gone && (!ok || u.NotDone) ||
				gone && !errors.Is(err, context.Canceled) {
				t.Fatalf("a batch whose outcome is not known: %v", err)
			}
			waitFor(t, "the primary has it, and its answer is lost", func() bool {
				list, err := c.primary.engine().Changes(t.Context(), knowledge.ChangeQuery{Batch: b.ID})
				return err == nil && len(list) == 1 && c.primary.underway.Load() == 0
			})
			journal.on.Store(false)
			c.primary.set(refused)
			for c.status().Mode != knowledge.ModeDegraded { // the breaker opens after three failures
				c.write(knowledge.Put(rule("other"), knowledge.AnyVersion))
			}
			rec, err := c.s.Apply(t.Context(), b)
			if err != nil || !rec.Queued {
				t.Fatalf("sent again in the outage: %+v, %v; want it queued", rec, err)
			}
			close(held)
			c.primary.set(healthy)
			waitMode(t, c.s, knowledge.ModeNormal)
			if st, err := c.s.Batch(t.Context(), b.ID); err != nil || st.State != knowledge.BatchApplied {
				t.Errorf("in the end it is %s, %v; want it applied", st.State, err)
			}
		})
	}
}
