package live

import (
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
	// Send writes messages, together if they fit. An error means that the peer can't be reached any more.
	Send(events []*event, documents bool) error
	// Ping asks the peer for a pong. It does not wait for it, and fails if several are missing.
	Ping() error
	// Close closes the connection with a Close frame.
	Close(code websocket.StatusCode, reason string)
	// Cut ends the connection at once.
	Cut()
}

// Limits of a subscriber.
const (
	atOnce       = 64               // events taken from the ring at a time
	readPatience = 10 * time.Second // how long it waits for a read of the log
	retryPause   = time.Second      // between two attempts to read the log
)

// A subscriber is a cursor into the ring, or into the log if it is behind the ring.
type subscriber struct {
	h      *Hub
	caller *access.Caller
	sub    *subscription
	group  *group
	wire   wire

	// Its position, used only by its own goroutine.
	after   knowledge.Seq  // every change up to here was sent or filtered out
	index   uint64         // of the next event in the ring; below the ring's first if unknown
	begun   uint64         // the end of the ring when it was greeted: it knows the earlier changes of mode
	wasUp   bool           // it was level with the log once
	seen    knowledge.Mark // the last change that was read for it, or that it has proven to know
	unsure  bool           // it is not yet known whether the log has the subscriber's history
	short   time.Time      // since when the log ends before its position; zero if it does not
	mode    knowledge.Mode // last sent
	breaker string         // last sent
	oldest  knowledge.Seq  // where the log begins, if the stream ends because of that

	at   atomic.Int64  // after, for the metrics; -1 while it waits for a bell
	why  atomic.Int32  // the first ending that was set
	quit chan struct{} // closed when why is set
}

// end ends the stream. Only the first reason counts.
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

// check reports whether the stream can begin at the subscriber's position: whether the log reaches back that far, and
// has the subscriber's history.
func (s *subscriber) check() {
	if s.sub.tail || s.after == 0 && s.h.inRing(0) {
		return
	}
	if !s.h.inRing(s.after) {
		if _, err := s.ask(s.after, nil); s.gone(err) {
			return
		}
	}
	if newest, _ := s.h.standing(); s.sub.chain != nil || s.after > newest {
		s.prove(nil)
	}
}

// prove compares the log with the history that the subscriber knows. If this instance has not seen that much of the log
// yet, nothing is sent until it has. A log that ends before the position is another history if it is certainly the
// whole log.
func (s *subscriber) prove(heart *time.Timer) {
	known := s.h.inHand(s.after)
	if known == nil {
		events, err := s.ask(s.after-1, heart)
		switch {
		case errors.Is(err, store.ErrGone):
			s.unsure = false // the change itself is trimmed; those after it are not
			return
		case err != nil:
			s.unsure, s.short = true, time.Time{}
			return
		case len(events) == 0:
			s.unsure = true
			s.beyond()
			return
		}
		known = events[0]
	}
	s.unsure = false
	switch at := (knowledge.Mark{Seq: s.after, Chain: s.sub.chain}); {
	case known.seq != s.after: // the log begins right after it
	case at.Fits(known.chain):
		s.seen = knowledge.Mark{Seq: known.seq, Chain: known.mark}
	default:
		s.end(endReplaced)
	}
}

// beyond notes that the log ends before the subscriber's position, and ends the stream once that is certainly the whole
// log.
func (s *subscriber) beyond() {
	switch {
	case s.h.o.Alone:
		s.end(endReplaced)
	case s.h.o.Level().Mode != knowledge.ModeNormal:
		s.short = time.Time{}
	case s.short.IsZero():
		s.short = time.Now()
	case time.Since(s.short) >= shortLimit:
		s.end(endReplaced)
	}
}

// inRing reports whether the ring holds every change after a position.
func (h *Hub) inRing(after knowledge.Seq) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return after >= h.ring.low
}

// inHand returns the event of a change, nil if the ring does not hold it.
func (h *Hub) inHand(seq knowledge.Seq) *event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ring.change(seq)
}

// position returns the subscriber's position, with the chain value if that is known.
func (s *subscriber) position() knowledge.Mark {
	if s.after > 0 && s.seen.Seq == s.after && s.seen.Chain != nil {
		return s.seen
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	return s.h.ring.mark(s.after)
}

// gone ends the stream if an error says that the log begins after the subscriber's position. If only a mirror's part of
// the log begins there, the stream waits for the primary.
func (s *subscriber) gone(err error) bool {
	gone, ok := errors.AsType[*store.GoneError](err)
	if !ok || gone.Mirror {
		return false
	}
	s.oldest = gone.Oldest
	s.end(endGone)
	return true
}

// run sends events until the stream ends, then says goodbye.
func (s *subscriber) run() {
	s.follow()
	why := ending(s.why.Load())
	s.h.metrics.ended(why)
	if why == endLeft || why == endStuck || why == endSilent {
		s.wire.Cut()
		return
	}
	newest, count := s.h.standing()
	if last := why.goodbye(s.position(), newest, s.oldest, count); last != nil {
		if s.wire.Send([]*event{last}, true) != nil {
			s.wire.Cut()
			return
		}
	}
	s.wire.Close(why.close())
}

// follow is the main loop of a stream: catching up, lagging and being level are states of it.
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

// goesOn reports whether the stream goes on. It ends before the next event if the token has expired or the principal
// has changed.
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
	at := s.position()
	s.send([]*event{note(typeHello, at, comeBack(0), helloMessage{
		Type: typeHello, Mode: m.Mode, Breaker: m.Breaker, AsOf: asOf, After: at.Seq, Position: at.String(),
		Newest: newest, Ping: int(s.h.o.PingEvery.Seconds()),
	})})
}

// send sends messages.
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
	s.h.metrics.sent(events, s.wasUp)
}

// park waits until there is something to send to a subscriber that is level with the log.
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
	at := s.position()
	s.send([]*event{note(typePing, at, 0, pingMessage{
		Type: typePing, Seq: at.Seq, Position: at.String(), Mode: mode, At: knowledge.At(time.Now()),
	})})
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
	case err != nil || len(events) == 0: // the log can't be read now, or is read from a mirror that lags
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
	last := events[len(events)-1]
	s.after, s.seen = last.seq, knowledge.Mark{Seq: last.seq, Chain: last.mark}
}

// ask asks for the page after a position, and keeps sending pings while it waits.
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
			asked = nil // the query was taken: wait for its answer
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

// rest waits before the next attempt to read the log.
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

// take moves a subscriber through the ring. It returns the next events for the subscriber; or, at the ring's end, its
// group's bell; or that the subscriber is lost, because its next event is no longer in the ring.
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
			continue // the subscriber comes from an instance that had seen more of the log
		}
		s.after = max(s.after, e.after())
		if e.mode != nil && s.index < s.begun {
			continue // the greeting contained it
		}
		if s.group.filter.wants(e) {
			into = append(into, e)
		}
	}
	if len(into) > 0 || s.index < r.next {
		return into, nil, false
	}
	if m := h.mode.mode; m.Mode != s.mode || m.Breaker != s.breaker {
		return append(into, h.mode), nil, false // the mode changed while the subscriber read the log
	}
	return nil, s.group.bell, false
}

// place moves a waiting subscriber past events that were filtered out.
func (h *Hub) place(s *subscriber, b *bell) knowledge.Mode {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.group.bell == b {
		s.index, s.after = h.ring.next, max(s.after, h.ring.high)
	}
	return h.mode.mode.Mode
}

// begin notes the ring's end, and returns the last change of mode before it.
func (h *Hub) begin(s *subscriber) *modeMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.begun = h.ring.next
	return h.mode.mode
}

// standing returns the newest change and the number of subscribers.
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
