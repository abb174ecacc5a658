package failover_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A borrowed replica leaves its engine open: the test owns it.
type borrowed struct {
	*faulty
	breaks bool // in the middle of a snapshot
}

func (b *borrowed) Snapshot(ctx context.Context, versions int, sink store.Sink) error {
	if b.breaks {
		sink = broken{sink}
	}
	return b.faulty.Snapshot(ctx, versions, sink)
}

func (*borrowed) Close() error { return nil }

// broken is a sink whose source is cut off after the beginning.
type broken struct{ store.Sink }

func (broken) Record(*knowledge.Record) error {
	return &store.UnavailableError{Reason: "terminating connection due to conflict with recovery"}
}

func TestAMirrorIsBuiltFromTheReplica(t *testing.T) {
	t.Parallel()
	filled := func(n int) store.Store {
		engine := openEngine(t)
		for range n {
			if _, err := engine.Apply(t.Context(),
				storetest.Batch(knowledge.Put(storetest.Category(), 0))); err != nil {
				t.Fatal(err)
			}
		}
		return engine
	}
	const n = 3
	for name, test := range map[string]struct {
		change  func(*borrowed)
		refused string // why the primary is read instead; "" if it is not
	}{
		"of the primary's log": {func(*borrowed) {}, ""},
		"of another cluster":   {func(r *borrowed) { r.system = "two" }, "cluster two"},
		"of an older time": {
			func(r *borrowed) { r.Store = filled(n - 1) },
			"up to change 2, and the primary up to 3",
		},
		"of another log": {
			func(r *borrowed) { r.Store = filled(n) },
			"another log than the primary at change 3",
		},
		"that can't be reached":    {func(r *borrowed) { r.set(refused) }, "connection refused"},
		"that breaks in the midst": {func(r *borrowed) { r.breaks = true }, "conflict with recovery"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &faulty{Store: filled(n), system: "one"}
			r := &borrowed{faulty: &faulty{Store: p.Store, system: "one"}}
			test.change(r)
			log := &lines{}
			s, _ := openInstance(t, t.TempDir(), p, patient, func(o *failover.Options) {
				o.Log = slog.New(log)
				o.Wait(failover.Waits{ConnectTimeout: 2 * time.Second})
				o.Replica = func(context.Context) (failover.Replica, error) { return r, nil }
			})
			run(t, s)
			waitMirror(t, s)
			said := strings.Join(log.warnings(), "\n")
			if passed := strings.Contains(said, "can't be built from the replica"); passed != (test.refused != "") ||
				!strings.Contains(said, test.refused) {
				t.Errorf("want a warning with %q only if the replica was refused, in\n%s", test.refused, said)
			}
			if n, want := p.snapshots.Load(), int64(min(len(test.refused), 1)); n != want {
				t.Errorf("the primary was read %d times, want %d", n, want)
			}
			page, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindCategory})
			if err != nil || len(page.Records) != n || page.Source != knowledge.SourceMirror {
				t.Errorf("a list: %+v and %v, want %d documents of the mirror", page, err, n)
			}
		})
	}
}

// TestAReplicaThatCantBeOpenedIsPassedOver also finds that its errors say nothing about the primary.
func TestAReplicaThatCantBeOpenedIsPassedOver(t *testing.T) {
	t.Parallel()
	p := &faulty{Store: openEngine(t), system: "one"}
	s, _ := openInstance(t, t.TempDir(), p, patient, func(o *failover.Options) {
		o.Replica = func(context.Context) (failover.Replica, error) { return nil, errors.New("no route to host") }
	})
	run(t, s)
	waitMirror(t, s)
	if st, err := s.Status(t.Context()); err != nil || len(st.Errors) > 0 {
		t.Errorf("the status: %v and %v, want no error of the primary", st.Errors, err)
	}
}
