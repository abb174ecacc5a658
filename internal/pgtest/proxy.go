package pgtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Trick is what a [Proxy] does to a transaction that is sent as one pipeline, ended by a Sync that commits it.
type Trick int32

// The tricks.
const (
	// CutBefore ends both connections when the statements have arrived and the commit has not: nothing is done.
	CutBefore Trick = iota + 1
	// ResetBefore does the same, and the client hears a reset instead of an end.
	ResetBefore
	// HangBefore delivers the statements, never the commit, and keeps both connections open.
	HangBefore
	// Vanish ends the client's connection before the commit, and the server doesn't hear of that.
	Vanish
	// CutAfter ends both connections when the server has committed and before its answer is told.
	CutAfter
	// ResetAfter does the same, and the client hears a reset instead of an end.
	ResetAfter
	// HangAfter keeps the connections open, and the answer to the commit to itself.
	HangAfter
	// Late ends the client's connection at once and delivers the transaction a little later.
	Late
)

// latest is how much later [Late] delivers at most.
const latest = 400 * time.Millisecond

// A Proxy stands before a server and understands as much of the protocol as is needed to come between a commit and its
// answer, which a proxy of bytes can't.
type Proxy struct {
	listener net.Listener
	marker   []byte
	trick    atomic.Int32
	played   atomic.Int64
	stops    atomic.Int64 // how often tricks were stopped
	wg       sync.WaitGroup
	late     sync.RWMutex // read-locked while a transaction is still to be delivered
	ended    chan struct{}

	mu     sync.Mutex // guards what follows
	target string
	links  map[*link]bool
	closed bool
}

// NewProxy returns a proxy to the server at target, host:port, that ends with the test. Its tricks are played on
// pipelines with a statement in which marker stands, or whose name it is.
func NewProxy(t testing.TB, target, marker string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		listener: l, target: target, marker: []byte(marker), links: map[*link]bool{},
		ended: make(chan struct{}),
	}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		close(p.ended)
		_ = l.Close()
		p.endAll()
		p.wg.Wait()
	})
	return p
}

// Through returns an address by way of the proxy.
func (p *Proxy) Through(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // all addresses come from this package
	}
	u.Host = p.listener.Addr().String()
	return u.String()
}

// Play plays a trick on every pipeline that has the marker, until Stop.
func (p *Proxy) Play(trick Trick) { p.trick.Store(int32(trick)) }

// Once plays a trick on the next pipeline that has the marker.
func (p *Proxy) Once(trick Trick) { p.trick.Store(-int32(trick)) }

// Stop plays no more tricks, ends the connections that hang, and returns when what was [Late] is delivered.
func (p *Proxy) Stop() {
	p.trick.Store(0)
	p.stops.Add(1)
	p.late.Lock()
	defer p.late.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.hangs.Load() {
			l.end(false)
		}
	}
}

// Played returns how many tricks were played.
func (p *Proxy) Played() int { return int(p.played.Load()) }

// Turn makes the proxy stand before another server: as a name that is given to another machine. The connections to the
// one before end.
func (p *Proxy) Turn(target string) {
	p.mu.Lock()
	p.target = target
	p.mu.Unlock()
	p.endAll()
}

func (p *Proxy) endAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.end(false)
	}
}

// take returns the trick to be played on a pipeline.
func (p *Proxy) take() Trick {
	for {
		now := p.trick.Load()
		switch {
		case now == 0:
			return 0
		case now < 0 && !p.trick.CompareAndSwap(now, 0):
			continue // somebody else had it
		case now < 0:
			now = -now
		}
		p.played.Add(1)
		return Trick(now)
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		p.wg.Go(func() {
			server, err := net.DialTimeout("tcp", target, patience)
			if err != nil {
				_ = client.Close()
				return
			}
			l := &link{p: p, client: client, server: server, target: target}
			if !p.join(l) {
				l.end(false)
				return
			}
			p.wg.Go(l.down)
			l.up()
		})
	}
}

// join notes a link, unless the proxy has ended or turned to another server meanwhile.
func (p *Proxy) join(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.target != l.target {
		return false
	}
	p.links[l] = true
	return true
}

func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// A link is a client's connection, and the one that it became.
type link struct {
	p              *Proxy
	client, server net.Conn
	target         string
	swallows       atomic.Int32 // the trick after which answers are kept from the client
	hangs          atomic.Bool
	stops          atomic.Int64 // of the proxy, when the link's trick was taken
}

// hang notes that the link hangs until the tricks are stopped, and ends it if they were since its own was taken: nobody
// else would, and its transaction would hold its locks for good.
func (l *link) hang() {
	l.hangs.Store(true)
	if l.p.stops.Load() != l.stops.Load() {
		l.end(false)
	}
}

// end closes both connections. It may be called any number of times.
func (l *link) end(reset bool) {
	if tcp, ok := l.client.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = l.client.Close()
	_ = l.server.Close()
}

// up brings the client's messages to the server.
func (l *link) up() {
	r, w := bufio.NewReaderSize(l.client, 64<<10), bufio.NewWriterSize(l.server, 64<<10)
	message, err := readMessage(r, false)
	var trick Trick
	for err == nil {
		if trick == 0 && runs(message) && bytes.Contains(message, l.p.marker) {
			l.stops.Store(l.p.stops.Load())
			trick = l.p.take()
			if trick == Late {
				l.late(r, message)
				return
			}
		}
		if trick != 0 && message[0] == 'S' {
			if trick < CutAfter {
				_ = w.Flush()
				l.stopBefore(trick, r)
				return
			}
			l.swallows.Store(int32(trick))
		}
		if _, err = w.Write(message); err == nil && r.Buffered() == 0 {
			err = w.Flush()
		}
		if err == nil {
			message, err = readMessage(r, true)
		}
	}
	if Trick(l.swallows.Load()) == 0 {
		l.end(false)
	}
}

// runs reports whether a message begins to run a statement: its text without a name, or the use of a prepared one by
// its name. The preparing of one under a name runs nothing.
func runs(message []byte) bool {
	return message[0] == 'B' || message[0] == 'P' && len(message) > 5 && message[5] == 0
}

// stopBefore plays the tricks that keep a commit from the server.
func (l *link) stopBefore(trick Trick, rest io.Reader) {
	switch trick {
	case HangBefore:
		l.hang()
		_, _ = io.Copy(io.Discard, rest)
	case Vanish:
		l.swallows.Store(int32(trick))
		_ = l.client.Close()
		l.hang()
	default:
		l.end(trick == ResetBefore)
	}
}

// late takes a pipeline up to its commit and delivers it when the client has long given up.
func (l *link) late(r *bufio.Reader, message []byte) {
	l.p.late.RLock()
	defer l.p.late.RUnlock()
	all := bytes.Clone(message)
	for message[0] != 'S' {
		var err error
		if message, err = readMessage(r, true); err != nil {
			l.end(false)
			return
		}
		all = append(all, message...)
	}
	l.swallows.Store(int32(Late))
	_ = l.client.Close()
	wait := time.NewTimer(rand.N(latest))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-l.p.ended:
	}
	if _, err := l.server.Write(all); err != nil {
		l.end(false)
	}
}

// down brings the server's answers to the client, as far as no trick keeps them.
func (l *link) down() {
	defer l.p.leave(l)
	r, w := bufio.NewReaderSize(l.server, 64<<10), bufio.NewWriterSize(l.client, 64<<10)
	for {
		message, err := readMessage(r, true)
		if err != nil {
			_ = w.Flush()
			l.end(false)
			return
		}
		switch trick := Trick(l.swallows.Load()); {
		case trick == 0:
			if _, err = w.Write(message); err == nil && r.Buffered() == 0 {
				err = w.Flush()
			}
			if err != nil {
				l.end(false)
				return
			}
		case message[0] != 'Z': // the transaction has not ended
		case trick == HangAfter:
			l.hang()
		case trick != Vanish:
			l.end(trick == ResetAfter)
			return
		}
	}
}

// readMessage returns a whole message with its head. Only the first of a client has no type.
func readMessage(r *bufio.Reader, typed bool) ([]byte, error) {
	head := 4
	if typed {
		head = 5
	}
	message := make([]byte, head, 512)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(message[head-4:])) - 4
	if size < 0 || size > 1<<28 {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	message = append(message, make([]byte, size)...)
	_, err := io.ReadFull(r, message[head:])
	return message, err
}
