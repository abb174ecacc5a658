package httpapi

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Crowd bounds the connections of a door, of all peers and of each. A nil one bounds nothing.
type Crowd struct {
	Max  int // connections at one time
	Each int // of one address; no bound where Exempt says so
	// Exempt reports whether an address stands for many callers, such as that of a proxy. If nil, none does.
	Exempt func(netip.Addr) bool
	// Window is the time in which a piece of an answer must go out, or the connection is closed; 30 s when 0.
	Window time.Duration
	// Silent closes a connection too many without an answer: its peer speaks TLS.
	Silent bool

	mu   sync.Mutex
	all  int
	of   map[netip.Addr]int
	told int // answers to connections too many that are on their way
}

// crowdTold is the largest number of rejected connections that get an answer at one time; more are closed without one.
const crowdTold = 32

// window returns the time for a piece of an answer.
func (w *Crowd) window() time.Duration {
	if w == nil || w.Window <= 0 {
		return writeWindow
	}
	return w.Window
}

// enter counts a connection, or ends it where there is no room.
func (w *Crowd) enter(c *net.TCPConn) (netip.Addr, bool) {
	if w == nil {
		return netip.Addr{}, true
	}
	var peer netip.Addr
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		peer = tcp.AddrPort().Addr().Unmap()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	each := w.Each > 0 && (w.Exempt == nil || !w.Exempt(peer))
	switch {
	case w.Max > 0 && w.all >= w.Max:
		w.refuse(c, fmt.Sprintf("%d connections are open, and no more are taken", w.Max))
		return peer, false
	case each && w.of[peer] >= w.Each:
		w.refuse(c, fmt.Sprintf("%s has %d connections open, and no more are taken from one address", peer, w.Each))
		return peer, false
	}
	if w.of == nil {
		w.of = map[netip.Addr]int{}
	}
	w.all++
	w.of[peer]++
	return peer, true
}

// leave gives the place of a connection back.
func (w *Crowd) leave(peer netip.Addr) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.of[peer]--; w.of[peer] <= 0 {
		delete(w.of, peer)
	}
}

// refuse answers a connection over the limit, in a goroutine of its own so that no other connection waits for it.
func (w *Crowd) refuse(c *net.TCPConn, why string) {
	if w.Silent || w.told >= crowdTold {
		_ = c.SetLinger(0)
		_ = c.Close()
		return
	}
	w.told++
	go func() {
		defer func() {
			_ = c.Close()
			w.mu.Lock()
			w.told--
			w.mu.Unlock()
		}()
		const body = `{"type":"urn:tenet:problem:unavailable","title":"Tenet can't answer ` +
			`now","status":503,"code":"unavailable","detail":%q,"retry_after":1,"not_done":true}`
		text := fmt.Sprintf(body, why+": come back soon")
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, err := fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: %s\r\nContent-Length: "+
			"%d\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s",
			mediaProblem, len(text), text)
		if err == nil && c.CloseWrite() == nil {
			_, _ = io.CopyN(io.Discard, c, maxUnread) // a close with bytes unread would take the answer back
		}
	}()
}

// maxUnread is how many bytes of a rejected connection are read and dropped.
const maxUnread = 64 << 10

// Crowded returns why there is no room for more connections, "" when there is.
func (w *Crowd) Crowded() string {
	if w == nil || w.Max <= 0 {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if float64(w.all) < nearlyFull*float64(w.Max) {
		return ""
	}
	return fmt.Sprintf("%d connections are open, of %d at most", w.all, w.Max)
}
