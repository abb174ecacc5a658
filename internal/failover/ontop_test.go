package failover_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// titled returns a rule whose title tells one text from another.
func titled(id, title string) *knowledge.Rule {
	r := rule(id)
	r.Title = title
	return r
}

// away returns a scene whose primary can't be reached any more, with rule R at version 1.
func away(t *testing.T) *scene {
	t.Helper()
	c := newScene(t)
	c.past(knowledge.Put(titled("R", "first"), 0))
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	return c
}

func TestAPromisedVersionIsNoCondition(t *testing.T) {
	c := away(t)
	waits := c.write(knowledge.Put(titled("R", "waits"), 1))
	promise := waits.Records[0].Version
	_, err := c.s.Apply(t.Context(), batchOf(knowledge.Put(titled("R", "by number"), promise)))
	conflict, ok := errors.AsType[*store.ConflictError](err)
	if !ok || conflict.GotBatch != waits.Batch {
		t.Errorf("a write on the promised version %d: %v; want a conflict that names batch %s", promise, err,
			waits.Batch)
	}
	if ok && !strings.Contains(conflict.Error(), "if_batch") {
		t.Errorf("the conflict says %q; want it to say what to send instead", conflict.Error())
	}
	if rec := c.write(onto(titled("R", "by batch"), waits.Records[0])); !rec.Queued {
		t.Error("a write that names the batch was not queued")
	}
}

// TestABatchNamedIsNeverTakenForItsNumber has each document's waiting batch parked, while others write on top of it: no
// version that somebody else has written meanwhile is overwritten, whether the writers come before, while or after it
// is parked.
func TestABatchNamedIsNeverTakenForItsNumber(t *testing.T) {
	c := newScene(t)
	const n = 60
	id := func(i int) string { return fmt.Sprintf("K-%d", i) }
	for i := range n {
		c.past(knowledge.Put(titled(id(i), "first"), 0))
	}
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	waiting := make([]*knowledge.Record, n)
	for i := range n {
		waiting[i] = c.write(knowledge.Put(titled(id(i), "waits"), 1)).Records[0]
		c.past(knowledge.Put(titled(id(i), "theirs"), 1)) // has the number that was promised
	}
	c.primary.set(healthy)
	var queued sync.Map
	var writers sync.WaitGroup
	for i := range n {
		writers.Go(func() {
			rec, err := c.s.Apply(t.Context(), batchOf(onto(titled(id(i), "on top of what waits"), waiting[i])))
			switch {
			case err == nil && !rec.Queued:
				t.Errorf("%s was replaced by a write on top of a batch that did not fit", id(i))
			case err == nil:
				queued.Store(rec.Batch, id(i))
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("write %s: %v", id(i), err)
			}
		})
	}
	writers.Wait()
	waitMode(t, c.s, knowledge.ModeNormal)
	for i := range n {
		r, err := c.primary.engine().Get(t.Context(), ruleKey(id(i)))
		if err != nil || r.Version != 2 || !strings.Contains(string(r.JSON), `"theirs"`) {
			t.Errorf("%s is %s, %v; want what somebody else has written", id(i), versionOf(r), err)
		}
	}
	queued.Range(func(batch, key any) bool {
		st, err := c.s.Batch(t.Context(), batch.(knowledge.BatchID))
		if err != nil || st.State != knowledge.BatchParked {
			t.Errorf("what was written on top of %s is %s, %v; want it parked like the batch below", key, st.State, err)
		}
		return true
	})
}

// TestOneAnswerIsOfOneMoment reads a document by every way while one writer replaces it again and again in an outage:
// what says that a batch has left it holds that batch's text.
func TestOneAnswerIsOfOneMoment(t *testing.T) {
	c := away(t)
	var told sync.Map
	var done atomic.Bool
	var readers sync.WaitGroup
	check := func(how string, r *knowledge.Record) {
		d, err := r.Document()
		if err != nil {
			t.Error(err)
			return
		}
		title := d.(*knowledge.Rule).Title
		want, known := told.Load(r.Pending)
		if r.Pending == (knowledge.BatchID{}) {
			want, known = "first", true
		}
		if !known || want != title {
			t.Errorf("%s shows %q as left by batch %s, which left %q", how, title, r.Pending, want)
			done.Store(true)
		}
	}
	ways := map[string]func(context.Context) ([]*knowledge.Record, error){
		"Get": func(ctx context.Context) ([]*knowledge.Record, error) {
			r, err := c.s.Get(ctx, ruleKey("R"))
			return []*knowledge.Record{r}, err
		},
		"List": func(ctx context.Context) ([]*knowledge.Record, error) {
			page, err := c.s.List(ctx, knowledge.Query{Kind: knowledge.KindRule})
			if err != nil {
				return nil, err
			}
			return page.Records, nil
		},
		"Search": func(ctx context.Context) ([]*knowledge.Record, error) {
			hits, err := c.s.Search(ctx, knowledge.SearchQuery{Text: "first OR again"})
			var list []*knowledge.Record
			if err == nil {
				for _, h := range hits.Hits {
					list = append(list, h.Record)
				}
			}
			return list, err
		},
	}
	for how, read := range ways {
		readers.Go(func() {
			for !done.Load() {
				list, err := read(t.Context())
				if err != nil {
					t.Errorf("%s: %v", how, err)
					return
				}
				for _, r := range list {
					if r.Key == ruleKey("R") {
						check(how, r)
					}
				}
			}
		})
	}
	on := &knowledge.Record{Version: 1}
	for i := 0; i < 300 && !done.Load(); i++ {
		b := batchOf(onto(titled("R", fmt.Sprintf("again %d", i)), on))
		told.Store(b.ID, fmt.Sprintf("again %d", i))
		rec, err := c.s.Apply(t.Context(), b)
		if err != nil {
			t.Errorf("write: %v", err)
			break
		}
		on = rec.Records[0]
	}
	done.Store(true)
	readers.Wait()
}

// TestAWriteOfUnknownOutcomeShowsItsOwnText has the answer of a write lost that somebody else came before: until it is
// known, its writer sees what was acknowledged, under its tag, and what is made on top of it shares its fate.
func TestAWriteOfUnknownOutcomeShowsItsOwnText(t *testing.T) {
	c := newScene(t)
	c.past(knowledge.Put(titled("R", "first"), 0))
	c.past(knowledge.Put(titled("R", "theirs"), 1))
	c.follow()
	c.primary.set(losesReply)
	mine := c.write(knowledge.Put(titled("R", "mine"), 1))
	if !mine.Queued {
		t.Fatal("a write whose outcome is unknown was not queued")
	}
	r, err := c.s.Get(t.Context(), ruleKey("R"))
	if err != nil || r.Pending != mine.Batch || !strings.Contains(string(r.JSON), `"mine"`) {
		t.Fatalf("its writer is shown %s of batch %s, %v: %s; want its own text under its own tag", versionOf(r),
			r.Pending, err, r.JSON)
	}
	child := c.write(onto(titled("R", "on top of mine"), r))
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	for what, id := range map[string]knowledge.BatchID{
		"the write":                  mine.Batch,
		"what was made on top of it": child.Batch,
	} {
		if st, err := c.s.Batch(t.Context(), id); err != nil || st.State != knowledge.BatchParked {
			t.Errorf("%s is %s, %v; want it parked", what, st.State, err)
		}
	}
	if r, err := c.s.Get(t.Context(), ruleKey("R")); err != nil || r.Version != 2 ||
		!strings.Contains(string(r.JSON), `"theirs"`) {
		t.Errorf("in the end the rule is %s, %v; want theirs", versionOf(r), err)
	}
}

func TestAWaitingBatchSentAgainIsAnsweredAsBefore(t *testing.T) {
	c := away(t)
	first := c.write(knowledge.Put(titled("R", "P"), 1))
	b := batchOf(onto(titled("R", "Q"), first.Records[0]))
	second, err := c.s.Apply(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	c.write(onto(titled("R", "on top"), second.Records[0]))
	for _, state := range []string{"while it waits", "when it was applied"} {
		rec, err := c.s.Apply(t.Context(), b)
		if err != nil || rec.Batch != b.ID || rec.Records[0].Version != second.Records[0].Version {
			t.Errorf("sent again %s, behind another: %+v, %v; want the receipt of before", state, rec, err)
		}
		c.primary.set(healthy)
		waitMode(t, c.s, knowledge.ModeNormal)
	}
}

// revokedMeanwhile has a write queued whose writer is revoked at the primary before it is back, with a feed that brings
// nothing, and returns where the write stands in the end. Rights are what is asked before a replay.
func revokedMeanwhile(t *testing.T, rights func(now failover.Lookup, here failover.Mirror) failover.Lookup) string {
	t.Helper()
	g := &gated{}
	bob := knowledge.Key{Kind: knowledge.KindPrincipal, ID: "bob"}
	authorize := func(ctx context.Context, now failover.Lookup, _ string, _ *knowledge.Batch) error {
		r, err := rights(now, g)(ctx, bob)
		if err != nil {
			return err
		}
		if !r.Active {
			return &store.ForbiddenError{Reason: "bob was disabled"}
		}
		return nil
	}
	c := newScene(t, behind(g), func(o *failover.Options) { o.Authorize = authorize })
	p := storetest.Principal(func(p *knowledge.Principal) { p.PrincipalID = bob.ID })
	c.past(knowledge.Put(p, 0))
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	g.shut.Store(true)
	rec := c.write(knowledge.Put(rule("by-bob"), 0))
	c.past(knowledge.Op{Verb: knowledge.VerbRetire, Key: bob})
	c.primary.set(healthy)
	var st knowledge.BatchStatus
	waitFor(t, "the write is decided", func() bool {
		var err error
		st, err = c.s.Batch(t.Context(), rec.Batch)
		return err == nil && st.State != knowledge.BatchQueued
	})
	g.shut.Store(false)
	return st.State
}

func TestRightsAreThoseOfTheReplayAndNotOfTheOutage(t *testing.T) {
	honest := func(now failover.Lookup, _ failover.Mirror) failover.Lookup { return now }
	if state := revokedMeanwhile(t, honest); state != knowledge.BatchParked {
		t.Errorf("the write of somebody who was revoked meanwhile is %s, want it parked", state)
	}
	past := func(_ failover.Lookup, here failover.Mirror) failover.Lookup { return here.Get }
	if state := revokedMeanwhile(t, past); state != knowledge.BatchApplied {
		t.Errorf("with rights of before the outage the write is %s: this test does not tell them apart", state)
	}
}

// A flipping journal hands out what it was given with a letter changed, and knows it.
type flipping struct{ failover.Journal }

func (j flipping) Oldest(ctx context.Context, after int64, n int) ([]store.Entry, error) {
	list, err := j.Journal.Oldest(ctx, after, n)
	for i := range list {
		if d, ok := list[i].Batch.Ops[0].Doc.(*knowledge.Rule); ok && d.Title == "flipped" {
			list[i].Damaged, list[i].Left = true, nil
			list[i].Batch.Ops = []knowledge.Op{knowledge.Put(titled("another", "flapped"), 0)}
		}
	}
	return list, err
}

func TestADamagedBatchOfTheJournalIsParkedAndTheOthersGoOn(t *testing.T) {
	c := newScene(t, func(o *failover.Options) { o.Journal = flipping{o.Journal} })
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	bad := c.write(knowledge.Put(titled("R", "flipped"), 0))
	good := c.write(knowledge.Put(titled("S", "sound"), 0))
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	for id, want := range map[knowledge.BatchID]string{
		bad.Batch:  knowledge.BatchParked,
		good.Batch: knowledge.BatchApplied,
	} {
		if st, err := c.s.Batch(t.Context(), id); err != nil || st.State != want {
			t.Errorf("batch %s is %s (%s), %v; want %s", id, st.State, st.Detail, err, want)
		}
	}
	for _, id := range []string{"R", "another"} {
		if _, err := c.primary.engine().Get(t.Context(), ruleKey(id)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("rule %s at the primary: %v; want nothing of a damaged batch there", id, err)
		}
	}
	if rec := c.write(knowledge.Put(titled("R", "written again"), knowledge.NoVersion)); rec.Queued {
		t.Error("a write of the same document still waits behind it")
	}
}

// TestADamagedBatchOfAnEarlierRunLeavesNothingInTheMirror damages a batch between two runs: only the mirror still knows
// what it wrote.
func TestADamagedBatchOfAnEarlierRunLeavesNothingInTheMirror(t *testing.T) {
	c := newScene(t)
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	bad := c.write(knowledge.Put(titled("R", "flipped"), 0))
	c.end()
	c.open(func(o *failover.Options) { o.Journal = flipping{o.Journal} })
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	if st, err := c.s.Batch(t.Context(), bad.Batch); err != nil || st.State != knowledge.BatchParked {
		t.Errorf("the damaged batch is %s (%s), %v; want it parked", st.State, st.Detail, err)
	}
	for _, id := range []string{"R", "another"} {
		if rec, err := c.s.Get(t.Context(), ruleKey(id)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("rule %s is there: %v (%v); want nothing of a damaged batch", id, rec != nil, err)
		}
	}
}

// TestWhatTheMirrorHadNoRoomForIsShownInOrder journals writes on top of each other while the mirror takes none of the
// first ones: their writer sees and can replace them at once, and lists have the last one as soon as there is room,
// with and without a restart, in an outage.
func TestWhatTheMirrorHadNoRoomForIsShownInOrder(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarts %t", restarts), func(t *testing.T) {
			g := &gated{}
			soon := func(o *failover.Options) { o.Wait(failover.Waits{Soon: 20 * time.Millisecond}) }
			c := newScene(t, behind(g), soon)
			c.write(knowledge.Put(titled("R", "first"), 0))
			c.follow()
			c.primary.set(refused)
			waitMode(t, c.s, knowledge.ModeDegraded)
			last := func(title string) {
				t.Helper()
				r, err := c.s.Get(t.Context(), ruleKey("R"))
				if err != nil {
					t.Fatal(err)
				}
				rec := c.write(onto(titled("R", title), r))
				r, err = c.s.Get(t.Context(), ruleKey("R"))
				if err != nil || r.Pending != rec.Batch || titleOf(t, r) != title {
					t.Errorf("R reads as %+v, %v, want %q of batch %s", r, err, title, rec.Batch)
				}
			}
			g.full.Store(true)
			last("second")
			last("third")
			c.write(knowledge.Put(rule("S"), knowledge.NoVersion))
			if _, err := c.s.Get(t.Context(), ruleKey("S")); err != nil {
				t.Errorf("S, which waits: %v", err)
			}
			if n := c.s.Level().Lacking; n != 3 {
				t.Errorf("lists are said to lack %d writes, want 3", n)
			}
			g.full.Store(false)
			last("fourth") // perhaps laid before the second is
			if restarts {
				c.end()
				c.open(behind(g), soon)
			}
			waitFor(t, "a list has what waits", func() bool {
				page, err := c.s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule})
				return err == nil && len(page.Records) == 2 && titleOf(t, page.Records[0]) == "fourth"
			})
			waitFor(t, "the mirror has no more trouble",
				func() bool { return c.status().Mirror.State == failover.MirrorReady })
			if n := c.s.Level().Lacking; n != 0 {
				t.Errorf("lists are said to lack %d writes, want none", n)
			}
			last("fifth")
			c.primary.set(healthy)
			waitMode(t, c.s, knowledge.ModeNormal)
			page, err := c.s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule})
			if err != nil || len(page.Records) != 2 || titleOf(t, page.Records[0]) != "fifth" {
				t.Errorf("after the replay a list has %+v, %v", page, err)
			}
		})
	}
}

// What the mirror has no room for is shown over what lies there of the same document.
func TestWhatTheMirrorHadNoRoomForIsShownOverWhatLiesThere(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g))
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	c.write(knowledge.Put(titled("R", "first"), knowledge.NoVersion))
	r, err := c.s.Get(t.Context(), ruleKey("R"))
	if err != nil {
		t.Fatal(err)
	}
	g.full.Store(true)
	rec := c.write(onto(titled("R", "second"), r))
	if r, err = c.s.Get(t.Context(), ruleKey("R")); err != nil || r.Pending != rec.Batch || titleOf(t, r) != "second" {
		t.Errorf("R reads as %+v, %v, want the second of batch %s", r, err, rec.Batch)
	}
}

// TestAnAcknowledgedWriteThatTheMirrorLacksIsShown lets the primary take writes that the mirror has no room for, one
// directly and one that had waited, and then lets it fail before its feed has brought them. Their writer goes on
// seeing them, and writes on top of them.
func TestAnAcknowledgedWriteThatTheMirrorLacksIsShown(t *testing.T) {
	for _, waited := range []bool{false, true} {
		t.Run(fmt.Sprintf("waited %t", waited), func(t *testing.T) {
			t.Parallel()
			g := &gated{}
			c := newScene(t, behind(g))
			c.write(knowledge.Put(titled("R", "first"), knowledge.NoVersion))
			c.follow()
			g.full.Store(true)
			g.blind.Store(true)
			g.settle.Store(true)
			g.shut.Store(true)
			if waited {
				c.degrade()
			}
			rec := c.write(knowledge.Put(titled("R", "second"), 1))
			if rec.Queued != waited {
				t.Fatalf("queued: %t", rec.Queued)
			}
			if waited {
				c.primary.set(healthy)
				waitFor(t, "it is applied", func() bool {
					st, err := c.s.Batch(t.Context(), rec.Batch)
					return err == nil && st.State == knowledge.BatchApplied
				})
			}
			c.degrade()
			r, err := c.s.Get(t.Context(), ruleKey("R"))
			if err != nil || titleOf(t, r) != "second" {
				t.Fatalf("its writer reads %+v, %v; want the second", r, err)
			}
			third := c.write(knowledge.Put(titled("R", "third"), r.Version))
			if r, err = c.s.Get(t.Context(), ruleKey("R")); err != nil || titleOf(t, r) != "third" {
				t.Errorf("on top of it: %+v, %v; want the third", r, err)
			}
			for _, b := range []*atomic.Bool{&g.full, &g.blind, &g.settle, &g.shut} {
				b.Store(false)
			}
			c.primary.set(healthy)
			waitMode(t, c.s, knowledge.ModeNormal)
			if st, err := c.s.Batch(t.Context(), third.Batch); err != nil || st.State != knowledge.BatchApplied {
				t.Errorf("in the end the third is %s, %v; want it applied", st.State, err)
			}
		})
	}
}

// degrade lets the primary fail, and writes until the instance knows.
func (c *scene) degrade() {
	c.t.Helper()
	c.primary.set(refused)
	for c.status().Mode != knowledge.ModeDegraded {
		c.write(knowledge.Put(rule("other"), knowledge.AnyVersion))
	}
}
