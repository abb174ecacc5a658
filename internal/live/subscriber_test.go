package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A tape is a wire that keeps what it is sent.
type tape struct {
	t testing.TB

	mu     sync.Mutex // guards what follows
	list   []message
	bodies []*body
	code   websocket.StatusCode
	cut    bool
	silent bool
	pings  int
	hold   chan struct{} // Send waits until it is closed; nil for not at all
}

func (w *tape) Send(events []*event, documents bool) error {
	w.mu.Lock()
	hold := w.hold
	w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		w.bodies = append(w.bodies, e.body(documents))
		w.list = append(w.list, decode(w.t, e.body(documents).text))
	}
	return nil
}

func (w *tape) Ping() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pings++; w.silent {
		return errSilent
	}
	return nil
}

func (w *tape) Close(code websocket.StatusCode, _ string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.code = code
}

func (w *tape) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
}

// types returns the types of what was sent, and the seqs of changes.
func (w *tape) types() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, m := range w.list {
		out = append(out, m.Type)
	}
	return strings.Join(out, " ")
}

func (w *tape) last() message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list[len(w.list)-1]
}

func (w *tape) seqs() []knowledge.Seq {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []knowledge.Seq
	for _, m := range w.list {
		if m.Type == typeChange && !m.Provisional {
			out = append(out, m.Seq)
		}
	}
	return out
}

// A bubble is a hub in a synctest bubble, where time passes by itself.
type bubble struct {
	t   *testing.T
	hub *Hub
	log *memoryLog
}

// inBubble runs a test with a running hub.
func inBubble(t *testing.T, o Options, test func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, log: newLog(t)}
		b.log.rules(10)
		o.Feed = b.log
		b.hub = NewHub(o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := b.hub.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		}()
		synctest.Wait()
		test(b)
		cancel()
		<-done
	})
}

// join subscribes on a tape.
func (b *bubble) join(query string, caller *access.Caller) *tape {
	b.t.Helper()
	w := &tape{t: b.t}
	b.joinOn(query, caller, w)
	synctest.Wait()
	return w
}

func (b *bubble) joinOn(query string, caller *access.Caller, w *tape) *subscriber {
	b.t.Helper()
	if caller == nil {
		caller = &access.Caller{ID: "someone", Role: knowledge.RoleViewer}
	}
	sub, err := parse(query, "")
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := b.hub.join(caller, sub, sub.name())
	if err != nil {
		b.t.Fatal(err)
	}
	s.connect(w)
	go func() {
		defer b.hub.leave(s)
		s.check()
		s.run()
	}()
	return s
}

// standing is a mode that changes.
type standing struct{ atomic.Value }

func (s *standing) level() knowledge.Level {
	mode, _ := s.Load().(knowledge.Mode)
	return knowledge.Level{Mode: mode}
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d) // in a bubble: nobody waits
	synctest.Wait()
}

func TestAPingCarriesThePositionThatFilteredChangesMove(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		w := b.join("kind=practice", nil)
		b.log.rules(5)
		pass(24 * time.Second)
		if got := w.types(); got != "hello" {
			t.Errorf("after 24 s: %s, want nothing but the greeting", got)
		}
		pass(time.Second)
		if m := w.last(); m.Type != typePing || m.Seq != 15 || m.Mode != knowledge.ModeNormal {
			t.Errorf("after 25 s: %s, want a ping with seq 15", m.raw)
		}
		pass(50 * time.Second)
		if got := w.types(); got != "hello ping ping ping" || w.pings != 3 {
			t.Errorf("after 75 s: %s and %d pings of the connection, want three of each", got, w.pings)
		}
	})
}

func TestAPeerThatDoesNotAnswerPingsIsCutOff(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		w := b.join("", nil)
		w.mu.Lock()
		w.silent = true
		w.mu.Unlock()
		pass(26 * time.Second)
		if _, n := b.hub.standing(); n != 0 || !w.cut {
			t.Errorf("%d streams are left, cut %v", n, w.cut)
		}
	})
}

func TestASocketOwesFewPongs(t *testing.T) {
	s := &socket{}
	s.owed.Store(owedPongs)
	if err := s.Ping(); !errors.Is(err, errSilent) {
		t.Errorf("got %v, want %v", err, errSilent)
	}
}

func TestNothingIsSentOnATokenThatIsOver(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		caller := &access.Caller{
			ID: "someone", Role: knowledge.RoleViewer,
			Expiry: knowledge.At(time.Now().Add(time.Minute)),
		}
		w := b.join("", caller)
		pass(59 * time.Second)
		b.log.rules(1)
		pass(time.Second)
		b.log.rules(1)
		pass(100 * time.Millisecond)
		if got := w.types(); got != "hello ping ping change bye" || w.code != codeCredentials {
			t.Errorf("got %s and code %d, want a change, then a goodbye and %d", got, w.code, codeCredentials)
		}
	})
}

// TestAHistoryThatCantBeComparedYetIsWaitedFor comes with a position that this tenet has not seen yet.
func TestAHistoryThatCantBeComparedYetIsWaitedFor(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		ahead := newLog(t)
		ahead.list = b.log.all()
		ahead.rules(4)
		others := ahead.all()[10:]
		same := b.join(fmt.Sprintf("after=12&chain=%x", others[1].Chain), nil)
		other := b.join(fmt.Sprintf("after=12&chain=%x", others[0].Chain), nil)
		pass(26 * time.Second)
		for _, w := range []*tape{same, other} {
			if got := w.types(); got != "hello ping" {
				t.Errorf("before the log was there: %s, want a greeting and a ping", got)
			}
		}
		b.log.mu.Lock()
		b.log.list = append(b.log.list, others...)
		b.log.ring()
		b.log.mu.Unlock()
		pass(5 * time.Second)
		if got := same.seqs(); !slices.Equal(got, upTo(13, 14)) {
			t.Errorf("who knows this history got %v, want 13 and 14", got)
		}
		if got := other.types(); got != "hello ping gone" {
			t.Errorf("who knows another got %s, want gone and no change", got)
		}
	})
}

func TestAPositionRightBeforeTheLogNeedsNoProof(t *testing.T) {
	inBubble(t, Options{Ring: 4}, func(b *bubble) {
		chain := b.log.all()[2].Chain
		b.log.forget(4)
		w := b.join(fmt.Sprintf("after=3&chain=%x", chain), nil)
		if got := w.seqs(); !slices.Equal(got, upTo(4, 10)) {
			t.Errorf("got %v, want 4 to 10: %s", got, w.types())
		}
	})
}

func TestAPrincipalThatIsAnotherEndsAStream(t *testing.T) {
	var changed atomic.Bool
	inBubble(t, Options{Holds: func(*access.Caller) bool { return !changed.Load() }}, func(b *bubble) {
		admin := &access.Caller{ID: "someone", Role: knowledge.RoleAdmin}
		w, local := b.join("", admin), b.join("", &access.Caller{ID: "local", Role: knowledge.RoleAdmin, Local: true})
		pass(25 * time.Second)
		changed.Store(true)
		b.log.rules(1)
		synctest.Wait()
		if got := w.types(); got != "hello ping bye" || w.code != codeCredentials {
			t.Errorf("got %s and code %d, want a goodbye before anything else is sent", got, w.code)
		}
		if got := local.types(); got != "hello ping change" {
			t.Errorf("who is on the machine itself got %s", got)
		}
	})
}

func TestASubscriberWhoFallsFarBehindIsTold(t *testing.T) {
	inBubble(t, Options{Ring: 4, MaxLag: 50}, func(b *bubble) {
		w := &tape{t: t}
		b.joinOn("", nil, w)
		synctest.Wait()
		w.mu.Lock()
		w.hold = make(chan struct{})
		w.mu.Unlock()
		b.log.rules(1)
		synctest.Wait()
		b.log.rules(60)
		synctest.Wait()
		hold := w.hold
		w.mu.Lock()
		w.hold = nil
		w.mu.Unlock()
		close(hold)
		synctest.Wait()
		if m := w.last(); m.Type != typeBehind || m.Seq != 11 || m.Newest != 71 || m.Retry < 1000 ||
			w.code != codeBehind {
			t.Errorf("got %s and code %d, want behind with seq 11 of 71", m.raw, w.code)
		}
		again := b.join("after=11", nil)
		if got := again.seqs(); !slices.Equal(got, upTo(12, 71)) {
			t.Errorf("come back, it got %v", got)
		}
	})
}

func TestASubscriberALittleBehindReadsTheLog(t *testing.T) {
	inBubble(t, Options{Ring: 4, MaxLag: 100}, func(b *bubble) {
		w := &tape{t: t}
		b.joinOn("", nil, w)
		synctest.Wait()
		w.mu.Lock()
		w.hold = make(chan struct{})
		hold := w.hold
		w.mu.Unlock()
		b.log.rules(60)
		synctest.Wait()
		w.mu.Lock()
		w.hold = nil
		w.mu.Unlock()
		close(hold)
		synctest.Wait()
		if got := w.seqs(); !slices.Equal(got, upTo(11, 70)) {
			t.Errorf("got %v, want 11 to 70", got)
		}
	})
}

func TestNothingIsGoneWhileThePrimaryIsAway(t *testing.T) {
	var mode standing
	mode.Store(knowledge.ModeDegraded)
	inBubble(t, Options{Ring: 4, Level: mode.level}, func(b *bubble) {
		b.log.leanOn(5)
		w := b.join("after=0", nil)
		pass(time.Minute)
		if got := w.types(); got != "hello ping ping" {
			t.Errorf("got %s, want pings", got)
		}
		b.log.leanOn(0)
		mode.Store(knowledge.ModeNormal)
		pass(5 * time.Second)
		if got := w.seqs(); !slices.Equal(got, upTo(1, 10)) {
			t.Errorf("got %v, want 1 to 10", got)
		}
	})
}

// TestAHubStartsOnAMirrorWithoutAPast starts one in an outage, over a copy that begins where it was made.
func TestAHubStartsOnAMirrorWithoutAPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		log.rules(10)
		log.leanOn(11)
		hub := NewHub(Options{Feed: log})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- hub.Run(ctx) }()
		synctest.Wait()
		b := &bubble{t: t, hub: hub, log: log}
		level, behind := b.join("after=10", nil), b.join("after=8", nil)
		log.rules(1)
		synctest.Wait()
		if got := level.seqs(); !slices.Equal(got, upTo(11, 11)) {
			t.Errorf("who is level got %v, want 11", got)
		}
		if got := behind.seqs(); len(got) != 0 {
			t.Errorf("who is behind the copy got %v, want nothing yet", got)
		}
		log.leanOn(0)
		pass(5 * time.Second)
		if got := behind.seqs(); !slices.Equal(got, upTo(9, 11)) {
			t.Errorf("who is behind got %v, want 9 to 11", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestPingsGoOnWhileTheLogIsAway(t *testing.T) {
	inBubble(t, Options{Ring: 4}, func(b *bubble) {
		b.log.failWith(&store.UnavailableError{Reason: "away"})
		w := b.join("after=0", nil)
		pass(60 * time.Second)
		if got := w.types(); got != "hello ping ping" {
			t.Errorf("got %s, want pings", got)
		}
		b.log.failWith(nil)
		pass(5 * time.Second)
		if got := w.seqs(); !slices.Equal(got, upTo(1, 10)) {
			t.Errorf("got %v, want 1 to 10", got)
		}
	})
}

func TestMessagesAreEncodedOnceForAll(t *testing.T) {
	inBubble(t, Options{Ring: 8}, func(b *bubble) {
		b.log.rules(300)
		synctest.Wait()
		before := b.log.count()
		one, two := b.join("after=0", nil), b.join("after=0", nil)
		if got := b.log.count() - before; got > 12 {
			t.Errorf("the log was read %d times for two who follow each other", got)
		}
		b.log.rules(3)
		synctest.Wait()
		if got := one.seqs(); !slices.Equal(got, upTo(1, 313)) {
			t.Fatalf("got %v", got)
		}
		shared := 0
		for i, body := range one.bodies[1:] {
			if body == two.bodies[i+1] {
				shared++
			}
		}
		// The last page of the log, which is not full, is read for each.
		if want := 313 - 313%pageChanges; shared < want {
			t.Errorf("%d of 313 messages were encoded once, want at least %d", shared, want)
		}
	})
}

func TestWhoWantsNothingOfItIsNotWoken(t *testing.T) {
	inBubble(t, Options{Ring: 8}, func(b *bubble) {
		w := &tape{t: t}
		s := b.joinOn("key=rule/X", nil, w)
		synctest.Wait()
		bell := s.group.bell
		b.log.rules(1000)
		synctest.Wait()
		b.hub.mu.Lock()
		if s.group.bell != bell {
			t.Error("the bell rang for changes that nobody in the group wants")
		}
		b.hub.mu.Unlock()
		b.log.add(put(t, rule("X")))
		synctest.Wait()
		if got := w.seqs(); !slices.Equal(got, []knowledge.Seq{1011}) {
			t.Errorf("got %v, want 1011", got)
		}
	})
}

func TestAChangeOfModeIsToldOnce(t *testing.T) {
	var mode standing
	mode.Store(knowledge.ModeNormal)
	inBubble(t, Options{Ring: 4, Level: mode.level}, func(b *bubble) {
		w := b.join("", nil)
		mode.Store(knowledge.ModeDegraded)
		b.hub.Announce(Notice{Mode: knowledge.ModeDegraded, From: knowledge.ModeNormal, Why: "the primary is away"})
		synctest.Wait()
		if m := w.last(); m.Type != typeMode || m.Mode != knowledge.ModeDegraded || m.From != knowledge.ModeNormal ||
			m.Why == "" {
			t.Errorf("got %s, want the change of mode", m.raw)
		}
		b.hub.Announce(Notice{Mode: knowledge.ModeDegraded, Breaker: "half-open"})
		pass(5 * time.Second)
		if m := w.last(); m.Type != typeMode || m.Breaker != "half-open" || m.From != "" {
			t.Errorf("got %s, want the breaker's move", m.raw)
		}
		late := b.join("after=0", nil)
		if got := late.types(); !strings.HasPrefix(got, "hello change") || strings.Contains(got, "mode") {
			t.Errorf("who comes later hears %s, want the mode in the greeting alone", got)
		}
		within := b.join("after=9", nil) // what it lacks is in the ring, and the changes of mode are behind it there
		if got := within.types(); got != "hello change" {
			t.Errorf("who comes back hears %s, want no mode that is over", got)
		}
		for _, w := range []*tape{late, within} {
			if m := w.list[0]; m.Mode != knowledge.ModeDegraded || m.Breaker != "half-open" {
				t.Errorf("the greeting is %s, want degraded and half-open", m.raw)
			}
		}
		mode.Store(knowledge.ModeNormal) // and nobody says so
		pass(2 * time.Second)
		if m := w.last(); m.Mode != knowledge.ModeNormal || m.From != knowledge.ModeDegraded {
			t.Errorf("got %s, want the mode that the level shows", m.raw)
		}
		if got := w.types(); got != "hello mode mode mode" {
			t.Errorf("got %s, want three changes of mode", got)
		}
	})
}

func TestAModeThatChangedWhileTheLogWasReadIsTold(t *testing.T) {
	inBubble(t, Options{Ring: 4}, func(b *bubble) {
		w := &tape{t: t}
		b.joinOn("", nil, w)
		synctest.Wait()
		w.mu.Lock()
		w.hold = make(chan struct{})
		hold := w.hold
		w.mu.Unlock()
		b.log.rules(1)
		synctest.Wait()
		b.hub.moved(&Notice{Mode: knowledge.ModeRecovering})
		b.log.rules(20)
		synctest.Wait()
		w.mu.Lock()
		w.hold = nil
		w.mu.Unlock()
		close(hold)
		synctest.Wait()
		if m := w.last(); m.Mode != knowledge.ModeRecovering {
			t.Errorf("the last message is %s, want the mode, which the ring has lost", m.raw)
		}
	})
}

// A desk stands in for the journal.
type desk struct {
	mu      sync.Mutex // guards what follows
	entry   store.Entry
	outcome store.Outcome
}

func (d *desk) find(context.Context, knowledge.BatchID) (store.Entry, store.Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entry, d.outcome, nil
}

func (d *desk) set(state, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outcome = store.Outcome{State: state, Why: why}
}

func TestAQueuedBatchIsProvisionalUntilTheLogHasIt(t *testing.T) {
	d := &desk{entry: newEntry(t)}
	d.set(knowledge.BatchQueued, "")
	inBubble(t, Options{Queued: d.find}, func(b *bubble) {
		all, one, none := b.join("", nil), b.join("key=rule/B", nil), b.join("category=other", nil)
		id := d.entry.Batch.ID
		b.hub.Announce(Notice{Queued: &id})
		b.hub.Announce(Notice{Queued: &id})
		synctest.Wait()
		if got := all.types(); got != "hello change change change" {
			t.Errorf("got %s, want three provisional changes", got)
		}
		m := one.last()
		if !m.Provisional || m.ID != "B" || m.Verb != knowledge.VerbPut || m.Seq != 0 || m.Batch != id ||
			len(m.Document) < 10 {
			t.Errorf("got %s, want the patched rule as it would be", m.raw)
		}
		if got := none.types(); got != "hello change" { // the third op's document is not known
			t.Errorf("who wants another category got %s", got)
		}
		d.set(knowledge.BatchApplied, "")
		c := put(t, rule("B"))
		c.Batch = id
		b.log.add(c)
		pass(5 * time.Second)
		if m := one.last(); m.Provisional || m.Batch != id || m.Seq != 11 {
			t.Errorf("got %s, want the final change", m.raw)
		}
		b.hub.Announce(Notice{Queued: &id})
		synctest.Wait()
		if got := one.types(); got != "hello change change" {
			t.Errorf("got %s: it was announced again after it was done", got)
		}
	})
}

func TestABatchThatWasParkedIsTakenBack(t *testing.T) {
	d := &desk{entry: newEntry(t)}
	d.set(knowledge.BatchQueued, "")
	var mode standing
	mode.Store(knowledge.ModeDegraded)
	inBubble(t, Options{Queued: d.find, Level: mode.level}, func(b *bubble) {
		w := b.join("key=rule/A", nil)
		id := d.entry.Batch.ID
		b.hub.Announce(Notice{Queued: &id})
		synctest.Wait()
		d.set(knowledge.BatchParked, "somebody was first")
		mode.Store(knowledge.ModeRecovering)
		pass(5 * time.Second)
		if m := w.last(); m.Type != typeParked || m.Batch != id || m.ID != "A" || m.Why != "somebody was first" {
			t.Errorf("got %s, want that the batch was parked", m.raw)
		}
		if got := w.types(); got != "hello change mode parked" {
			t.Errorf("got %s, want it to be told once", got)
		}
	})
}

func TestABatchThatTheLogHasAlreadyIsNotAnnounced(t *testing.T) {
	d := &desk{entry: newEntry(t)}
	d.set(knowledge.BatchQueued, "")
	inBubble(t, Options{Queued: d.find}, func(b *bubble) {
		w := b.join("", nil)
		c := put(t, rule("A"))
		c.Batch = d.entry.Batch.ID
		b.log.add(c)
		synctest.Wait()
		b.hub.Announce(Notice{Queued: &c.Batch})
		synctest.Wait()
		if got := w.types(); got != "hello change" {
			t.Errorf("got %s, want the final change alone", got)
		}
	})
}

func TestALogThatStaysShorterIsAnotherHistory(t *testing.T) {
	var mode standing
	mode.Store(knowledge.ModeNormal)
	inBubble(t, Options{Level: mode.level}, func(b *bubble) {
		w := b.join("", nil)
		mode.Store(knowledge.ModeDegraded) // a mirror that is not there yet
		b.log.replace(5, 0)
		pass(5 * time.Minute)
		if got := w.types(); strings.Contains(got, "gone") {
			t.Errorf("while the primary is away: %s", got)
		}
		mode.Store(knowledge.ModeNormal)
		pass(time.Minute)
		if m := w.last(); m.Type != typeGone {
			t.Errorf("got %s, want that the history is another one", m.raw)
		}
		again := b.join("after=0", nil)
		if got := again.seqs(); !slices.Equal(got, upTo(1, 5)) {
			t.Errorf("the new history is %v", got)
		}
	})
}

func TestAReaderWithoutATurnIsToldToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		log.rules(10)
		h := NewHub(Options{Feed: log, Ring: 4})
		h.level()
		h.restart(10) // and nobody reads the log
		b := &bubble{t: t, hub: h, log: log}
		w := &tape{t: t}
		s := b.joinOn("after=0", nil, w)
		pass(time.Minute)
		if m := w.last(); m.Type != typeBehind || m.Seq != 0 {
			t.Errorf("got %s, want behind with seq 0", m.raw)
		}
		if ending(s.why.Load()) != endBusy {
			t.Errorf("it ended with %d, want busy", s.why.Load())
		}
	})
}

func TestAPrincipalsChangeEndsItsStreamsBeforeAnythingElseIsSent(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		w := b.join("", &access.Caller{ID: "someone", Role: knowledge.RoleAdmin})
		b.log.add(put(t, storetest.Principal(func(p *knowledge.Principal) { p.PrincipalID = "someone" })),
			put(t, storetest.Principal()))
		synctest.Wait()
		if got := w.types(); got != "hello bye" {
			t.Errorf("got %s, want a goodbye at once", got)
		}
	})
}
