package httpapi

import (
	"context"
	"net"
)

// Listen returns a listener whose connections write a long answer at once. net/http copies what comes first into a buffer of
// 4 KB and sends that before the rest: two pieces for the system, and two for the caller to be woken for. [ConnContext] tells
// the door of the connection.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept implements [net.Listener].
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp}, err
	}
	return c, err
}

// A conn can hold back what is written first until more comes. Only the goroutine that writes an answer holds and releases.
type conn struct {
	*net.TCPConn
	room *[]byte // for what is held back; nil when nothing shall be
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	if c.room == nil {
		return c.TCPConn.Write(b)
	}
	held := *c.room
	if len(held)+len(b) <= cap(held) && len(b) <= firstPiece {
		*c.room = append(held, b...)
		return len(b), nil
	}
	*c.room = held[:0]
	pieces := net.Buffers{held, b}
	n, err := pieces.WriteTo(c.TCPConn)
	return max(int(n)-len(held), 0), err
}

// firstPiece is what net/http collects of an answer before it writes, and shortAnswer what fits into that with its headers.
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
	_, err := c.TCPConn.Write(held)
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
