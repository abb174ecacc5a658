// Package live is the door that tells many subscribers of every change, over WebSockets and server-sent events.
package live

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Options of a [Hub]. Only Feed is needed; zero values stand for the defaults named.
type Options struct {
	// Feed is the log. It is read once for all, as the system: what a subscriber may not see is left out here.
	Feed store.Feed
	// Holds reports whether a caller still is who they were when they came. Nil: they are until a change of their principal
	// shows up in the log.
	Holds func(*access.Caller) bool
	// Level tells the mode and how fresh the log is; always normal when nil.
	Level func() knowledge.Level
	// Queued returns a batch that a [Notice] names, and where it stands. Nil: batches that wait in the journal are not announced.
	Queued func(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error)
	// Origins names hosts, as in "docs.example.com" or "https://*.example.com", whose pages may subscribe besides those of
	// tenet itself.
	Origins []string

	Ring            int           // events held in memory, ready to be sent; 1024
	RingBytes       int64         // their bytes at most, about; 64 MiB
	Readers         int           // reads of the log at a time for subscribers who are behind the ring; 4
	MaxConnections  int           // more are refused with 503; 10,000
	MaxPerPrincipal int           // more of one principal are refused with 429; 1,000
	MaxLag          int           // changes that a subscriber who was level once may fall behind; 20,000
	PingEvery       time.Duration // the longest silence on a stream; 25 s
	WriteTimeout    time.Duration // how long a peer may take for a piece of 64 KiB; 5 s
	ReadTimeout     time.Duration // how long a read of the log may take; 15 s
	PollFloor       time.Duration // the longest time between two looks at the log; 1 s
	// CompressFrom is the size in bytes from which a message is compressed, once for all who accept that; 1 KiB, negative for never.
	CompressFrom int

	Metrics prometheus.Registerer // nil: nobody measures
	Log     *slog.Logger          // nil: nothing is logged
}

func (o Options) withDefaults() Options {
	if o.Level == nil {
		o.Level = func() knowledge.Level {
			return knowledge.Level{Mode: knowledge.ModeNormal, AsOf: knowledge.At(time.Now())}
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Ring = or(o.Ring, 1024)
	o.RingBytes = or(o.RingBytes, 64<<20)
	o.Readers = or(o.Readers, 4)
	o.MaxConnections = or(o.MaxConnections, 10_000)
	o.MaxPerPrincipal = or(o.MaxPerPrincipal, 1000)
	o.MaxLag = or(o.MaxLag, 20_000)
	o.PingEvery = or(o.PingEvery, 25*time.Second)
	o.WriteTimeout = or(o.WriteTimeout, 5*time.Second)
	o.ReadTimeout = or(o.ReadTimeout, 15*time.Second)
	o.PollFloor = or(o.PollFloor, time.Second)
	o.CompressFrom = or(o.CompressFrom, 1<<10)
	return o
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// A Hub follows the log and tells its subscribers. Make one with [NewHub], give it to the HTTP door, and run it.
type Hub struct {
	o       Options
	measure *measures
	pages   *pages
	packer  packer
	notices notices
	buffers sync.Pool      // of *[]byte, for joined messages
	work    sync.WaitGroup // of connections; grows only under mu while the hub is not closing

	mu         sync.Mutex // guards what follows; never held across a call that leaves the process
	ring       ring
	ready      bool // the log was read up to its end once
	closing    bool
	groups     map[string]*group
	principals map[string]map[*subscriber]struct{}
	count      int
	mode       *event // the last change of mode
}

// A group is the subscribers with one filter. What does not pass is looked at once for all of them, and wakes none.
type group struct {
	filter *filter
	name   string
	size   int
	bell   *bell // for those who have seen everything
}

// A bell wakes the subscribers of a group who have nothing more to send.
type bell struct {
	rung  chan struct{} // closed when there is something
	index uint64        // where it stands in the ring; set before rung is closed
	after knowledge.Seq // where the log stood before it; set before rung is closed
}

func newBell() *bell { return &bell{rung: make(chan struct{})} }

// NewHub returns a hub without subscribers. It refuses everybody until [Hub.Run] has read the log.
func NewHub(o Options) *Hub {
	o = o.withDefaults()
	h := &Hub{
		o: o, ring: newRing(o.Ring, o.RingBytes), groups: map[string]*group{}, principals: map[string]map[*subscriber]struct{}{},
		notices: newNotices(), pages: newPages(o.Feed, o.ReadTimeout),
	}
	h.buffers.New = func() any { b := make([]byte, 0, pieceSize); return &b }
	level := o.Level()
	h.mode = modeEvent(&modeMessage{Type: typeMode, Mode: level.Mode, At: knowledge.At(time.Now())}, time.Now())
	h.measure = newMeasures(h, o.Metrics)
	return h
}

// closeTimeout bounds the goodbyes of a hub whose Run is over.
const closeTimeout = 10 * time.Second

// Run follows the log until ctx ends, then closes the hub. It survives every failure of the log.
func (h *Hub) Run(ctx context.Context) error {
	ctx = access.System(ctx)
	var parts sync.WaitGroup
	for range h.o.Readers {
		parts.Go(func() { h.pages.serve(ctx) })
	}
	parts.Go(func() { h.announce(ctx) })
	newTail(h).run(ctx)
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := h.Close(within)
	parts.Wait()
	return err
}

// Close refuses new subscribers and says goodbye to those there are: each is told when to come back. It returns when all are
// gone; when ctx ends first, the rest are cut off. An http.Server that is shut down waits for event streams and forgets
// WebSockets: close the hub before.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	for _, s := range h.subscribers() {
		s.end(endStopping)
	}
	gone := make(chan struct{})
	go func() {
		h.work.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		for _, w := range h.wires() {
			w.Cut()
		}
		<-gone
	}
	return nil
}

// subscribers returns everybody.
func (h *Hub) subscribers() []*subscriber {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*subscriber, 0, h.count)
	for _, set := range h.principals {
		for s := range set {
			all = append(all, s)
		}
	}
	return all
}

// wires returns the wires of everybody who has one.
func (h *Hub) wires() []wire {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]wire, 0, h.count)
	for _, set := range h.principals {
		for s := range set {
			if s.wire != nil {
				all = append(all, s.wire)
			}
		}
	}
	return all
}

// publish puts events into the ring and wakes those who want one of them.
func (h *Hub) publish(events []*event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.publishLocked(events)
}

// publishLocked needs the hub's lock.
func (h *Hub) publishLocked(events []*event) {
	for _, e := range events {
		if e.seq != 0 && e.key.Kind == knowledge.KindPrincipal {
			// Its role may be another now, or its token worth nothing: it has to come back and show who it is.
			for s := range h.principals[e.key.ID] {
				s.end(endCredentials)
			}
		}
	}
	start := h.ring.next
	for _, e := range events {
		if e.purge {
			h.ring.empty(e.key)
			h.pages.forget()
		}
		if e.mode != nil {
			h.mode = e
		}
		h.ring.add(e)
	}
	for _, g := range h.groups {
		for i, e := range events {
			if g.filter.wants(e) {
				g.ring(start+uint64(i), e.before)
				break
			}
		}
	}
}

// ring wakes the group. It needs the hub's lock.
func (g *group) ring(index uint64, after knowledge.Seq) {
	g.bell.index, g.bell.after = index, after
	close(g.bell.rung)
	g.bell = newBell()
}

// restart empties the ring because the log goes on after seq, and wakes everybody to see what that means for them.
func (h *Hub) restart(seq knowledge.Seq) {
	h.pages.forget()
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := h.ring.high
	h.ring.reset(seq)
	for _, g := range h.groups {
		g.ring(0, seen)
	}
}

// replaced ends every stream because the log is another history than the one that was followed.
func (h *Hub) replaced() {
	h.mu.Lock()
	h.ready = false
	h.mu.Unlock()
	for _, s := range h.subscribers() {
		s.end(endReplaced)
	}
}

// level notes that the log was read up to its end.
func (h *Hub) level() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = true
}
