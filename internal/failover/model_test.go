package failover_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

//nolint:gochecknoglobals // flags of the test
var (
	seedFlag   = flag.Uint64("seed", 0, "seed of the random outages; 0 takes several fixed ones")
	roundsFlag = flag.Int("rounds", 400, "steps of each random run")
)

// A sent batch, and what its writer heard.
type sent struct {
	batch   knowledge.Batch
	key     knowledge.Key
	base    int64
	receipt knowledge.Receipt
	err     error
}

// TestRandomOutagesLoseNothing drives writes, reads, faults and restarts at random, and compares what came of it with
// what the writers were told.
func TestRandomOutagesLoseNothing(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6}
	if *seedFlag != 0 {
		seeds = []uint64{*seedFlag}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range *roundsFlag {
				w.step()
			}
			w.settle()
			w.check()
		})
	}
}

// world is one primary, one instance over it, and the model of what both must hold.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	primary *faulty
	dir     string
	s       *failover.Store
	stop    func()
	close   func()
	all     []*sent
	seen    map[knowledge.Key]int64 // the newest version that the session was shown
	own     map[knowledge.Key]int64 // of these, what it wrote itself
	keys    []knowledge.Key
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, seed)), dir: t.TempDir(), seen: map[knowledge.Key]int64{},
		own:     map[knowledge.Key]int64{},
		primary: &faulty{Store: openEngine(t), system: "one"},
	}
	w.apply(knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "setup", Ops: []knowledge.Op{
		knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), 0),
	}})
	for i := range 6 {
		w.keys = append(w.keys, knowledge.Key{Kind: knowledge.KindRule, ID: fmt.Sprintf("R-%d", i)})
	}
	w.open()
	waitMirror(t, w.s)
	return w
}

func (w *world) apply(b knowledge.Batch) {
	w.t.Helper()
	if _, err := w.primary.engine().Apply(w.t.Context(), b); err != nil {
		w.t.Fatalf("set up: %v", err)
	}
}

func (w *world) open() {
	w.t.Helper()
	w.s, w.close = openInstance(w.t, w.dir, w.primary)
	w.stop = run(w.t, w.s)
}

func (w *world) step() {
	w.t.Helper()
	switch n := w.rand.IntN(100); {
	case n < 55:
		w.write()
	case n < 90:
		w.read()
	case n < 98:
		w.primary.set([]fault{healthy, healthy, healthy, refused, hangs, losesReply, readonly}[w.rand.IntN(7)])
	default:
		w.restart()
	}
}

// restart ends the instance without a farewell and begins another on the same files. A session ends with its process:
// what it wrote must still be there, what it read of others' may come back when the primary does.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.close()
	w.seen = maps.Clone(w.own)
	w.open()
}

func (w *world) write() {
	w.t.Helper()
	if len(w.all) > 0 && w.rand.IntN(10) == 0 { // a retry of a batch that was sent before
		old := w.all[w.rand.IntN(len(w.all))]
		w.send(&sent{batch: old.batch, key: old.key, base: old.base})
		return
	}
	key := w.keys[w.rand.IntN(len(w.keys))]
	if w.rand.IntN(4) == 0 {
		w.foreign(key)
		return
	}
	base := knowledge.NoVersion
	r, err := w.s.Get(w.t.Context(), key)
	if err == nil {
		base = r.Version
	} else if !errors.Is(err, store.ErrNotFound) {
		w.t.Fatalf("read %s: %v", key, err)
	}
	doc := storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Category = key.ID, "general"
		r.Title = fmt.Sprintf("written %d", len(w.all))
	})
	w.send(&sent{
		batch: knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "writer", Ops: []knowledge.Op{onto(doc, r)}},
		key:   key, base: base,
	})
}

// foreign writes at the primary past the instance, as another instance would.
func (w *world) foreign(key knowledge.Key) {
	w.t.Helper()
	doc := storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category = key.ID, "general" })
	w.apply(knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "other", Ops: []knowledge.Op{knowledge.Put(doc, 0)}})
}

func (w *world) send(s *sent) {
	s.receipt, s.err = w.s.Apply(w.t.Context(), s.batch)
	retried := slices.ContainsFunc(w.all, func(old *sent) bool { return old.batch.ID == s.batch.ID })
	w.all = append(w.all, s)
	if !retried && s.err == nil && len(s.receipt.Records) == 1 && s.receipt.Records[0] != nil && !s.receipt.Queued {
		w.shown(s.receipt.Records[0])
		w.own[s.key] = w.seen[s.key]
	}
}

// read checks that the session never goes back in time, unless a pending write of its own was parked.
func (w *world) read() {
	w.t.Helper()
	key := w.keys[w.rand.IntN(len(w.keys))]
	r, err := w.s.Get(w.t.Context(), key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if w.seen[key] > 0 {
			w.t.Errorf("%s was at version %d and is not found", key, w.seen[key])
		}
	case err != nil:
		w.t.Errorf("read %s: %v", key, err)
	default:
		w.shown(r)
	}
}

func (w *world) shown(r *knowledge.Record) {
	w.t.Helper()
	if r.Pending != (knowledge.BatchID{}) {
		return // provisional: the primary may decide otherwise
	}
	if r.Version < w.seen[r.Key] {
		w.t.Errorf("%s was at version %d and went back to %d (from %s)", r.Key, w.seen[r.Key], r.Version, r.Source)
	}
	w.seen[r.Key] = max(w.seen[r.Key], r.Version)
}

// settle heals the primary and waits until nothing waits any more.
func (w *world) settle() {
	w.t.Helper()
	w.primary.set(healthy)
	waitMode(w.t, w.s, knowledge.ModeNormal)
	st, err := w.s.Status(w.t.Context())
	if err != nil || st.Journal.Depth != 0 {
		w.t.Fatalf("journal holds %d batches in normal mode (%v)", st.Journal.Depth, err)
	}
}

func (w *world) check() {
	w.t.Helper()
	ctx := w.t.Context()
	changes := logOf(w.t, w.primary.engine())
	byBatch := map[knowledge.BatchID][]knowledge.Change{}
	versions := map[knowledge.Key]int64{}
	for _, c := range changes {
		byBatch[c.Batch] = append(byBatch[c.Batch], c)
		if c.Version != versions[c.Key]+1 {
			w.t.Errorf("change %d: %s went from version %d to %d", c.Seq, c.Key, versions[c.Key], c.Version)
		}
		versions[c.Key] = c.Version
	}
	parked, err := w.s.Conflicts(ctx, store.ParkedQuery{Resolved: true})
	if err != nil {
		w.t.Fatal(err)
	}
	isParked := map[knowledge.BatchID]bool{}
	for _, p := range parked {
		isParked[p.Entry.Batch.ID] = true
	}
	acked := map[knowledge.BatchID]bool{}
	for _, s := range w.all {
		acked[s.batch.ID] = acked[s.batch.ID] || s.err == nil
	}
	for _, s := range w.all {
		id, done := s.batch.ID, byBatch[s.batch.ID]
		switch {
		case len(done) > 1:
			w.t.Errorf("batch %s was applied %d times", id, len(done))
		case s.err == nil && !s.receipt.Queued && len(done) == 0:
			w.t.Errorf("batch %s was acknowledged as applied and is not there", id)
		case s.err == nil && !s.receipt.Queued && done[0].Version != s.receipt.Records[0].Version:
			w.t.Errorf("batch %s was told version %d and has %d", id, s.receipt.Records[0].Version, done[0].Version)
		case s.err == nil && s.receipt.Queued && (len(done) == 1) == isParked[id]:
			w.t.Errorf("batch %s was queued: applied %t, parked %t; want one of them", id, len(done) == 1, isParked[id])
		case s.err != nil && !acked[id] && len(done) != 0:
			w.t.Errorf("batch %s was refused (%v) and is there", id, s.err)
		case len(done) == 1 && s.base != done[0].Version-1 && (s.base != knowledge.NoVersion || done[0].Version != 1):
			w.t.Errorf("batch %s was made on version %d and replaced version %d", id, s.base, done[0].Version-1)
		}
	}
	for key, version := range versions {
		r, err := w.s.Get(ctx, key)
		if err != nil || r.Version != version {
			w.t.Errorf("%s is at version %d at the primary; the instance says %+v (%v)", key, version, versionOf(r),
				err)
		}
	}
	w.s.CheckMirror()
	waitFor(w.t, "the mirror was compared", func() bool {
		st, err := w.s.Status(ctx)
		return err == nil && st.Mirror.Compared.Seq == changes[len(changes)-1].Seq
	})
	if st, _ := w.s.Status(ctx); !st.Mirror.Compared.Equal {
		w.t.Errorf("mirror differs from the primary: %+v", st.Mirror)
	}
}

func versionOf(r *knowledge.Record) string {
	if r == nil {
		return "none"
	}
	return fmt.Sprintf("version %d from %s, pending %s", r.Version, r.Source, r.Pending)
}

// logOf returns a store's whole log.
func logOf(t testing.TB, s store.Store) []knowledge.Change {
	t.Helper()
	var all []knowledge.Change
	for after := knowledge.Seq(0); ; {
		changes, err := s.Changes(t.Context(), knowledge.ChangeQuery{After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 {
			return all
		}
		all = append(all, changes...)
		after = changes[len(changes)-1].Seq
	}
}

// waitFor polls a condition until it holds; what it waits for has no signal of its own.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !awaittest.Until(time.Minute, ok) {
		t.Fatalf("waited in vain until %s", what)
	}
}

// waitMirror waits until an instance has a complete mirror.
func waitMirror(t testing.TB, s *failover.Store) {
	t.Helper()
	waitFor(t, "there is a mirror", func() bool {
		st, err := s.Status(t.Context())
		return err == nil && st.Mirror.Ready
	})
}

func waitMode(t testing.TB, s *failover.Store, want knowledge.Mode) {
	t.Helper()
	t.Cleanup(func() {
		if st, err := s.Status(context.Background()); t.Failed() {
			t.Logf("status: %+v (%v)", st, err)
		}
	})
	waitFor(t, "the mode is "+string(want), func() bool { return s.Level().Mode == want })
}
