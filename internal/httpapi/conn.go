package httpapi

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Listen returns a listener whose connections write a long answer at once. net/http copies what comes first into a
// buffer of 4 KB and sends that before the rest: two pieces for the system, and two for the caller to be woken for.
// [ConnContext] tells the door of the connection. The crowd bounds how many there are; nil does not.
func Listen(l net.Listener, crowd *Crowd) net.Listener { return listener{l, crowd} }

type listener struct {
	net.Listener
	crowd *Crowd
}

// Accept implements [net.Listener].
func (l listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		tcp, ok := c.(*net.TCPConn)
		if !ok || err != nil {
			return c, err
		}
		peer, fits := l.crowd.enter(tcp)
		if fits {
			return &conn{TCPConn: tcp, crowd: l.crowd, peer: peer}, nil
		}
	}
}

// A conn can hold back what is written first until more comes. Only the goroutine that writes an answer holds and
// releases.
type conn struct {
	*net.TCPConn
	room  *[]byte // for what is held back; nil when nothing shall be
	crowd *Crowd
	peer  netip.Addr
	paced time.Time   // when the deadline for writing was last moved on
	owned atomic.Bool // somebody else sees to that deadline: a stream
	left  atomic.Bool
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	if !c.left.Swap(true) {
		c.crowd.leave(c.peer)
	}
	return c.TCPConn.Close()
}

// SetWriteDeadline implements [net.Conn]. Who calls it sees to the deadline from then on, until they give it back with
// the zero time: the next answer on the connection has the time of every other one.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.owned.Store(!t.IsZero())
	if t.IsZero() {
		t = time.Now().Add(c.crowd.window())
	}
	return c.TCPConn.SetWriteDeadline(t)
}

// A peer that reads too slowly is left: it would hold an answer, and a slot, for as long as it likes.
const (
	writePiece  = 256 << 10
	writeWindow = 30 * time.Second // in which a piece must go out, where a [Crowd] does not say otherwise
)

// send writes in pieces, each of which has its time.
func (c *conn) send(first, b []byte) (int, error) {
	total := 0
	for {
		if now := time.Now(); !c.owned.Load() && now.Sub(c.paced) > c.crowd.window()/4 {
			c.paced = now
			if err := c.TCPConn.SetWriteDeadline(now.Add(c.crowd.window())); err != nil {
				return total, err
			}
		}
		piece := b[:min(len(b), writePiece)]
		if len(first) > 0 {
			pieces := net.Buffers{first, piece}
			n, err := pieces.WriteTo(c.TCPConn)
			total += max(int(n)-len(first), 0)
			if err != nil {
				return total, err
			}
			first = nil
		} else {
			n, err := c.TCPConn.Write(piece)
			total += n
			if err != nil {
				return total, err
			}
		}
		if b = b[len(piece):]; len(b) == 0 {
			return total, nil
		}
	}
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	if c.room == nil {
		return c.send(nil, b)
	}
	held := *c.room
	if len(held)+len(b) <= cap(held) && len(b) <= firstPiece {
		*c.room = append(held, b...)
		return len(b), nil
	}
	*c.room = held[:0]
	return c.send(held, b)
}

// firstPiece is what net/http collects of an answer before it writes, and shortAnswer what fits into that with its
// headers.
const (
	firstPiece  = 4 << 10
	shortAnswer = 3 << 10
)

// hold keeps what is written first in room, until more comes or release is called.
func (c *conn) hold(room *[]byte) { c.room = room }

// release writes what is still held back.
func (c *conn) release() error {
	held := *c.room
	c.room = nil
	if len(held) == 0 {
		return nil
	}
	_, err := c.send(nil, held)
	return err
}

// connKey is the key of a connection in a context.
type connKey struct{}

// ConnContext is for [http.Server.ConnContext].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// writeAtOnce writes a body together with the headers before it.
func (c *call) writeAtOnce(body []byte) error {
	conn, ok := c.r.Context().Value(connKey{}).(*conn)
	if !ok {
		_, err := c.Write(body)
		return err
	}
	room, done := c.buffer()
	defer done()
	conn.hold(room)
	_, err := c.Write(body)
	if lost := conn.release(); err == nil {
		err = lost
	}
	return err
}
