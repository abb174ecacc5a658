package failover_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
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

// gated is a mirror that can be held back or fail.
type gated struct {
	failover.Mirror
	shut   atomic.Bool            // it takes no changes, and waits
	broken atomic.Pointer[error]  // what it says to changes; nil for nothing
	settle atomic.Bool            // it fails to settle
	blind  atomic.Bool            // it fails to foresee
	full   atomic.Bool            // it has no room for overlays
	filled func()                 // called when a new one has all of the primary's documents; nil for nothing
	lays   func(batches int)      // called before batches are laid over it; nil for nothing
	shows  func(knowledge.Seq)    // called when readers may see changes up to a seq; nil for nothing
	asked  atomic.Pointer[func()] // called once before a document, or a list, is read by asking; nil for nothing
}

// asking marks the context of the read that [gated.asked] is called before: the replay reads the mirror as well.
type asking struct{}

func (g *gated) ask(ctx context.Context) {
	if ctx.Value(asking{}) == nil {
		return
	}
	if fn := g.asked.Swap(nil); fn != nil {
		(*fn)()
	}
}

func (g *gated) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	g.ask(ctx)
	return g.Mirror.Get(ctx, key)
}

func (g *gated) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	g.ask(ctx)
	return g.Mirror.List(ctx, q)
}

func (g *gated) Foresee(ctx context.Context, left []store.Left) error {
	if g.blind.Load() {
		return &store.UnavailableError{Reason: "no room", ReadOnly: true}
	}
	return g.Mirror.Foresee(ctx, left)
}

func (g *gated) Overlay(ctx context.Context, waiting ...store.Entry) error {
	if g.full.Load() {
		return &store.UnavailableError{Reason: "no room", ReadOnly: true}
	}
	if g.lays != nil {
		g.lays(len(waiting))
	}
	return g.Mirror.Overlay(ctx, waiting...)
}

func (g *gated) Rebuild(ctx context.Context, fill func(store.Sink) error, newer func() []store.Left) error {
	return g.Mirror.Rebuild(ctx, func(sink store.Sink) error {
		err := fill(sink)
		if g.filled != nil {
			g.filled()
		}
		return err
	}, newer)
}

func (g *gated) Replicate(ctx context.Context, changes []knowledge.Change) error {
	if err := g.broken.Load(); err != nil {
		return *err
	}
	for g.shut.Load() {
		pause := time.NewTimer(5 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := g.Mirror.Replicate(ctx, changes)
	if err == nil && g.shows != nil {
		g.shows(changes[len(changes)-1].Seq)
	}
	return err
}

func (g *gated) Settle(ctx context.Context, id knowledge.BatchID, keys []knowledge.Key, applied []store.Left) error {
	if g.settle.Load() {
		return errors.New("killed here")
	}
	return g.Mirror.Settle(ctx, id, keys, applied)
}

// behind makes an instance whose mirror is g.
func behind(g *gated) func(*failover.Options) {
	return func(o *failover.Options) {
		g.Mirror = o.Mirror
		o.Mirror = g
	}
}

// patient gives calls all the time they want.
func patient(o *failover.Options) {
	o.Wait(failover.Waits{ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second})
}

func rule(id string) *knowledge.Rule {
	return storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category = id, "general" })
}

func ruleKey(id string) knowledge.Key { return knowledge.Key{Kind: knowledge.KindRule, ID: id} }

// onto returns the op that writes a document on top of what a session is shown: nothing, a version, or what a waiting
// batch has left.
func onto(d knowledge.Document, r *knowledge.Record) knowledge.Op {
	switch {
	case r == nil:
		return knowledge.Put(d, knowledge.NoVersion)
	case r.Pending != (knowledge.BatchID{}):
		return onBatch(d, r.Pending)
	}
	return knowledge.Put(d, r.Version)
}

// onBatch returns the op that writes a document on top of what a batch has left.
func onBatch(d knowledge.Document, batch knowledge.BatchID) knowledge.Op {
	op := knowledge.Put(d, knowledge.AnyVersion)
	op.IfBatch = batch
	return op
}

func batchOf(ops ...knowledge.Op) knowledge.Batch {
	return knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "writer", Ops: ops}
}

// scene is a primary with the category general, and an instance on it that is level.
type scene struct {
	t       *testing.T
	primary *faulty
	dir     string
	s       *failover.Store
	end     func()
}

func newScene(t *testing.T, change ...func(*failover.Options)) *scene {
	t.Helper()
	c := &scene{t: t, dir: t.TempDir(), primary: &faulty{Store: openEngine(t), system: "one"}}
	c.past(knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), 0))
	c.open(change...)
	waitFor(t, "the instance is level", func() bool {
		st, err := c.s.Status(t.Context())
		return err == nil && st.Mirror.Ready && st.Mode == knowledge.ModeNormal
	})
	return c
}

func (c *scene) open(change ...func(*failover.Options)) {
	c.t.Helper()
	s, closeFiles := openInstance(c.t, c.dir, c.primary, change...)
	stop := run(c.t, s)
	c.s, c.end = s, func() { stop(); closeFiles() }
}

// past writes at the primary past the instance.
func (c *scene) past(ops ...knowledge.Op) knowledge.Receipt {
	c.t.Helper()
	rec, err := c.primary.engine().Apply(c.t.Context(), knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "other",
		Ops: ops,
	})
	if err != nil {
		c.t.Fatalf("write past the instance: %v", err)
	}
	return rec
}

// write writes through the instance.
func (c *scene) write(ops ...knowledge.Op) knowledge.Receipt {
	c.t.Helper()
	rec, err := c.s.Apply(c.t.Context(), batchOf(ops...))
	if err != nil {
		c.t.Fatalf("write: %v", err)
	}
	return rec
}

// brief tells of what waits for a person what matters, without the documents.
func brief(list []store.Parked) string {
	var text strings.Builder
	for _, p := range list {
		fmt.Fprintf(&text, "[batch %s, op %d: %s] ", p.Entry.Batch.ID, p.Op, p.Why)
	}
	return cmp.Or(text.String(), "nothing")
}

// follow waits until the mirror has everything.
func (c *scene) follow() {
	c.t.Helper()
	tail, err := store.Tail(c.t.Context(), c.primary.engine())
	if err != nil {
		c.t.Fatal(err)
	}
	waitFor(c.t, fmt.Sprintf("the mirror is at change %d", tail), func() bool {
		st, err := c.s.Status(c.t.Context())
		return err == nil && st.Mirror.Seq == tail
	})
}

func (c *scene) status() failover.Status {
	c.t.Helper()
	st, err := c.s.Status(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return st
}

func (c *scene) conflicts() []store.Parked {
	c.t.Helper()
	list, err := c.s.Conflicts(c.t.Context(), store.ParkedQuery{})
	if err != nil {
		c.t.Fatal(err)
	}
	return list
}

func TestWhatABatchOfUnknownOutcomeDidIsNotHidden(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g))
	g.shut.Store(true)
	b := batchOf(knowledge.Put(rule("unread"), knowledge.NoVersion), knowledge.Put(rule("read"), knowledge.NoVersion))
	if _, err := c.primary.engine().Apply(t.Context(), b); err != nil { // it has arrived, and its writer does not know
		t.Fatal(err)
	}
	c.primary.set(losesReply)
	rec, err := c.s.Apply(t.Context(), b)
	if err != nil || !rec.Queued {
		t.Fatalf("a batch whose answer is lost: queued %t, %v", rec.Queued, err)
	}
	c.primary.set(refused)
	for _, id := range []string{"unread", "read"} {
		r, err := c.s.Get(t.Context(), ruleKey(id))
		if err != nil || r.Version != 1 || r.Pending != b.ID {
			t.Errorf("its writer is shown rule %s at %s, %v; want version 1, waiting for the batch", id, versionOf(r),
				err)
		}
		if rec := c.write(onto(rule(id), r)); !rec.Queued || rec.Records[0].Version != 2 {
			t.Errorf("written on top of it: queued %t, version %d", rec.Queued, rec.Records[0].Version)
		}
	}
	c.primary.set(healthy)
	g.shut.Store(false)
	waitMode(t, c.s, knowledge.ModeNormal)
	if list := c.conflicts(); len(list) != 0 {
		t.Errorf("parked: %s", brief(list))
	}
	for _, id := range []string{"unread", "read"} {
		if r, err := c.s.Get(t.Context(), ruleKey(id)); err != nil || r.Version != 2 {
			t.Errorf("in the end: rule %s at %s, %v; want version 2", id, versionOf(r), err)
		}
	}
}

func TestABatchOfLongAgoThatIsSentAgainInAnOutageIsNotParked(t *testing.T) {
	c := newScene(t)
	b := batchOf(knowledge.Put(rule("R"), knowledge.AnyVersion))
	if _, err := c.primary.engine().Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	c.past(knowledge.Put(rule("R"), 1))
	c.end()
	c.dir = t.TempDir() // a mirror made from now on has but the last version
	c.open(func(o *failover.Options) { o.Versions = 1 })
	waitMode(t, c.s, knowledge.ModeNormal)
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	before := c.write(knowledge.Put(rule("R"), 2))
	if rec, err := c.s.Apply(t.Context(), b); err != nil || !rec.Queued {
		t.Fatalf("sent again: queued %t, %v", rec.Queued, err)
	}
	c.past(knowledge.Put(rule("R"), 2)) // what it seems to be made on top of will not fit
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	list := c.conflicts()
	if len(list) != 1 || list[0].Entry.Batch.ID != before.Batch {
		t.Errorf("parked: %s; want batch %s alone", brief(list), before.Batch)
	}
	if st, err := c.s.Batch(t.Context(), b.ID); err != nil || st.State != knowledge.BatchApplied {
		t.Errorf("the batch is %s, %v; want applied, as it was", st.State, err)
	}
}

func TestABatchThatWasDoneIsNotRefusedForWhatWaitedAndDidNotFit(t *testing.T) {
	c := newScene(t)
	c.write(knowledge.Put(rule("R"), knowledge.NoVersion))
	b := batchOf(knowledge.Put(rule("R"), 1))
	first, err := c.s.Apply(t.Context(), b)
	if err != nil || first.Queued {
		t.Fatalf("the batch: queued %t, %v", first.Queued, err)
	}
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	c.write(knowledge.Put(rule("R"), 2))
	c.past(knowledge.Put(rule("R"), 2)) // so that what waits does not fit
	reached, release := make(chan struct{}), make(chan struct{})
	c.primary.onApply = sync.OnceFunc(func() { close(reached); <-release })
	c.primary.set(healthy)
	<-reached // what waits is being replayed
	again := make(chan error, 1)
	go func() {
		rec, err := c.s.Apply(t.Context(), b)
		if err == nil && (rec.Queued || rec.Records[0].Version != 2) {
			err = fmt.Errorf("queued %t, version %d", rec.Queued, rec.Records[0].Version)
		}
		again <- err
	}()
	waitFor(t, "it is in line behind what is replayed", func() bool {
		stacks := make([]byte, 1<<20)
		return len(again) > 0 || strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "(*Store).drained(")
	})
	close(release)
	if err := <-again; err != nil {
		t.Errorf("the same batch again: %v; want what its writer was told before", err)
	}
}

func TestABatchThatOnlyThePrimaryKnowsIsNotRefusedForWhatWaits(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g), patient)
	c.write(knowledge.Put(rule("R"), knowledge.NoVersion))
	c.follow()
	b := batchOf(knowledge.Put(rule("R"), 1))
	g.shut.Store(true) // the feed brings nothing of it
	if _, err := c.primary.engine().Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	c.primary.set(refused)
	if rec, err := c.s.Apply(t.Context(), batchOf(knowledge.Put(rule("R"), 1))); err != nil || !rec.Queued {
		t.Fatalf("write in an outage: %+v, %v", rec, err)
	}
	reached, release := make(chan struct{}), make(chan struct{})
	c.primary.onApply = sync.OnceFunc(func() { close(reached); <-release })
	defer close(release)
	defer g.shut.Store(false)
	c.primary.set(healthy)
	<-reached
	rec, err := c.s.Apply(t.Context(), b)
	if err != nil || rec.Queued || rec.Records[0].Version != 2 {
		t.Errorf("a batch that was done at the primary, behind one that waits: %+v, %v; want what the primary "+
			"has of it", rec, err)
	}
}

func TestWhatWasMadeOnANewerVersionDoesNotReplaceWhatWaits(t *testing.T) {
	c := newScene(t)
	c.past(knowledge.Put(rule("R"), 0))
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	waits := c.write(knowledge.Put(rule("R"), 1))
	other := c.write(knowledge.Put(rule("R"), 5)) // its writer has seen version 5, not what waits here as version 2
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	list := c.conflicts()
	if len(list) != 1 || list[0].Entry.Batch.ID != other.Batch {
		t.Errorf("parked: %s; want batch %s alone, which was made on a version that there is not", brief(list),
			other.Batch)
	}
	if st, err := c.s.Batch(t.Context(), waits.Batch); err != nil || st.State != knowledge.BatchApplied {
		t.Errorf("what waited is %s, %v; want it applied", st.State, err)
	}
}

func TestWhatTheFeedBringsWhileItIsJournalledHidesNothing(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g))
	at := c.past(knowledge.Put(rule("R"), 0)).Seq
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	first := batchOf(knowledge.Put(rule("R"), 1))
	second := batchOf(onBatch(rule("R"), first.ID))
	for _, b := range []knowledge.Batch{first, second} { // they have arrived, and their writers do not know
		if _, err := c.primary.engine().Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	feed, err := c.primary.engine().Changes(t.Context(), knowledge.ChangeQuery{After: at})
	if err != nil || len(feed) != 2 {
		t.Fatalf("%d changes, %v; want both", len(feed), err)
	}
	brings := func(change knowledge.Change) {
		if err := g.Replicate(t.Context(), []knowledge.Change{change}); err != nil {
			t.Error(err)
		}
	}
	once := sync.OnceFunc(func() { brings(feed[0]) })
	g.lays = func(int) { once() }
	for _, b := range []knowledge.Batch{first, second} {
		if rec, err := c.s.Apply(t.Context(), b); err != nil || !rec.Queued {
			t.Fatalf("a batch that has arrived: queued %t, %v", rec.Queued, err)
		}
	}
	brings(feed[1])
	if r, err := c.s.Get(t.Context(), ruleKey("R")); err != nil || r.Version != 3 {
		t.Errorf("readers are shown %s, %v; want version 3", versionOf(r), err)
	}
	if rec, err := c.s.Apply(t.Context(), batchOf(knowledge.Put(rule("R"), 2))); !errors.Is(err, store.ErrConflict) {
		t.Errorf("written on top of version 2: queued %t, %v; want a conflict with version 3", rec.Queued, err)
	}
	c.past(knowledge.Put(rule("R"), 3)) // and what others write on top of it is no child of what waits here
	feed, err = c.primary.engine().Changes(t.Context(), knowledge.ChangeQuery{After: feed[1].Seq})
	if err != nil || len(feed) != 1 {
		t.Fatalf("%d changes, %v; want one", len(feed), err)
	}
	brings(feed[0])
	child := c.write(knowledge.Put(rule("R"), 4))
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	if list := c.conflicts(); len(list) != 0 {
		t.Errorf("parked: %s", list[0].Why)
	}
	if st, err := c.s.Batch(t.Context(), child.Batch); err != nil || st.State != knowledge.BatchApplied {
		t.Errorf("what was written on top of another's is %s, %v; want it applied", st.State, err)
	}
}

func TestALongJournalIsReplayedWhileItIsLaidOverAFirstMirror(t *testing.T) {
	c := newScene(t)
	var docs []knowledge.Op
	for i := range 8 { // as many as are replayed at once, at least
		docs = append(docs, knowledge.Put(rule(fmt.Sprintf("R-%d", i)), knowledge.NoVersion))
	}
	c.past(docs...)
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	const each = 70 // more than a page in all
	var writers sync.WaitGroup
	for i := range docs {
		writers.Go(func() {
			on := &knowledge.Record{Version: 1}
			for version := range each {
				doc := rule(fmt.Sprintf("R-%d", i))
				doc.Title = fmt.Sprintf("version %d", version+2)
				rec, err := c.s.Apply(t.Context(), batchOf(onto(doc, on)))
				if err != nil {
					t.Errorf("write: %v", err)
					return
				}
				on = rec.Records[0]
			}
		})
	}
	writers.Wait()
	c.past(knowledge.Put(rule("R-7"), 1)) // what waits for it does not fit
	c.end()
	deleteFile(t, filepath.Join(c.dir, "mirror.db"))
	c.primary.set(healthy)
	var journal failover.Journal
	g, pages, laying := &gated{}, 0, make(chan struct{})
	c.primary.onApply = func() { <-laying }
	g.lays = func(int) {
		if pages++; pages == 1 { // what is replayed now can't be settled before this page is laid
			close(laying)
			waitFor(t, "something is parked", func() bool {
				d, err := journal.Depth(t.Context())
				return err == nil && d.Parked > 0 && d.Entries < int64(each*len(docs))
			})
		}
	}
	c.open(behind(g), func(o *failover.Options) { journal = o.Journal })
	waitMode(t, c.s, knowledge.ModeNormal)
	if pages < 2 {
		t.Errorf("the journal was laid over the mirror in %d pages; want several", pages)
	}
	if list := c.conflicts(); len(list) != each {
		t.Errorf("%d batches are parked, want the %d of one document", len(list), each)
	}
	if laid, err := g.Overlaid(t.Context()); err != nil || len(laid) != 0 {
		t.Errorf("%d batches still lie over the mirror, %v; want none", len(laid), err)
	}
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	for i := range len(docs) - 1 {
		if r, err := c.s.Get(t.Context(), ruleKey(fmt.Sprintf("R-%d", i))); err != nil || r.Version != each+1 ||
			r.Pending != (knowledge.BatchID{}) {
			t.Errorf("the mirror has %s, %v; want version %d", versionOf(r), err, each+1)
		}
	}
}

func TestWhatWasPurgedDoesNotComeBackInAnOutage(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g))
	c.past(knowledge.Put(rule("mine"), 0))
	c.follow()
	g.shut.Store(true)
	c.write(knowledge.Op{Verb: knowledge.VerbPurge, Key: ruleKey("mine")})
	c.primary.set(refused)
	if r, err := c.s.Get(t.Context(), ruleKey("mine")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a rule was purged and is there again: %s (%v)", versionOf(r), err)
	}
	page, err := c.s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule})
	if err != nil || len(page.Records) != 0 {
		t.Errorf("a list shows %d rules that are gone (%v)", len(page.Records), err)
	}
}

func TestAHistoryIsNotCutShortWhenThePrimaryIsSlow(t *testing.T) {
	few := func(o *failover.Options) {
		o.Versions = 2
		o.Wait(failover.Waits{ReadTimeout: 20 * time.Second})
	}
	c := newScene(t, few)
	for range 4 {
		c.past(knowledge.Put(rule("R"), 0))
	}
	b := batchOf(knowledge.Put(rule("old"), 0))
	if _, err := c.primary.engine().Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	// A mirror made from now on has but the last versions, and not every batch.
	c.end()
	c.dir = t.TempDir()
	c.open(few)
	waitMode(t, c.s, knowledge.ModeNormal)
	c.follow()
	c.primary.set(slow)
	list, err := c.s.Changes(t.Context(), knowledge.ChangeQuery{Key: ruleKey("R")})
	if err != nil || len(list) != 4 {
		t.Errorf("the history has %d versions (%v), want all 4", len(list), err)
	}
	if list, err = c.s.Changes(t.Context(), knowledge.ChangeQuery{}); err != nil || len(list) != 6 {
		t.Errorf("the log has %d changes (%v), want all 6", len(list), err)
	}
}

func TestABatchThatOnlyThePrimaryKnowsIsNotDeniedInAnOutage(t *testing.T) {
	c := newScene(t, patient)
	if _, err := c.s.Batch(t.Context(), knowledge.NewBatchID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown batch: %v, want not found", err)
	}
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	if _, err := c.s.Batch(t.Context(), knowledge.NewBatchID()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an unknown batch in an outage: %v, want unavailable", err)
	}
}

func TestACancelledWriteIsFinishedAndSeen(t *testing.T) {
	c := newScene(t, patient)
	reached, release := make(chan struct{}), make(chan struct{})
	c.primary.onApply = func() { close(reached); <-release }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.s.Apply(ctx, batchOf(knowledge.Put(rule("R"), knowledge.NoVersion)))
		done <- err
	}()
	<-reached
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled write: %v, want context.Canceled", err)
	}
	close(release)
	waitFor(t, "the write is seen", func() bool {
		_, err := c.s.Get(t.Context(), ruleKey("R"))
		return err == nil
	})
	if st := c.status(); st.Breaker != "closed" || st.Journal.Queued != 0 {
		t.Errorf("afterwards: %+v; want the breaker closed and nothing journalled", st)
	}
}

func TestATroubleOfTheMirrorIsNoOutageOfThePrimary(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g), func(o *failover.Options) { o.Recovery = 5 * time.Second })
	full := error(&store.UnavailableError{Reason: "the disk is full", Halt: true, NotDone: true})
	g.broken.Store(&full)
	c.write(knowledge.Put(rule("R"), 0))
	waitFor(t, "the mirror has failed", func() bool { return c.status().Mirror.Errors > 0 })
	if rec := c.write(knowledge.Put(rule("S"), 0)); rec.Queued {
		t.Error("a write was queued although the primary is well")
	}
	if st := c.status(); st.Mode != knowledge.ModeNormal || st.Halt != "" || st.Breaker != "closed" {
		t.Errorf("the status says %+v, want normal", st)
	}
	g.broken.Store(nil)
	c.follow()
}

func TestAMirrorThatKeepsFailingIsBuiltAnew(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g))
	damaged := errors.New("malformed")
	g.broken.Store(&damaged)
	c.past(knowledge.Put(rule("R"), 0))
	waitFor(t, "the mirror was built anew", func() bool { return c.status().Mirror.Builds >= 2 })
	g.broken.Store(nil)
	c.follow()
}

// TestAMirrorMadeAnewHasWhatWasWrittenMeanwhile acknowledges writes after the new mirror has the primary's documents,
// and takes the primary away before the new mirror has followed the log: it has them all the same, also after a
// restart.
func TestAMirrorMadeAnewHasWhatWasWrittenMeanwhile(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g), patient)
	c.write(knowledge.Put(titled("R", "first"), 0))
	c.follow()
	reached, goOn := make(chan struct{}), make(chan struct{})
	g.filled = sync.OnceFunc(func() { close(reached); <-goOn })
	damaged := errors.New("malformed")
	g.broken.Store(&damaged)
	c.past(knowledge.Put(rule("other"), 0))
	<-reached
	g.broken.Store(nil)
	for _, title := range []string{"second", "third"} {
		if rec := c.write(knowledge.Put(titled("R", title), 0)); rec.Queued {
			t.Fatal("a write was queued although the primary is well")
		}
	}
	c.write(knowledge.Put(titled("S", "added"), 0))
	c.primary.set(refused)
	close(goOn)
	waitFor(t, "the mirror was made anew", func() bool { return c.status().Mirror.State == failover.MirrorReady })
	shows := func() {
		t.Helper()
		for id, title := range map[string]string{"R": "third", "S": "added"} {
			r, err := c.s.Get(t.Context(), ruleKey(id))
			if err != nil || titleOf(t, r) != title {
				t.Errorf("%s reads as %+v, %v, want %q, which was acknowledged", id, r, err, title)
			}
		}
	}
	shows()
	c.end()
	g.filled = nil
	c.open(behind(g))
	shows()
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	c.follow()
	shows()
}

func TestARefusingPrimaryIsAskedSoonAndAHangingOneIsLeftAlone(t *testing.T) {
	c := newScene(t, func(o *failover.Options) {
		o.Recovery = time.Hour
		o.Wait(failover.Waits{
			Soon: 20 * time.Millisecond, ReadTimeout: 600 * time.Millisecond,
			WriteTimeout: 600 * time.Millisecond,
		})
	})
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)

	c.primary.set(hangs)
	waitMode(t, c.s, knowledge.ModeDegraded)
	if st := c.status(); st.Breaker != "open" {
		t.Errorf("the breaker is %s, want open", st.Breaker)
	}
	// calls under way when the breaker opened may still end, and then nothing may come
	<-time.After(700 * time.Millisecond)
	before := c.primary.asked.Load()
	<-time.After(300 * time.Millisecond) // that nothing is asked can't be waited for
	if n := c.primary.asked.Load() - before; n != 0 {
		t.Errorf("a hanging primary was asked %d times within its hour", n)
	}
}

func TestOneOfSeveralHostsIsAskedSoonAlsoWhenItHangs(t *testing.T) {
	c := newScene(t, func(o *failover.Options) {
		o.Recovery, o.Hosts = time.Hour, 2
		o.Wait(failover.Waits{
			Soon: 20 * time.Millisecond, ReadTimeout: 600 * time.Millisecond,
			WriteTimeout: 600 * time.Millisecond,
		})
	})
	c.primary.set(hangs)
	waitMode(t, c.s, knowledge.ModeDegraded)
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
}

func TestReadsGoToThePrimaryWhileTheFirstMirrorIsBuilt(t *testing.T) {
	p := &faulty{Store: openEngine(t), system: "one", hold: make(chan struct{})}
	c := &scene{t: t, dir: t.TempDir(), primary: p}
	c.past(knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), 0))
	p.set(refused)
	c.open(patient)
	waitFor(t, "the breaker has opened", func() bool { return c.status().Breaker == "open" })
	p.set(healthy)
	key := knowledge.Key{Kind: knowledge.KindCategory, ID: "general"}
	waitFor(t, "a read is answered by the primary", func() bool {
		r, err := c.s.Get(t.Context(), key)
		return err == nil && r.Source == knowledge.SourcePrimary
	})
	if c.status().Mirror.Ready {
		t.Error("the mirror is there already: the test shows nothing")
	}
	waitFor(t, "the status says that the mirror is being built",
		func() bool { return strings.Contains(c.status().Why, "is being built") })
	close(p.hold)
	waitFor(t, "there is a mirror", func() bool { return c.status().Mirror.Ready })
	waitFor(t, "the status says that the mirror is level",
		func() bool { return strings.Contains(c.status().Why, "is level") })
}

func TestManyReadersWaitForThePrimaryWhileThereIsNoMirror(t *testing.T) {
	p := &faulty{Store: openEngine(t), system: "one", hold: make(chan struct{})}
	c := &scene{t: t, dir: t.TempDir(), primary: p}
	c.past(knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), 0))
	c.open(func(o *failover.Options) { o.Wait(failover.Waits{ReadTimeout: 20 * time.Second}) })
	waitMode(t, c.s, knowledge.ModeNormal)
	p.set(slow)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			if _, err := c.s.Get(t.Context(), knowledge.Key{Kind: knowledge.KindCategory, ID: "general"}); err != nil {
				t.Errorf("a read while the first mirror is built: %v", err)
			}
		})
	}
	readers.Wait()
	close(p.hold)
}

func TestAPrimaryThatTakesNoWritesIsSparedThemAndGoesOnAnsweringReads(t *testing.T) {
	c := newScene(t, func(o *failover.Options) {
		patient(o)
		o.Recovery = time.Hour
		o.Wait(failover.Waits{Soon: time.Hour})
	})
	c.past(knowledge.Put(rule("R"), 0))
	c.follow()
	c.primary.set(readonly)
	for i := range 4 {
		if rec := c.write(knowledge.Put(rule(fmt.Sprintf("W-%d", i)), 0)); !rec.Queued {
			t.Fatal("a read-only primary has taken a write")
		}
	}
	before := c.primary.written.Load()
	for i := range 5 {
		c.write(knowledge.Put(rule(fmt.Sprintf("V-%d", i)), 0))
	}
	if n := c.primary.written.Load() - before; n > 1 { // a replay may have been under way
		t.Errorf("a primary that takes no writes was asked to %d times", n)
	}
	if r, err := c.s.Get(required(t.Context()), ruleKey("R")); err != nil {
		t.Errorf("a read as of now: %s (%v)", versionOf(r), err)
	}
}

func TestLackingTheRightToWriteRefusesWritesOnly(t *testing.T) {
	c := newScene(t, patient)
	c.past(knowledge.Put(rule("R"), 0))
	c.follow()
	c.primary.set(keepsOut)
	for range 3 {
		_, err := c.s.Apply(t.Context(), batchOf(knowledge.Put(rule("W"), 0)))
		if u, ok := errors.AsType[*store.UnavailableError](err); !ok || !u.Halt || !u.NotDone {
			t.Fatalf("a write: %v, want a refusal that asks for a person", err)
		}
	}
	for range 5 { // a look of the keeper in between does not make it forget
		c.past(knowledge.Put(rule("R"), 0))
		c.follow()
		if st := c.status(); st.Halt == "" || st.Mode != knowledge.ModeNormal {
			t.Fatalf("the status says %+v, want a halt in the mode normal", st)
		}
	}
	if r, err := c.s.Get(required(t.Context()), ruleKey("R")); err != nil {
		t.Errorf("a read as of now: %s (%v)", versionOf(r), err)
	}
	c.primary.set(healthy)
	c.write(knowledge.Put(rule("W"), 0))
	if st := c.status(); st.Halt != "" {
		t.Errorf("after the repair the status still says %q", st.Halt)
	}
}

func TestBatchesOfOneCategoryAreReplayedTogether(t *testing.T) {
	c := newScene(t, patient)
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	c.write(knowledge.Put(rule("A"), 0))
	c.write(knowledge.Put(rule("B"), 0))
	var both sync.WaitGroup // each waits for the other
	both.Add(2)
	c.primary.onApply = func() { both.Done(); both.Wait() }
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
}

func TestAParkedBatchLeavesTheMirrorAlsoAfterAKill(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g))
	c.write(knowledge.Put(rule("R"), 0))
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	ours := rule("R")
	ours.Title = "Ours"
	c.write(knowledge.Put(ours, 1))
	c.past(knowledge.Put(rule("R"), 0)) // it no longer fits
	g.settle.Store(true)                // as if killed between the journal and the mirror
	c.primary.set(healthy)
	waitFor(t, "the batch is parked", func() bool { return c.status().Journal.Parked == 1 })
	c.follow()
	c.end()

	c.primary.set(refused)
	c.open()
	if r, err := c.s.Get(t.Context(), ruleKey("R")); err != nil || r.Version != 2 ||
		r.Pending != (knowledge.BatchID{}) {
		t.Errorf("after the restart the rule is %s (%v), want the primary's version 2", versionOf(r), err)
	}
	page, err := c.s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule})
	if err != nil || len(page.Records) != 1 || strings.Contains(string(page.Records[0].JSON), `"Ours"`) {
		t.Errorf("a list shows the parked write (%v)", err)
	}
}

func TestRightsThatCantBeLookedUpParkNothing(t *testing.T) {
	var tries atomic.Int64
	revoked := func(_ context.Context, _ failover.Lookup, caller string, b *knowledge.Batch) error {
		switch {
		case caller != "writer":
			return fmt.Errorf("asked about %s", caller)
		case tries.Add(1) < 4:
			return &store.UnavailableError{Reason: "the directory can't be read now"}
		case b.Ops[0].Key.ID == "revoked":
			return &store.ForbiddenError{Reason: "writer may no longer do this"}
		}
		return nil
	}
	c := newScene(t, func(o *failover.Options) { o.Authorize = revoked })
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	c.write(knowledge.Put(rule("fine"), 0))
	c.write(knowledge.Put(rule("revoked"), 0))
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	list := c.conflicts()
	if len(list) != 1 || list[0].Entry.Batch.Ops[0].Key.ID != "revoked" || !strings.Contains(list[0].Why, "no longer") {
		t.Errorf("parked: %s; want the one whose writer has lost the right", brief(list))
	}
	if _, err := c.primary.engine().Get(t.Context(), ruleKey("fine")); err != nil {
		t.Errorf("the other batch: %v", err)
	}
}

func TestAMergeOverNothingDoesNotOverwriteWhatCameSince(t *testing.T) {
	c := newScene(t)
	c.write(knowledge.Put(rule("R"), 0))
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	c.write(knowledge.Put(rule("R"), 1))
	c.past(knowledge.Op{Verb: knowledge.VerbPurge, Key: ruleKey("R")})
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	list := c.conflicts()
	if len(list) != 1 || list[0].Found != 0 {
		t.Fatalf("parked: %s; want one that found nothing", brief(list))
	}
	c.past(knowledge.Put(rule("R"), knowledge.NoVersion))
	_, err := c.s.Resolve(t.Context(), "judge", store.Decision{
		ID: list[0].Entry.Batch.ID, How: store.ResolveMerged,
		Seen: list[0].Seen, Merged: rule("R"),
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("a merge over a document that nobody has looked at: %v, want a conflict", err)
	}
}

// parting copies the primary as it is, and returns the copy: a standby that hears nothing more.
func (c *scene) parting() store.Store {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "standby.db")
	if err := c.primary.Store.(*sqlite.Store).Backup(c.t.Context(), path); err != nil {
		c.t.Fatal(err)
	}
	s, err := sqlite.Open(c.t.Context(), path, sqlite.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { s.Close() })
	return s
}

// TestWhatAFailoverHasLostIsKept takes the primary away and puts one in its place that had not received the last
// writes. One of the documents was written there again, and even more often: nothing about its number shows that a
// write was lost.
func TestWhatAFailoverHasLostIsKept(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		t.Run(fmt.Sprintf("the new one is ahead: %t", ahead), func(t *testing.T) {
			c := newScene(t)
			for _, id := range []string{"overtaken", "lost", "purged", "a", "b", "c", "d", "e", "f"} {
				c.write(knowledge.Put(rule(id), 0))
			}
			standby := c.parting()
			lost := rule("overtaken")
			lost.Title = "Acknowledged, and lost"
			first := c.write(knowledge.Put(lost, 0))
			c.write(knowledge.Put(rule("lost"), 0), knowledge.Put(rule("new"), 0))
			c.follow()
			old := c.primary.engine()
			c.primary.other.Store(&standby)
			if ahead {
				for range 6 {
					c.past(knowledge.Put(rule("overtaken"), 0))
				}
			}
			c.past(knowledge.Op{Verb: knowledge.VerbPurge, Key: ruleKey("purged")})
			waitFor(t, "the lost writes are kept", func() bool { return len(c.conflicts()) == 2 })
			waitMode(t, c.s, knowledge.ModeNormal)
			c.follow()
			if at, tail := c.s.Seq(), c.status().Mirror.Seq; at != tail {
				t.Errorf("answers promise change %d, of the history before: this one has %d", at, tail)
			}
			list := c.conflicts()
			if id := list[1].Entry.Batch.Ops[0].Key.ID; id != "overtaken" || !strings.Contains(string(list[1].Ours),
				lost.Title) {
				t.Errorf("the first conflict is about %s: %s", id, list[1].Ours)
			}
			if !strings.Contains(list[1].Why, first.Batch.String()) {
				t.Errorf("the conflict does not name the batch that was lost: %s", list[1].Why)
			}
			if st, err := c.s.Batch(t.Context(), first.Batch); err != nil || st.State != knowledge.BatchParked {
				t.Errorf("the acknowledged batch is said to be %q, %v; want parked", st.State, err)
			}
			if n := len(list[0].Entry.Batch.Ops); n != 2 {
				t.Errorf("the second conflict has %d ops, want both of the batch", n)
			}
			if ahead { // and back: what the second history alone had is kept as well
				c.primary.other.Store(&old)
				waitFor(t, "the mirror has gone back", func() bool { return len(c.conflicts()) > 2 })
			}
		})
	}
}

// TestWhatWasAcknowledgedAndNeverFollowedIsKept loses a write of which the feed has brought nothing: the mirror's
// history is the new primary's, and only the mirror's rows are not.
func TestWhatWasAcknowledgedAndNeverFollowedIsKept(t *testing.T) {
	for _, queued := range []bool{false, true} {
		t.Run(fmt.Sprintf("replayed: %t", queued), func(t *testing.T) {
			c := newScene(t)
			for _, id := range []string{"there", "a", "b", "c", "d", "e", "f"} {
				c.write(knowledge.Put(rule(id), 0))
			}
			c.follow()
			lost := batchOf(knowledge.Put(rule("there"), 1), knowledge.Put(rule("new"), 0))
			if queued {
				c.primary.set(refused)
				waitMode(t, c.s, knowledge.ModeDegraded)
				if rec, err := c.s.Apply(t.Context(), lost); err != nil || !rec.Queued {
					t.Fatalf("write in an outage: %+v, %v", rec, err)
				}
			}
			standby, old := c.parting(), c.primary.engine()
			c.primary.late.Store(&old)
			c.primary.other.Store(&standby)
			c.primary.set(healthy)
			if !queued {
				if rec, err := c.s.Apply(t.Context(), lost); err != nil || rec.Queued {
					t.Fatalf("write: %+v, %v", rec, err)
				}
			}
			waitFor(t, "the lost write is kept", func() bool { return len(c.conflicts()) > 0 })
			waitMode(t, c.s, knowledge.ModeNormal)
			if st, err := c.s.Batch(t.Context(), lost.ID); err != nil || st.State != knowledge.BatchParked {
				t.Errorf("the acknowledged batch is said to be %q, %v; want parked", st.State, err)
			}
			list := c.conflicts()
			if len(list) != 1 || len(list[0].Entry.Batch.Ops) != 2 || !strings.Contains(list[0].Why, lost.ID.String()) {
				t.Errorf("kept: %s; want batch %s once, and whole", brief(list), lost.ID)
			}
			c.primary.set(refused)
			waitMode(t, c.s, knowledge.ModeDegraded)
			if r, err := c.s.Get(t.Context(), ruleKey("there")); err != nil || r.Version != 1 {
				t.Errorf("the mirror has %s, %v; want version 1, as the primary", versionOf(r), err)
			}
			if r, err := c.s.Get(t.Context(), ruleKey("new")); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the mirror has %s, %v; want nothing, as the primary", versionOf(r), err)
			}
		})
	}
}

func TestAShrunkPrimaryIsNotFollowedUntilAPersonSaysSo(t *testing.T) {
	c := newScene(t, func(o *failover.Options) { o.Recovery = time.Hour })
	empty := c.parting() // nothing but the category
	for i := range 6 {
		c.write(knowledge.Put(rule(fmt.Sprintf("R-%d", i)), 0))
	}
	c.follow()
	c.primary.other.Store(&empty)
	waitMode(t, c.s, knowledge.ModeDiverged)
	if r, err := c.s.Get(t.Context(), ruleKey("R-0")); err != nil || r.Source != knowledge.SourceMirror {
		t.Errorf("a read: %s (%v), want it from the old mirror", versionOf(r), err)
	}
	for i := range 20 {
		if rec := c.write(knowledge.Put(rule(fmt.Sprintf("R-9%d", i)), 0)); !rec.Queued {
			t.Error("a write went to a primary that nobody has accepted")
		}
	}
	if n := c.status().Mirror.Builds; n > 3 {
		t.Errorf("the primary was read whole %d times; want no more of it for each write", n)
	}
	c.s.AcceptPrimary()
	waitMode(t, c.s, knowledge.ModeNormal)
	if n := len(c.conflicts()); n != 6 {
		t.Errorf("%d conflicts, want the six writes that the primary has not", n)
	}
	if _, err := c.s.Get(t.Context(), ruleKey("R-0")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a rule that the accepted primary has not: %v", err)
	}
}

func TestAnotherClusterIsAcceptedAndWhatItLacksIsKept(t *testing.T) {
	c := newScene(t)
	for i := range 10 {
		c.write(knowledge.Put(rule(fmt.Sprintf("R-%d", i)), 0))
	}
	other := c.parting()
	c.write(knowledge.Put(rule("R-0"), 0))
	c.follow()
	c.end()
	c.primary.other.Store(&other)
	c.primary.system = "two"
	c.open()
	waitMode(t, c.s, knowledge.ModeDiverged)
	c.s.AcceptPrimary()
	waitMode(t, c.s, knowledge.ModeNormal)
	if list := c.conflicts(); len(list) != 1 || list[0].Entry.Batch.Ops[0].Key.ID != "R-0" {
		t.Errorf("kept: %s; want the write that the other cluster has not", brief(list))
	}
}

func TestAMirrorOlderThanTheLogIsMadeAnewAndAccusesNobody(t *testing.T) {
	c := newScene(t)
	for i := range 10 {
		c.write(knowledge.Put(rule(fmt.Sprintf("R-%d", i)), 0))
	}
	c.follow()
	c.end()
	c.past(knowledge.Op{Verb: knowledge.VerbPurge, Key: ruleKey("R-0")})
	for range 20 {
		c.past(knowledge.Put(rule("R-1"), 0))
	}
	n, err := c.primary.Store.(*sqlite.Store).Retain(t.Context(), knowledge.At(time.Now().Add(time.Hour)), 5)
	if err != nil || n == 0 {
		t.Fatalf("the log was shortened by %d, %v", n, err)
	}
	c.open()
	waitMode(t, c.s, knowledge.ModeNormal)
	c.follow()
	if list := c.conflicts(); len(list) != 0 {
		t.Errorf("%d conflicts about documents that were purged or are newer: %s", len(list), list[0].Why)
	}
}

// TestAWriteThatAKillLeftUnansweredIsNotRefused sends a batch again after a kill, in an outage that began before the
// feed had brought it: the mirror has what it wrote, and does not know by whom.
func TestAWriteThatAKillLeftUnansweredIsNotRefused(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g))
	c.write(knowledge.Put(rule("A"), knowledge.NoVersion))
	c.follow()
	g.shut.Store(true)
	done := batchOf(knowledge.Put(rule("A"), 1))
	if rec, err := c.s.Apply(t.Context(), done); err != nil || rec.Queued {
		t.Fatalf("write: %+v, %v", rec, err)
	}
	c.primary.set(refused)
	c.end()
	c.open()
	_, err := c.s.Apply(t.Context(), done)
	if u, ok := errors.AsType[*store.UnavailableError](err); !ok || u.NotDone {
		t.Errorf("the batch again: %v; want an answer that leaves its outcome open", err)
	}
	if r, err := c.s.Get(t.Context(), ruleKey("A")); err != nil || r.Version != 2 {
		t.Errorf("read: %v, %v", r, err)
	}
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	if rec, err := c.s.Apply(t.Context(), done); err != nil || rec.Queued || rec.Records[0].Version != 2 {
		t.Errorf("the batch, when the primary is back: %+v, %v; want its first answer", rec, err)
	}
	if n := len(c.conflicts()); n != 0 {
		t.Errorf("%d conflicts", n)
	}
	if _, err := c.s.Apply(t.Context(), batchOf(knowledge.Put(rule("A"), 1))); !errors.Is(err, store.ErrConflict) {
		t.Errorf("another batch on the same version: %v", err)
	}
}
