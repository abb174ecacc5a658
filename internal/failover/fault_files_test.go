package failover_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store"
)

// TestFaultsOfAMirrorsFile damages or deletes the mirror of an instance that runs, or does not, while PostgreSQL is
// there, or is not. The journal survives all of that, no answer is ever a wrong one, and the mirror is made anew by
// itself.
func TestFaultsOfAMirrorsFile(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	c := newCluster(t, newSite(t, server), 2)
	for _, what := range []struct {
		name string
		do   func(testing.TB, string)
	}{{"damaged", damage}, {"deleted", deleteFile}} {
		for _, runs := range []bool{true, false} {
			for _, up := range []bool{true, false} {
				// One of each class runs everywhere.
				if damaged := what.name == "damaged"; (damaged != runs || runs != up) && os.Getenv(soakEnv) == "" {
					continue
				}
				name := what.name + map[bool]string{true: " while it runs", false: " while it is stopped"}[runs] +
					map[bool]string{true: ", with PostgreSQL", false: ", in an outage"}[up]
				well := t.Run(name, func(t *testing.T) {
					c.within(t, func() { mirrorFault(c, server, what.do, runs, up) })
				})
				if !well {
					return // what it has left behind would be the next one's fault
				}
			}
		}
	}
}

func mirrorFault(c *cluster, server *pgtest.Server, do func(testing.TB, string), runs, up bool) {
	t := c.t
	t.Helper()
	in := c.instance(0)
	builds := in.status(t).Mirror.Builds + 1
	waits := int64(0)
	var outage time.Time // when it began; the end of the load where there is none
	hurt := func() { do(t, filepath.Join(in.dir, "mirror.db")) }
	c.load(func() {
		c.until("writes to be done", time.Now(), 20, wasTaken)
		if runs && up {
			hurt()
			in.CheckMirror() // what lies in memory hides it for long
			pgtest.Await(t, "the mirror to be made anew under load",
				func() bool { return in.status(t).Mirror.Builds >= builds })
			return
		}
		if !up {
			outage = time.Now()
			server.Kill()
			c.until("writes to wait", outage, 30, wasQueued)
		}
	})
	if up {
		outage = time.Now()
	} else {
		waits = in.status(t).Journal.Depth
		if waits == 0 {
			t.Error("nothing waits in the journal: the test tests nothing")
		}
	}
	switch {
	case runs && !up:
		hurt()
		c.askAll(in, outage)
	case !runs:
		in.end()
		hurt()
		c.again(c.nodes[0])
		in = c.instance(0)
		if st := in.status(t); !up && (st.Mode != knowledge.ModeCold || st.Mirror.State != failover.MirrorNone ||
			in.Ready() == nil) {
			t.Errorf("started without a mirror and without PostgreSQL: %+v", st)
		}
		c.askAll(in, outage)
	}
	if st := in.status(t); !up && st.Journal.Depth < waits {
		t.Errorf("%d batches waited, and %d are left", waits, st.Journal.Depth)
	}
	if !up {
		server.Start()
	}
	if runs && !up {
		in.CheckMirror()
	}
	if !runs {
		builds = 1 // of a new process
	}
	pgtest.Await(t, "the mirror to be made anew", func() bool {
		st := in.status(t)
		return st.Mirror.Builds >= builds && st.Mirror.State == failover.MirrorReady
	})
	c.settle()
	began := time.Now()
	c.load(func() { c.until("writes to be done as before", began, 20, wasDirect) })
	c.check()
}

// status returns how an instance stands.
func (in *instance) status(t testing.TB) failover.Status {
	t.Helper()
	st, err := in.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// askAll asks an instance for what is always there and for what clients wrote: each answer is the right one, or says
// that there is none now. It never is an empty list, and never a document that is not found. What was queued since an
// outage began still waits.
func (c *cluster) askAll(in *instance, outage time.Time) {
	c.t.Helper()
	ctx := c.t.Context()
	page, err := in.List(ctx, knowledge.Query{Kind: knowledge.KindRule, Category: "bulk", Limit: knowledge.MaxLimit})
	if !errors.Is(err, store.ErrUnavailable) && (err != nil || len(page.Records) != bulk) {
		c.t.Errorf("a list: %v, %v", page, err)
	}
	wrote := map[knowledge.Key]string{} // the last title of each
	waits := map[knowledge.Key]bool{}
	for _, one := range c.history.all() {
		w := one.write
		if w == nil || w.shared || one.err != nil || w.again || !strings.HasPrefix(one.by, "I0") {
			continue
		}
		for i := range w.batch.Ops {
			wrote[w.batch.Ops[i].Key] = w.title
			waits[w.batch.Ops[i].Key] = w.receipt.Queued && one.began.After(outage)
		}
	}
	answered := 0
	for key, title := range wrote {
		r, err := in.Get(ctx, key)
		switch {
		case errors.Is(err, store.ErrUnavailable) && !waits[key]:
		case err != nil:
			c.t.Errorf("read %s, which waits: %t: %v", key, waits[key], err)
		case titleOf(c.t, r) != title:
			c.t.Errorf("%s was last written as %q and reads %q", key, title, titleOf(c.t, r))
		default:
			answered++
		}
	}
	c.t.Logf("%d of %d documents were answered", answered, len(wrote))
}

// TestAnInstanceOlderThanTheSchemaServesItsMirror starts an instance on a database that a newer program has migrated:
// it says so, answers from its mirror, refuses writes, and keeps its journal until the right program comes.
func TestAnInstanceOlderThanTheSchemaServesItsMirror(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	c := newCluster(t, newSite(t, server), 2)
	in := c.instance(0)
	c.load(func() {
		c.until("writes to be done", time.Time{}, 20, wasTaken)
		began := time.Now()
		server.Kill()
		c.until("writes to wait", began, 30, wasQueued)
	})
	waits := in.status(t).Journal.Depth
	in.end()
	server.Start()
	pgtest.Exec(t, c.site.url, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)")
	c.again(c.nodes[0])
	in = c.instance(0)
	pgtest.Await(t, "the schema to be refused", func() bool { return in.status(t).Halt != "" })
	if st := in.status(t); st.Mode != knowledge.ModeDegraded || st.Journal.Depth != waits || in.Ready() != nil {
		t.Errorf("on a newer schema: %+v, want degraded, ready, and %d batches waiting", st, waits)
	}
	if page, err := in.List(t.Context(), knowledge.Query{
		Kind: knowledge.KindRule, Category: "bulk",
		Limit: knowledge.MaxLimit,
	}); err != nil || len(page.Records) != bulk {
		t.Errorf("a list: %v, %v", page, err)
	}
	c.askAll(in, time.Time{})
	_, err := in.Apply(t.Context(), batchOf(knowledge.Put(rule("too-new"), 0)))
	if u, ok := errors.AsType[*store.UnavailableError](err); !ok || !u.Halt || !u.NotDone || u.Err == nil {
		t.Errorf("a write on a newer schema: %v, want a refusal that says why", err)
	} else {
		t.Logf("a write is refused: %v", err)
	}
	pgtest.Exec(t, c.site.url, "DELETE FROM goose_db_version WHERE version_id = 99")
	c.check()
}

// TestFaultsOfClocks sets the clock on the wall of one instance back, and then forwards, while PostgreSQL is stopped,
// comes back, takes no writes: what is told as current never is younger than it is, and nothing waits for the clock.
func TestFaultsOfClocks(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	for _, step := range []time.Duration{-time.Hour, 50 * 24 * time.Hour} {
		if step > 0 && os.Getenv(soakEnv) == "" {
			continue // the other one shows what steps do
		}
		t.Run(step.String(), func(t *testing.T) {
			s := newSite(t, server)
			s.skewed = true
			var ahead atomic.Int64
			s.outage = func(o *failover.Options) {
				o.Wait(failover.Waits{Wall: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
			}
			c := newCluster(t, s, 2)
			in := c.instance(0)
			var settled time.Time
			c.load(func() {
				c.until("writes to be done", time.Time{}, 20, wasTaken)
				began := time.Now()
				readOnly(t, s.url, "on")
				c.until("writes to wait for a primary that takes none", began, 20, wasQueued)
				ahead.Store(int64(step))
				stepped := time.Now()
				readOnly(t, s.url, "off")
				c.until("writes to reach the primary after the step", stepped, 20, wasDirect)
				began = time.Now()
				server.Pause()
				c.until("writes to wait", began, 20, wasQueued)
				pgtest.Await(t, "the instance to give the primary up",
					func() bool { return in.Level().Mode == knowledge.ModeDegraded })
				settled = time.Now()
				ahead.Store(0)
				c.notYounger(in, time.Now, settled)
				ahead.Store(int64(step))
				c.notYounger(in, func() time.Time { return time.Now().Add(step) }, settled)
				if st := in.status(t); st.Mirror.Lag > time.Since(began).Seconds()+5 {
					t.Errorf("the mirror is said to be %v s old, and the outage lasts %v", st.Mirror.Lag,
						time.Since(began))
				}
				ahead.Store(-int64(step))
				server.Continue()
				began = time.Now()
				c.until("writes to reach the primary", began, 20, wasDirect)
			})
			c.check()
		})
	}
}

// notYounger checks that an instance which has given its primary up some time ago does not claim to know it as of
// later, whatever the clock shows.
func (c *cluster) notYounger(in *instance, wall func() time.Time, gaveUp time.Time) {
	c.t.Helper()
	hold(c.t, 20*time.Millisecond)
	ago := time.Since(gaveUp)
	if asOf := in.Level().AsOf.Time; asOf.After(wall().Add(-ago)) {
		c.t.Errorf("as of %v, at %v by the clock, %v after the primary was given up", asOf, wall(), ago)
	}
}

// TestADamagedMirrorIsNoReasonNotToStart damages a mirror that is too large to be looked over at the start, and whose
// journal is not empty.
func TestADamagedMirrorIsNoReasonNotToStart(t *testing.T) {
	t.Parallel()
	c := newScene(t)
	c.write(knowledge.Put(rule("A"), 0))
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	if rec := c.write(knowledge.Put(rule("A"), 0)); !rec.Queued {
		t.Fatal("the batch is not queued")
	}
	c.end()
	unread := &unreadable{}
	c.open(func(o *failover.Options) { unread.Mirror, o.Mirror = o.Mirror, unread })
	if r, err := c.s.Get(t.Context(), ruleKey("A")); err != nil || r.Pending == (knowledge.BatchID{}) {
		t.Errorf("a document with a waiting batch: %v, %v, want it from the journal", r, err)
	}
	if _, err := c.s.Get(t.Context(), ruleKey("B")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a document of a damaged mirror: %v", err)
	}
	if st, err := c.s.Status(t.Context()); err != nil || st.Mirror.State != failover.MirrorFailing ||
		st.Mirror.Why == "" || st.Journal.Depth != 1 {
		t.Errorf("status: %+v, %v", st, err)
	}
	waitFor(t, "readiness says what reads get", func() bool { return c.s.Ready() != nil })
	c.primary.set(healthy)
	waitFor(t, "the mirror is made anew and the journal drained", func() bool {
		st, err := c.s.Status(t.Context())
		return err == nil && st.Mirror.State == failover.MirrorReady && st.Journal.Depth == 0 &&
			st.Mode == knowledge.ModeNormal && c.s.Ready() == nil
	})
}

// TestAWriteOfUnknownOutcomeIsShownByTheMirrorMadeAnew lets writes lose their answers while the mirror can't be read,
// so that nothing can say what they leave here. Once the mirror is made anew their writer sees them again, and not
// only what the primary has: also after a restart, and over a first mirror.
func TestAWriteOfUnknownOutcomeIsShownByTheMirrorMadeAnew(t *testing.T) {
	t.Parallel()
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted %t", restarted), func(t *testing.T) {
			t.Parallel()
			unread := &unreadable{}
			unread.whole.Store(true)
			behind := func(o *failover.Options) { unread.Mirror, o.Mirror = o.Mirror, unread }
			c := newScene(t, behind)
			was := c.write(knowledge.Put(rule("A"), 0), knowledge.Put(rule("B"), 0))
			c.follow()
			c.primary.set(stalls)
			unread.whole.Store(false)
			put := knowledge.Put(rule("A"), was.Records[0].Version)
			patch := knowledge.Op{
				Verb: knowledge.VerbPatch, Key: ruleKey("B"), IfVersion: was.Records[1].Version,
				Patch: []byte(`{"title": "patched"}`),
			}
			added := knowledge.Put(rule("C"), knowledge.NoVersion)
			batches := map[string]knowledge.BatchID{}
			for id, op := range map[string]knowledge.Op{"A": put, "B": patch, "C": added} {
				rec := c.write(op)
				if !rec.Queued {
					t.Fatalf("the write of %s is not queued", id)
				}
				batches[id] = rec.Batch
			}
			if restarted {
				c.end()
				deleteFile(t, filepath.Join(c.dir, "mirror.db"))
				c.open(behind)
			} else {
				c.s.CheckMirror()
			}
			waitFor(t, "the mirror is made anew", func() bool {
				st := c.status()
				return unread.whole.Load() && st.Mirror.State == failover.MirrorReady
			})
			for id, batch := range batches {
				if r, err := c.s.Get(t.Context(), ruleKey(id)); err != nil || r.Pending != batch {
					t.Errorf("%s, which waits as batch %s, reads as %+v, %v", id, batch, r, err)
				}
			}
			page, err := c.s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule})
			if err != nil || len(page.Records) != 3 {
				t.Errorf("a list has %+v, %v, want the three that wait", page, err)
			}
			if st := c.status(); st.Journal.Depth != 3 {
				t.Errorf("%d batches wait, want 3: the test tests nothing", st.Journal.Depth)
			}
			c.primary.set(healthy)
			waitFor(t, "the journal is drained", func() bool {
				st := c.status()
				return st.Journal.Depth == 0 && st.Mode == knowledge.ModeNormal
			})
			if r, err := c.s.Get(t.Context(), ruleKey("B")); err != nil || titleOf(t, r) != "patched" {
				t.Errorf("B reads as %+v, %v after the replay", r, err)
			}
		})
	}
}

// TestAListOfADamagedMirrorNeverLacksWhatWaits lets PostgreSQL answer reads and take no write, while a write waits and
// the mirror, which alone shows it, can't be read: lists and searches are refused, as PostgreSQL's would lack it.
// Where nothing waits, PostgreSQL answers.
func TestAListOfADamagedMirrorNeverLacksWhatWaits(t *testing.T) {
	t.Parallel()
	unread := &unreadable{}
	unread.whole.Store(true)
	c := newScene(t, func(o *failover.Options) {
		unread.Mirror, o.Mirror = o.Mirror, unread
		o.Wait(failover.Waits{ReadTimeout: 30 * time.Second}) // PostgreSQL answers, however busy this machine is
	})
	c.write(knowledge.Put(rule("A"), 0))
	c.follow()
	unread.stays.Store(true)
	unread.whole.Store(false)
	list := func() (int, error) {
		page, err := c.s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule})
		if err != nil {
			return 0, err
		}
		return len(page.Records), nil
	}
	search := func() (int, error) {
		hits, err := c.s.Search(t.Context(), knowledge.SearchQuery{Text: "rule"})
		if err != nil {
			return 0, err
		}
		return len(hits.Hits), nil
	}
	if n, err := list(); n != 1 || err != nil {
		t.Errorf("a list while nothing waits: %d rules, %v; want PostgreSQL's", n, err)
	}
	if _, err := search(); err != nil {
		t.Errorf("a search while nothing waits: %v", err)
	}
	c.primary.set(stalls)
	if rec := c.write(knowledge.Put(rule("B"), 0)); !rec.Queued {
		t.Fatal("the write is not queued")
	}
	for name, read := range map[string]func() (int, error){"list": list, "search": search} {
		n, err := read()
		if u, ok := errors.AsType[*store.UnavailableError](err); !ok || u.RetryAfter == 0 {
			t.Errorf("a %s while a write waits: %d rules, %v; want a refusal that says when to ask again", name, n, err)
		}
	}
	unread.stays.Store(false)
	c.primary.set(healthy)
	waitFor(t, "the list has both", func() bool { n, err := list(); return err == nil && n == 2 })
}

// TestADamagedMirrorIsMadeAnewWhileOthersWrite lets the primary have a new change at every look, so that the mirror
// never is level, while it is found damaged.
func TestADamagedMirrorIsMadeAnewWhileOthersWrite(t *testing.T) {
	t.Parallel()
	sick := &damaged{}
	var restless atomic.Bool
	c := newScene(t, func(o *failover.Options) {
		sick.Mirror, o.Mirror = o.Mirror, sick
		connect := o.Connect
		o.Connect = func(ctx context.Context) (failover.Primary, error) {
			p, err := connect(ctx)
			return &busy{p, func() {
				if restless.Load() {
					_, _ = p.Apply(ctx, batchOf(knowledge.Put(rule("R"), 0)))
				}
			}}, err
		}
	})
	restless.Store(true)
	sick.is.Store(true)
	c.write(knowledge.Put(rule("A"), 0))
	waitFor(t, "the damaged mirror is made anew", func() bool { return !sick.is.Load() })
	restless.Store(false)
	waitMode(t, c.s, knowledge.ModeNormal)
}

// damaged is a mirror that is damaged where only what is foreseen and a check for damage find it, until it is made
// anew.
type damaged struct {
	failover.Mirror
	is atomic.Bool
}

func (d *damaged) fails() error {
	if d.is.Load() {
		return &store.UnavailableError{Reason: "the database file is damaged", Halt: true}
	}
	return nil
}

func (d *damaged) Foresee(ctx context.Context, left []store.Left) error {
	return errors.Join(d.fails(), d.Mirror.Foresee(ctx, left))
}

func (d *damaged) Check(ctx context.Context) error {
	return errors.Join(d.fails(), d.Mirror.Check(ctx))
}

func (d *damaged) Rebuild(ctx context.Context, fill func(store.Sink) error, newer func() []store.Left) error {
	err := d.Mirror.Rebuild(ctx, fill, newer)
	if err == nil {
		d.is.Store(false)
	}
	return err
}

// busy is a primary in which something is written before each look.
type busy struct {
	failover.Primary
	write func()
}

func (b *busy) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	b.write()
	return b.Primary.Changes(ctx, q)
}

// unreadable is a mirror whose file is damaged until it is made anew.
type unreadable struct {
	failover.Mirror
	whole atomic.Bool
	stays atomic.Bool // it can't be made anew
}

func (u *unreadable) fails() error {
	if u.whole.Load() {
		return nil
	}
	return &store.UnavailableError{Reason: "the database file is damaged", Halt: true}
}

func (u *unreadable) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if err := u.fails(); err != nil {
		return nil, err
	}
	return u.Mirror.Get(ctx, key)
}

func (u *unreadable) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if err := u.fails(); err != nil {
		return nil, err
	}
	return u.Mirror.List(ctx, q)
}

func (u *unreadable) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if err := u.fails(); err != nil {
		return nil, err
	}
	return u.Mirror.Search(ctx, q)
}

func (u *unreadable) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := u.fails(); err != nil {
		return nil, err
	}
	return u.Mirror.Changes(ctx, q)
}

func (u *unreadable) Overlaid(ctx context.Context) (map[knowledge.BatchID][]knowledge.Key, error) {
	if err := u.fails(); err != nil {
		return nil, err
	}
	return u.Mirror.Overlaid(ctx)
}

func (u *unreadable) Check(ctx context.Context) error {
	if err := u.fails(); err != nil {
		return err
	}
	return u.Mirror.Check(ctx)
}

func (u *unreadable) Rebuild(ctx context.Context, fill func(store.Sink) error, newer func() []store.Left) error {
	if u.stays.Load() {
		return u.fails()
	}
	err := u.Mirror.Rebuild(ctx, fill, newer)
	u.whole.Store(err == nil)
	return err
}
