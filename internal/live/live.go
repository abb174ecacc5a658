// Package live publishes every change to many subscribers, over WebSockets and server-sent events.
package live

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/settings"
	"tenet/internal/store"
)

// Options configures a [Hub]. Only Feed is required; zero values mean the defaults named.
type Options struct {
	// Feed is the log. It is read once for all subscribers, as the system; filters keep from each what it may not see.
	Feed store.Feed
	// Holds reports whether a caller is still current. If nil, a caller is current until a change of its principal
	// appears in the log.
	Holds func(*access.Caller) bool
	// Alone says that Feed is the only log: a position beyond its end is from another log. Otherwise Feed may be a
	// mirror that lags.
	Alone bool
	// Level returns the mode and how current the log is; nil means always normal.
	Level func() knowledge.Level
	// Queued returns the batch of a [Notice] and its state. If nil, batches in the journal are not announced.
	Queued func(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error)
	// Hidden returns the confidential categories that the caller of a context may not read, and Tells those that a
	// change tells of. Both nil: nothing is confidential.
	Hidden func(ctx context.Context) []string
	Tells  func(ctx context.Context, c *knowledge.Change) ([]string, error)
	// Reads is told when a stream begins.
	Reads access.Reads
	// Origins lists hosts whose pages may subscribe, besides the server's own, such as "docs.example.com" or
	// "https://*.example.com".
	Origins []string `name:"live-origins" split:"," doc:"Hosts whose pages may follow the live changes, besides the server's own; several between commas, as in docs.example.com,https://*.example.org"`
	// MaxConnections bounds the streams; more are refused with 503. MaxPerPrincipal bounds those of one principal; more
	// are refused with 429.
	MaxConnections  int `name:"live-streams" default:"10000" least:"1" doc:"Live streams at one time; more are refused"`
	MaxPerPrincipal int `name:"live-streams-each" default:"1000" least:"1" doc:"Live streams of one principal at one time"`

	Ring         int           // events kept in memory, ready to be sent; 1024
	MaxLag       int           // changes that a subscriber that was level may fall behind; 20,000
	PingEvery    time.Duration // the longest silence on a stream; 25 s
	WriteTimeout time.Duration // how long a peer may take for a piece of 64 KiB; 5 s
	PollFloor    time.Duration // the longest time between two looks at the log; 1 s

	Metrics prometheus.Registerer // nil for no metrics
	Log     *slog.Logger          // nil discards
}

const (
	ringBytes    = 64 << 20         // the approximate size of the events kept in memory, at most
	readers      = 4                // concurrent reads of the log for subscribers that are behind the ring
	readTimeout  = 15 * time.Second // how long a read of the log may take
	compressFrom = 1 << 10          // bytes from which a message is compressed, once for all that accept that
)

func (o Options) withDefaults() Options {
	settings.Defaults(&o)
	if o.Level == nil {
		o.Level = func() knowledge.Level {
			return knowledge.Level{Mode: knowledge.ModeNormal, AsOf: knowledge.At(time.Now())}
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Hidden == nil {
		o.Hidden = func(context.Context) []string { return nil }
	}
	if o.Tells == nil {
		o.Tells = func(context.Context, *knowledge.Change) ([]string, error) { return nil, nil }
	}
	o.Ring = or(o.Ring, 1024)
	o.MaxLag = or(o.MaxLag, 20_000)
	o.PingEvery = or(o.PingEvery, 25*time.Second)
	o.WriteTimeout = or(o.WriteTimeout, 5*time.Second)
	o.PollFloor = or(o.PollFloor, time.Second)
	return o
}

// CheckOrigins returns an error for the first of several hosts that is no pattern of hosts.
func CheckOrigins(list []string) error {
	for _, host := range list {
		if _, err := path.Match(host, ""); err != nil {
			return fmt.Errorf("%q is no pattern of hosts: %w", host, err)
		}
		if host == "" || strings.ContainsFunc(host, unicode.IsSpace) {
			return fmt.Errorf("%q is no pattern of hosts: want one such as docs.example.com or https://*.example.com",
				host)
		}
	}
	return nil
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// A Hub follows the log and sends its changes to subscribers. Make one with [NewHub], mount it as an HTTP handler, and
// run it.
type Hub struct {
	o       Options
	metrics *metrics
	pages   *pages
	packer  packer
	notices notices
	buffers sync.Pool      // of *[]byte, for joined messages
	work    sync.WaitGroup // of connections; grows only under mu while the hub is not closing

	mu         sync.Mutex // guards the fields below; never held across a call that leaves the process
	ring       ring
	ready      bool          // the log has been read to its end once
	readied    chan struct{} // closed when ready becomes true
	closing    bool
	groups     map[string]*group
	principals map[string]map[*subscriber]struct{}
	count      int
	mode       *event // the last change of mode
}

// A group is the subscribers with the same filter. An event is filtered once for all of them, and wakes only groups it
// passes.
type group struct {
	filter *filter
	name   string
	size   int
	bell   *bell // for members that have seen everything
}

// A bell wakes the members of a group that have nothing more to send.
type bell struct {
	rung  chan struct{} // closed when there is something
	index uint64        // the event's index in the ring; set before rung is closed
	after knowledge.Seq // the end of the log before the event; set before rung is closed
}

func newBell() *bell { return &bell{rung: make(chan struct{})} }

// NewHub returns a hub without subscribers. It refuses subscribers until [Hub.Run] has read the log.
func NewHub(o Options) *Hub {
	o = o.withDefaults()
	h := &Hub{
		o: o, ring: newRing(o.Ring, ringBytes), groups: map[string]*group{},
		principals: map[string]map[*subscriber]struct{}{},
		readied:    make(chan struct{}), notices: newNotices(), pages: newPages(o, readTimeout),
	}
	h.buffers.New = func() any { b := make([]byte, 0, pieceSize); return &b }
	level := o.Level()
	h.mode = modeEvent(&modeMessage{Type: typeMode, Mode: level.Mode, At: knowledge.At(time.Now())}, time.Now())
	h.metrics = newMetrics(h, o.Metrics)
	return h
}

// closeTimeout bounds the goodbyes after Run has ended.
const closeTimeout = 10 * time.Second

// Run follows the log until ctx ends, through all its failures, then closes the hub.
func (h *Hub) Run(ctx context.Context) error {
	ctx = access.System(ctx)
	var parts sync.WaitGroup
	for range readers {
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

// Close refuses new subscribers and tells the connected ones when to reconnect. It returns when all have disconnected;
// if ctx ends first, the rest are cut off. http.Server.Shutdown waits for event streams and ignores WebSockets, so
// close the hub first.
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

// subscribers returns all subscribers.
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

// wires returns the wires of all subscribers that have one.
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

// publish adds events to the ring and wakes the groups that they pass.
func (h *Hub) publish(events []*event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.publishLocked(events)
}

// publishLocked needs the hub's lock.
func (h *Hub) publishLocked(events []*event) {
	for _, e := range events {
		if e.seq != 0 && e.key.Kind == knowledge.KindPrincipal {
			// Its role may have changed, or its token may be disabled: it must reconnect and authenticate again.
			for s := range h.principals[e.key.ID] {
				s.end(endCredentials)
			}
		}
		if e.erasure != nil {
			h.forgetPerson(e.erasure)
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

// forgetPerson empties the ring, since any event may name an erased person: who needs those events reads the log, which
// does not. The person's own streams end. It needs the hub's lock.
func (h *Hub) forgetPerson(person *knowledge.Erasure) {
	h.ring.reset(h.ring.high)
	h.pages.forget()
	for id, streams := range h.principals {
		if person.IsID(id) {
			for s := range streams {
				s.end(endCredentials)
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

// restart empties the ring because the log goes on after seq, and wakes all subscribers to check their positions.
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

// replaced ends every stream because the log has another history than the one that was followed.
func (h *Hub) replaced() {
	h.mu.Lock()
	if h.ready {
		h.ready, h.readied = false, make(chan struct{})
	}
	h.mu.Unlock()
	for _, s := range h.subscribers() {
		s.end(endReplaced)
	}
}

// Position returns the mark of the newest change seen; false until the log has been read to its end.
func (h *Hub) Position() (knowledge.Mark, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ring.mark(h.ring.high), h.ready
}

// level notes that the log has been read to its end.
func (h *Hub) level() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ready {
		h.ready = true
		close(h.readied)
	}
}
