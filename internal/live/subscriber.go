package live

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A wire carries messages to one peer. Cut may be called at any time; the other methods are called by one goroutine.
type wire interface {
	// Send writes messages as one piece where they fit. An error means that the peer can't be reached any more.
	Send(events []*event, documents bool) error
	// Ping asks the peer for a sign of life. It does not wait; it fails when the peer owes several.
	Ping() error
	// Close ends the connection in an orderly way.
	Close(code websocket.StatusCode, reason string)
	// Cut ends the connection at once.
	Cut()
}

// Bounds of a subscriber's patience.
const (
	atOnce       = 64               // events taken from the ring in one go
	readPatience = 10 * time.Second // how long it waits for its turn to read the log
	retryPause   = time.Second      // between two attempts to read the log
)

// A subscriber is a cursor into the ring, and into the log where it is behind the ring.
type subscriber struct {
	h      *Hub
	caller *access.Caller
	sub    *subscription
	group  *group
	wire   wire

	// Where it is. They belong to its own goroutine.
	after   knowledge.Seq  // every change up to here was sent or does not pass
	index   uint64         // of the next event in the ring; below the ring's first for not known
	begun   uint64         // where the ring ended when it was greeted: it knows of the changes of mode before
	wasUp   bool           // it was level with the log once
	unsure  bool           // whether the log is the history that it knows could not be told yet
	mode    knowledge.Mode // as it was last told
	breaker string         // as it was last told
	oldest  knowledge.Seq  // where the log begins, once that is why the stream ends

	at   atomic.Int64  // after, for the measures; -1 while it waits for a bell
	why  atomic.Int32  // the first ending that somebody wanted
	quit chan struct{} // closed with it
}

// end makes the stream end. Only the first reason counts.
func (s *subscriber) end(why ending) {
	if s.why.CompareAndSwap(int32(endNone), int32(why)) {
		close(s.quit)
	}
}

// connect gives the subscriber its wire.
func (s *subscriber) connect(w wire) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.wire = w
}

// check looks whether the stream can begin where the subscriber wants: whether the log reaches back that far, and is the
// history that the subscriber knows.
func (s *subscriber) check() {
	if inRing, _ := s.h.look(s); !inRing {
		if _, err := s.ask(s.after, nil); s.gone(err) {
			return
		}
	}
	if s.sub.chain != nil && !s.sub.tail {
		s.prove(nil)
	}
}

// prove compares the log with the history that the subscriber knows. Where this tenet has not seen as much of it yet, nothing
// can be told, and nothing is sent until it can.
func (s *subscriber) prove(heart *time.Timer) {
	_, known := s.h.look(s)
	if known == nil {
		events, err := s.ask(s.after-1, heart)
		if errors.Is(err, store.ErrGone) {
			s.unsure = false // the change itself is kept no longer; those after it are
			return
		}
		if s.unsure = err != nil || len(events) == 0; s.unsure {
			return
		}
		known = events[0]
	}
	if s.unsure = false; known.seq == s.after && !bytes.HasPrefix(known.chain[:], s.sub.chain) {
		s.end(endReplaced)
	}
}

// look reports whether the ring holds every change after the subscriber's position, and the one at it where it is held.
func (h *Hub) look(s *subscriber) (inRing bool, at *event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return s.after >= h.ring.low, h.ring.change(s.after)
}

// gone ends the stream when an error says that the log begins later than the subscriber's position. Where that is true of a
// mirror alone, which keeps less, the stream waits for the primary.
func (s *subscriber) gone(err error) bool {
	gone, ok := errors.AsType[*store.GoneError](err)
	if !ok || gone.Copy {
		return false
	}
	s.oldest = gone.Oldest
	s.end(endGone)
	return true
}

// run sends what the subscriber wants until the stream ends, then says goodbye.
func (s *subscriber) run() {
	s.follow()
	why := ending(s.why.Load())
	s.h.measure.ended(why)
	if why == endLeft || why == endStuck || why == endSilent {
		s.wire.Cut()
		return
	}
	newest, count := s.h.standing()
	if last := why.goodbye(s.after, newest, s.oldest, count); last != nil {
		if s.wire.Send([]*event{last}, true) != nil {
			s.wire.Cut()
			return
		}
	}
	s.wire.Close(why.close())
}

// follow is the one loop of a stream: resuming, lagging and being level are places in it.
func (s *subscriber) follow() {
	heart := time.NewTimer(s.h.o.PingEvery)
	defer heart.Stop()
	if s.goesOn() {
		s.greet()
	}
	taken := make([]*event, 0, atOnce)
	for s.goesOn() {
		if s.unsure {
			s.rest(heart)
			s.prove(heart)
			continue
		}
		batch, bell, lost := s.h.take(s, taken[:0])
		switch {
		case lost && s.tooFar():
			s.end(endBehind)
		case lost:
			s.catchUp(heart)
		case len(batch) > 0:
			s.send(batch)
		default:
			s.wasUp = true
			s.at.Store(-1)
			s.park(bell, heart)
		}
	}
}

// goesOn reports whether the stream goes on: a token that is over, or a principal that is another now, ends it before anything
// else is sent.
func (s *subscriber) goesOn() bool {
	if !s.caller.Expiry.IsZero() && !time.Now().Before(s.caller.Expiry.Time) {
		s.end(endExpired)
	}
	if holds := s.h.o.Holds; holds != nil && !s.caller.Local && !holds(s.caller) {
		s.end(endCredentials)
	}
	return ending(s.why.Load()) == endNone
}

func (s *subscriber) tooFar() bool {
	newest, _ := s.h.standing()
	return s.wasUp && newest-s.after > knowledge.Seq(s.h.o.MaxLag)
}

// greet opens the stream.
func (s *subscriber) greet() {
	asOf := s.h.o.Level().AsOf
	newest, _ := s.h.standing()
	m := s.h.begin(s)
	s.mode, s.breaker = m.Mode, m.Breaker
	s.send([]*event{note(typeHello, s.after, comeBack(0), helloMessage{
		Type: typeHello, Mode: m.Mode, Breaker: m.Breaker, AsOf: asOf, After: s.after, Newest: newest, Ping: int(s.h.o.PingEvery.Seconds()),
	})})
}

// send hands messages to the wire.
func (s *subscriber) send(events []*event) {
	if err := s.wire.Send(events, s.sub.documents); err != nil {
		s.end(endStuck)
		return
	}
	for _, e := range events {
		if e.mode != nil {
			s.mode, s.breaker = e.mode.Mode, e.mode.Breaker
		}
	}
	s.h.measure.sent(events, s.wasUp)
}

// park waits, level with the log, until there is something to send.
func (s *subscriber) park(b *bell, heart *time.Timer) {
	for {
		select {
		case <-b.rung:
			s.index, s.after = b.index, max(s.after, b.after)
			return
		case <-s.quit:
			return
		case <-heart.C:
			s.beat(heart, s.h.place(s, b))
		}
		if !s.goesOn() {
			return
		}
	}
}

// beat sends a ping with the subscriber's position.
func (s *subscriber) beat(heart *time.Timer, mode knowledge.Mode) {
	heart.Reset(s.h.o.PingEvery)
	if !s.goesOn() {
		return
	}
	s.send([]*event{note(typePing, s.after, 0, pingMessage{Type: typePing, Seq: s.after, Mode: mode, At: knowledge.At(time.Now())})})
	if err := s.wire.Ping(); err != nil {
		s.end(endSilent)
	}
}

// catchUp sends a page of the log.
func (s *subscriber) catchUp(heart *time.Timer) {
	events, err := s.ask(s.after, heart)
	switch {
	case s.gone(err):
		return
	case errors.Is(err, errBusy):
		s.end(endBusy)
		return
	case err != nil || len(events) == 0: // the log can't be read now, or is read from a mirror that is not there yet
		s.rest(heart)
		return
	}
	batch := make([]*event, 0, atOnce)
	for _, e := range events {
		if !s.goesOn() {
			return
		}
		if s.sub.wants(e) {
			batch = append(batch, e)
		}
		if len(batch) == atOnce {
			s.send(batch)
			batch = batch[:0]
		}
	}
	if len(batch) > 0 && s.goesOn() {
		s.send(batch)
	}
	s.after = events[len(events)-1].seq
}

// ask asks for the page of the log after a position. Meanwhile the heart beats, where there is one.
func (s *subscriber) ask(after knowledge.Seq, heart *time.Timer) ([]*event, error) {
	var beats <-chan time.Time
	if heart != nil {
		beats = heart.C
	}
	patience := time.NewTimer(readPatience)
	defer patience.Stop()
	q := newPageQuery(after)
	asked := s.h.pages.queries
	for {
		select {
		case asked <- q:
			asked = nil // and now for the answer
			patience.Stop()
		case a := <-q.answer:
			return a.events, a.err
		case <-patience.C:
			return nil, errBusy
		case <-s.quit:
			return nil, store.ErrClosed
		case <-beats:
			s.beat(heart, s.h.modeNow().Mode)
		}
	}
}

// rest waits before the log is asked again.
func (s *subscriber) rest(heart *time.Timer) {
	t := time.NewTimer(retryPause)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return
		case <-s.quit:
			return
		case <-heart.C:
			s.beat(heart, s.h.modeNow().Mode)
		}
	}
}

// take moves a subscriber through the ring. It returns the next events that the subscriber wants; or the bell of those who
// have seen everything; or that it is lost: what it needs is not in the ring any more.
func (h *Hub) take(s *subscriber, into []*event) (events []*event, b *bell, lost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { s.at.Store(int64(s.after)) }()
	r := &h.ring
	if s.index < r.first {
		if s.after < r.low {
			return nil, nil, true
		}
		s.index = r.find(s.after)
	}
	for ; s.index < r.next && len(into) < cap(into); s.index++ {
		e := *r.at(s.index)
		if e.seq != 0 && e.seq <= s.after {
			continue // it has come back from a tenet that had seen more of the log
		}
		s.after = max(s.after, e.after())
		if e.mode != nil && s.index < s.begun {
			continue // the greeting told what came of it
		}
		if s.group.filter.wants(e) {
			into = append(into, e)
		}
	}
	if len(into) > 0 || s.index < r.next {
		return into, nil, false
	}
	if m := h.mode.mode; m.Mode != s.mode || m.Breaker != s.breaker {
		return append(into, h.mode), nil, false // it changed while the subscriber read the log
	}
	return nil, s.group.bell, false
}

// place moves a subscriber who waits for a bell past what was filtered out since.
func (h *Hub) place(s *subscriber, b *bell) knowledge.Mode {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.group.bell == b {
		s.index, s.after = h.ring.next, max(s.after, h.ring.high)
	}
	return h.mode.mode.Mode
}

// begin notes where the ring ends, and returns the last change of mode before.
func (h *Hub) begin(s *subscriber) *modeMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.begun = h.ring.next
	return h.mode.mode
}

// standing returns the newest change and how many subscribers there are.
func (h *Hub) standing() (newest knowledge.Seq, count int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ring.high, h.count
}

// modeNow returns the last change of mode.
func (h *Hub) modeNow() *modeMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mode.mode
}
