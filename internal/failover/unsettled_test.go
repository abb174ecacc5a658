package failover_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

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
			mirror, journal := &gated{}, &fullJournal{}
			c := newScene(t, behind(mirror), func(o *failover.Options) { journal.Journal, o.Journal = o.Journal, journal })
			c.past(knowledge.Put(rule("R"), 0))
			c.follow()
			mirror.shut.Store(true)
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
			c.degrade()
			_, err = c.s.Apply(t.Context(), b)
			if u, ok := errors.AsType[*store.UnavailableError](err); !ok || u.NotDone {
				t.Fatalf("sent again in the outage: %v; want an answer that leaves its outcome open", err)
			}
			mirror.shut.Store(false)
			c.primary.set(healthy)
			waitMode(t, c.s, knowledge.ModeNormal)
			if rec, err := c.s.Apply(t.Context(), b); err != nil || rec.Queued || rec.Seq == 0 {
				t.Errorf("sent again when the primary is back: %+v, %v; want its first answer", rec, err)
			}
		})
	}
}

// TestABatchOfBeforeAStartIsNotDecidedTwice sends a batch again, in an outage, to a process that began after the batch
// was made. The process before may have sent it, and the primary may get to it late: it must be replayed under the
// conditions that it was made with, or what is parked here is applied there.
func TestABatchOfBeforeAStartIsNotDecidedTwice(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("made before the start %t", before), func(t *testing.T) {
			t.Parallel()
			c := newScene(t)
			c.past(knowledge.Put(titled("R", "first"), 0))
			c.follow()
			b := batchOf(knowledge.Put(titled("R", "mine"), knowledge.AnyVersion))
			want := knowledge.BatchApplied
			if !before {
				b.ID, want = knowledge.BatchID{}, knowledge.BatchParked
			}
			c.end()
			c.open()
			waitMode(t, c.s, knowledge.ModeNormal)
			if !before {
				b.ID = knowledge.NewBatchID()
			}
			c.degrade()
			c.past(knowledge.Put(titled("R", "theirs"), 1))
			if rec, err := c.s.Apply(t.Context(), b); err != nil || !rec.Queued {
				t.Fatalf("in the outage: %+v, %v; want it queued", rec, err)
			}
			c.primary.set(healthy)
			waitMode(t, c.s, knowledge.ModeNormal)
			if st, err := c.s.Batch(t.Context(), b.ID); err != nil || st.State != want {
				t.Errorf("in the end it is %s, %v; want it %s", st.State, err, want)
			}
		})
	}
}

// TestABatchOfBeforeAStartIsNotLaidOverLaterWork sends a batch again that was done, to a process that does not know it,
// when its writer has already gone on.
func TestABatchOfBeforeAStartIsNotLaidOverLaterWork(t *testing.T) {
	t.Parallel()
	g := &gated{}
	c := newScene(t, behind(g))
	g.shut.Store(true)
	first := batchOf(knowledge.Put(titled("R", "first"), knowledge.NoVersion))
	if rec, err := c.s.Apply(t.Context(), first); err != nil || rec.Queued {
		t.Fatalf("the first: %+v, %v", rec, err)
	}
	c.end()
	c.primary.set(refused)
	c.open()
	c.degrade()
	second := c.write(knowledge.Put(titled("R", "second"), 1))
	_, err := c.s.Apply(t.Context(), first)
	if u, ok := errors.AsType[*store.UnavailableError](err); !ok || u.NotDone {
		t.Errorf("the first, sent again: %v; want an answer that leaves its outcome open", err)
	}
	if r, err := c.s.Get(t.Context(), ruleKey("R")); err != nil || r.Pending != second.Batch {
		t.Errorf("then it reads as %+v, %v; want the second, which waits", r, err)
	}
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	if st, err := c.s.Batch(t.Context(), second.Batch); err != nil || st.State != knowledge.BatchApplied {
		t.Errorf("in the end the second is %s, %v; want it applied", st.State, err)
	}
}
