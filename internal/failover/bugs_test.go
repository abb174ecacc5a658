package failover_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A bug is something that breaks a law, seeded into what an instance is made of.
type bug struct {
	name   string
	seed   func(o *failover.Options) // nil for none
	breaks law                       // 0 for none
	drive  func(l *lab)
}

// TestTheJudgeFindsSeededBugs drives instances with a bug through outages, and expects the judge to name the law that
// the bug breaks. A judge that finds nothing here proves nothing in the fault matrix and the random outages. Without a
// bug it must find nothing.
func TestTheJudgeFindsSeededBugs(t *testing.T) {
	t.Parallel()
	for _, b := range []bug{
		{"none", nil, 0, func(l *lab) { l.fails(losesReply, refused, hangs, readonly, losesReply) }},
		{"none, in a failover", nil, 0, failsOver},
		{"a batch is sent again under another id", primary(func(p failover.Primary) failover.Primary {
			return &renaming{Primary: p}
		}), staysApplied, hopeless},
		{
			"no version is compared", primary(func(p failover.Primary) failover.Primary { return &unchecking{p} }),
			overwritesSeen, outages,
		},
		{"the journal forgets", func(o *failover.Options) { o.Journal = &leaky{Journal: o.Journal} }, endsOneWay, hopeless},
		{"an unknown outcome is taken for a refusal", certainty, staysRefused, outages},
		{"a floor is forgotten", func(o *failover.Options) {
			o.Mirror = &belated{o.Mirror}
			primary(func(p failover.Primary) failover.Primary { return &tardy{p} })(o)
		}, neverGoesBack, outages},
		{
			"an ETag is read at another moment than its content",
			func(o *failover.Options) { o.Mirror = &mixing{Mirror: o.Mirror} }, tellsTruth, outages,
		},
		{"a read index is of the past", func(o *failover.Options) {
			o.Mirror = &late{o.Mirror}
			primary(func(p failover.Primary) failover.Primary { return &dated{Primary: p} })(o)
		}, linearizable, busily},
		{"rights are read from the past", pastRights, rightsOfNow, outages},
		{
			"a follower misses a new history", func(o *failover.Options) { o.Mirror = &stuck{Mirror: o.Mirror} }, endsEqual,
			failsOver,
		},
	} {
		t.Run(b.name, func(t *testing.T) {
			l := newLab(t, 2, b.seed)
			b.drive(l)
			if b.breaks == 0 {
				l.check()
				return
			}
			faults := l.judge()
			i := slices.IndexFunc(faults, func(f breach) bool { return f.law == b.breaks })
			if i < 0 {
				t.Fatalf("the judge does not find that law %d is broken; it says: %v", b.breaks, faults)
			}
			t.Logf("%d faults, among them: %s", len(faults), faults[i])
		})
	}
}

// A lab is some instances in this process, over an engine that fails on demand.
type lab struct {
	*cluster
	primary *faulty
}

func newLab(t *testing.T, n int, seed func(*failover.Options)) *lab {
	t.Helper()
	engine, err := sqlite.Open(t.Context(), storetest.File(t, "grounds.db", grounded),
		sqlite.Options{CheckLimit: -1, Frozen: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	l := &lab{primary: &faulty{Store: engine, system: "one"}}
	l.cluster = &cluster{t: t, site: &site{}, look: engine, pace: 3 * time.Millisecond, patience: time.Minute}
	l.start = func(n *node) {
		s, closeFiles := openInstance(t, n.dir, l.primary, func(o *failover.Options) {
			o.Recovery, o.Authorize = 200*time.Millisecond, guestsOfNow
			o.Wait(failover.Waits{
				ReadWait: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second, ConnectTimeout: time.Second,
			})
			if seed != nil {
				seed(o)
			}
		})
		stop := run(t, s)
		n.s, n.end = s, func() { stop(); closeFiles() }
	}
	l.begin(n, "")
	return l
}

// grounded makes a database of what all clusters begin with.
func grounded(path string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	b := grounds()
	b.Ops = append(b.Ops, knowledge.Put(storetest.Principal(func(p *knowledge.Principal) { p.PrincipalID = guest }), 0))
	_, err = s.Apply(ctx, b)
	return errors.Join(err, s.Close())
}

// outages lets the primary fail under load. In one outage a writer whose batch waits is retired.
func outages(l *lab) { l.fails(losesReply, refused, losesReply) }

// fails lets the primary fail in several ways, one after the other.
func (l *lab) fails(ways ...fault) {
	l.load(func() {
		for _, f := range ways {
			l.more(40)
			l.primary.set(f)
			l.more(80)
			if f == refused {
				l.retireGuest()
			}
			l.primary.set(healthy)
			l.settle()
		}
		l.more(40)
	})
}

// hopeless is outages of instances that come back to normal late, or never.
func hopeless(l *lab) {
	l.patience = time.Second
	outages(l)
}

// busily lets clients read and write, and nothing else.
func busily(l *lab) { l.load(func() { l.more(1500) }) }

// failsOver puts a standby in the primary's place that lacks the last writes.
func failsOver(l *lab) {
	l.site.forgets = true
	l.load(func() {
		l.more(200)
		path := filepath.Join(l.t.TempDir(), "standby.db")
		if err := l.primary.Store.(*sqlite.Store).Backup(l.t.Context(), path); err != nil {
			l.t.Fatal(err)
		}
		standby, err := sqlite.Open(l.t.Context(), path, sqlite.Options{})
		if err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(func() { standby.Close() })
		l.until("writes that the standby lacks", time.Now(), 40, wasDirect)
		var s store.Store = standby
		l.primary.other.Store(&s)
		l.look = standby
		l.until("writes to reach the standby", time.Now(), 40, wasDirect)
	})
}

// guest is a writer who is retired while what it wrote waits.
const guest = "guest"

// retireGuest lets the guest write at the first instance and then retires it at the primary, which the instances can't
// reach.
func (l *lab) retireGuest() {
	l.t.Helper()
	n := l.nodes[0]
	n.mu.RLock()
	defer n.mu.RUnlock()
	s := l.session(n, guest, nil)
	w := &write{title: "by a guest", on: []showing{{version: knowledge.NoVersion}}, batch: knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: guest, Ops: []knowledge.Op{knowledge.Put(rule("of-a-guest"), knowledge.NoVersion)},
	}}
	s.send(w)
	if s.done[w.batch.ID] && !w.receipt.Queued {
		l.t.Error("the guest's batch is not queued: the test tests nothing")
	}
	_, err := l.primary.engine().Apply(l.t.Context(), knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: setup,
		Ops: []knowledge.Op{{Verb: knowledge.VerbRetire, Key: guestKey()}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

func guestKey() knowledge.Key { return knowledge.Key{Kind: knowledge.KindPrincipal, ID: guest} }

// guestsOfNow forbids the batches of a guest who was retired.
func guestsOfNow(ctx context.Context, now failover.Lookup, caller string, _ *knowledge.Batch) error {
	if caller != guest {
		return nil
	}
	r, err := now(ctx, guestKey())
	if err != nil {
		return err
	}
	if !r.Active {
		return &store.ForbiddenError{Reason: "the guest was retired"}
	}
	return nil
}

// pastRights asks the mirror who the guest was when its batch was journalled.
func pastRights(o *failover.Options) {
	j := &recalling{Journal: o.Journal, mirror: o.Mirror}
	o.Journal = j
	o.Authorize = func(ctx context.Context, _ failover.Lookup, caller string, b *knowledge.Batch) error {
		return guestsOfNow(ctx, func(context.Context, knowledge.Key) (*knowledge.Record, error) {
			r := j.was.Load()
			if r == nil {
				return nil, store.ErrNotFound
			}
			return r, nil
		}, caller, b)
	}
}

// A recalling journal notes who the guest is whenever it takes a batch.
type recalling struct {
	failover.Journal
	mirror failover.Mirror
	was    atomic.Pointer[knowledge.Record]
}

func (j *recalling) Append(ctx context.Context, e store.Entry) error {
	if r, err := j.mirror.Get(ctx, guestKey()); err == nil && e.Caller == guest {
		j.was.Store(r)
	}
	return j.Journal.Append(ctx, e)
}

// primary puts something before every primary that an instance opens.
func primary(wrap func(failover.Primary) failover.Primary) func(*failover.Options) {
	return func(o *failover.Options) {
		connect := o.Connect
		o.Connect = func(ctx context.Context) (failover.Primary, error) {
			p, err := connect(ctx)
			if err != nil {
				return nil, err
			}
			return wrap(p), nil
		}
	}
}

// A renaming primary gives a batch that it has met before another id: what was done is done again.
type renaming struct {
	failover.Primary
	met sync.Map
}

func (r *renaming) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if _, again := r.met.LoadOrStore(b.ID, true); again {
		b.ID, b.Ops = knowledge.NewBatchID(), unconditional(b.Ops) // else its own first try would stand in its way
	}
	return r.Primary.Apply(ctx, b)
}

// An unchecking primary overwrites whatever is there.
type unchecking struct{ failover.Primary }

func (u *unchecking) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	b.Origin, _ = b.Fingerprint()
	b.Ops = unconditional(b.Ops)
	return u.Primary.Apply(ctx, b)
}

func unconditional(ops []knowledge.Op) []knowledge.Op {
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].IfVersion, ops[i].IfBatch = knowledge.AnyVersion, knowledge.BatchID{}
	}
	return ops
}

// A leaky journal says that it has taken every batch, and does not keep every third.
type leaky struct {
	failover.Journal
	n atomic.Int64
}

func (f *leaky) Append(ctx context.Context, e store.Entry) error {
	if f.n.Add(1)%3 == 0 {
		return nil
	}
	return f.Journal.Append(ctx, e)
}

// certainty lets an instance be sure that what was not answered was not done, and say so.
func certainty(o *failover.Options) {
	o.RefuseWrites = true
	primary(func(p failover.Primary) failover.Primary { return &certain{p} })(o)
}

type certain struct{ failover.Primary }

func (c *certain) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	rec, err := c.Primary.Apply(ctx, b)
	if errors.Is(err, store.ErrUnavailable) {
		return rec, &store.UnavailableError{Reason: "sure that nothing was done", NotDone: true, Err: err}
	}
	return rec, err
}

// belated says that it has shown what was acknowledged, and shows it when the feed brings it: no floor is raised.
type belated struct{ failover.Mirror }

func (belated) Foresee(context.Context, []store.Left) error { return nil }

// tardy is a primary whose feed takes its time, so that somebody reads before it has brought what was acknowledged.
type tardy struct{ failover.Primary }

func (t *tardy) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	select {
	case <-time.After(30 * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return t.Primary.Changes(ctx, q)
}

// A late mirror takes its time to follow.
type late struct{ failover.Mirror }

func (l *late) Replicate(ctx context.Context, changes []knowledge.Change) error {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
	}
	return l.Mirror.Replicate(ctx, changes)
}

// A dated primary tells for ever what its newest change was when it was first asked.
type dated struct {
	failover.Primary
	first atomic.Int64
}

func (d *dated) Newest(ctx context.Context) (knowledge.Seq, error) {
	seq, err := d.Primary.Newest(ctx)
	if err == nil {
		d.first.CompareAndSwap(0, int64(seq))
	}
	return knowledge.Seq(d.first.Load()), err
}

// mixing shows the text of a look before under what a document is called now.
type mixing struct {
	failover.Mirror
	last sync.Map // by key
}

func (m *mixing) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	r, err := m.Mirror.Get(ctx, key)
	if err != nil {
		return r, err
	}
	before, had := m.last.Swap(key, r)
	if !had {
		return r, nil
	}
	mixed := *r
	mixed.JSON = before.(*knowledge.Record).JSON
	return &mixed, nil
}

// A stuck mirror that is made anew takes the place in the new history, and keeps the documents of the old.
type stuck struct {
	failover.Mirror
	made atomic.Bool
}

func (m *stuck) Rebuild(ctx context.Context, fill func(store.Sink) error, newer func() []store.Left) error {
	if m.made.Swap(true) {
		was := fill
		fill = func(to store.Sink) error {
			return was(&keeping{to, func(key knowledge.Key) (*knowledge.Record, error) { return m.Get(ctx, key) }})
		}
	}
	return m.Mirror.Rebuild(ctx, fill, newer)
}

type keeping struct {
	store.Sink
	old func(key knowledge.Key) (*knowledge.Record, error)
}

func (k *keeping) Record(r *knowledge.Record) error {
	if was, err := k.old(r.Key); err == nil {
		r = was
	}
	return k.Sink.Record(r)
}
