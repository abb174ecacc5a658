package failover_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// Why laws can't hold without the primary.
const (
	purges   = "it purges, and purges wait for the primary"
	believed = "a version that the mirror does not know may be there at the primary: it is believed, and checked by " +
		"the replay"
)

// byBatch writes as a caller does who takes conditions from what is shown: of what waits, the batch in place of the
// version.
type byBatch struct{ store.Store }

func (s *byBatch) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	sent, err := b.Fingerprint()
	if err != nil { // what is wrong with it the store says
		return s.Store.Apply(ctx, b)
	}
	b.Origin, b.Ops = sent, append([]knowledge.Op(nil), b.Ops...)
	for i := range b.Ops {
		op := &b.Ops[i]
		if op.IfVersion <= 0 {
			continue
		}
		if r, err := s.Get(ctx, op.Key); err == nil && r.Version == op.IfVersion && r.Pending != (knowledge.BatchID{}) {
			op.IfVersion, op.IfBatch = knowledge.AnyVersion, r.Pending
		}
	}
	rec, err := s.Store.Apply(ctx, b)
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
		conflict.GotBatch = knowledge.BatchID{} // the laws don't know that anything waits
	}
	return rec, err
}

// TestStoreKeepsTheContractInDegradedMode holds an instance to the laws whose primary has gone after its mirror was
// made: every write is queued, every read is answered by the mirror. What can't hold then is named, with the reason.
func TestStoreKeepsTheContractInDegradedMode(t *testing.T) {
	storetest.RunWith(t, storetest.Options{
		Queued: true,
		Open: func(t testing.TB) store.Store {
			p := &faulty{Store: openEngine(t), system: "one"}
			s, _ := openInstance(t, t.TempDir(), p,
				func(o *failover.Options) {
					o.Recovery = time.Hour
					o.Wait(failover.Waits{Soon: time.Hour})
				})
			run(t, s)
			waitFor(t, "the instance is level", func() bool {
				st, err := s.Status(t.Context())
				return err == nil && st.Mirror.Ready && st.Mode == knowledge.ModeNormal
			})
			p.set(refused)
			waitMode(t, s, knowledge.ModeDegraded)
			return &byBatch{s}
		},
		Skip: map[string]string{
			"a key that can't exist is not found or invalid and no driver's error":  purges,
			"kinds may be mixed in one batch and a rule may come with its category": purges,
			"purge removes a document": purges,
			"a document written anew after a purge continues its version numbers": purges,
			"what others refer to can't be purged":                                purges,
			"a reference must name a document that is there":                      purges,
			"a cursor returns every document once whatever is written meanwhile":  purges,
			"a search follows what is written":                                    purges,
			"a purge of what a batch has left":                                    purges,
			"a batch keeps its actor and its time": "the restore of an export waits " +
				"for the primary",
			"a batch that fails in its last op has done nothing": believed,
			"a batch of very many ops happens whole":             believed,
			"a stale version is ErrConflict with the details":    believed,
			"an op on a missing document is ErrNotFound":         believed,
		},
	})
}
