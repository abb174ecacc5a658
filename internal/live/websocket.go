package live

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Sizes of a connection.
const (
	pieceSize    = 64 << 10 // bytes sent at once
	socketBuffer = 64 << 10 // the kernel's send buffer for a peer that does not read: by default it would be megabytes
	bufferSize   = 256      // for the library's reads and writes, which are control frames only
	readLimit    = 4 << 10  // the most that a peer may send: nothing is expected from it
	owedPongs    = 2        // pings without a pong
)

// errSilent says that a peer has not answered several pings.
var errSilent = errors.New("the peer does not answer")

// A socket is a wire over a WebSocket. The library does the handshake, reads, answers pings and closes. Messages bypass
// it: they are ready-made frames, the same for all connections, and several go out in one write.
type socket struct {
	h      *Hub
	conn   *websocket.Conn
	pipe   *pipe
	packed bool // compressed frames may be sent
	owed   atomic.Int32
}

// openSocket upgrades a request. If it fails, it has sent the answer.
func (h *Hub) openSocket(w http.ResponseWriter, r *http.Request) (*socket, error) {
	s := &socket{h: h}
	up := &upgrade{ResponseWriter: w, timeout: h.o.WriteTimeout}
	options := &websocket.AcceptOptions{
		Subprotocols: []string{Subprotocol}, OriginPatterns: h.o.Origins,
		CompressionMode: websocket.CompressionNoContextTakeover,
		OnPongReceived:  func(context.Context, []byte) { s.owed.Store(0) },
	}
	conn, err := websocket.Accept(up, r, options)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(readLimit)
	s.conn, s.pipe = conn, up.pipe
	s.packed = strings.Contains(w.Header().Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	return s, nil
}

// listen reads control frames, which the library answers, until the connection ends.
func (s *socket) listen(ctx context.Context) ending {
	// A context that can end would cost a timer per frame; closing the connection ends the read too.
	if _, _, err := s.conn.Reader(context.WithoutCancel(ctx)); err != nil {
		return endLeft
	}
	return endSpoke
}

// Send implements [wire].
func (s *socket) Send(events []*event, documents bool) error {
	if len(events) == 1 {
		return s.pipe.send(s.frame(events[0], documents))
	}
	piece := s.h.buffers.Get().(*[]byte) // the pool holds nothing else
	defer s.h.buffers.Put(piece)
	b := (*piece)[:0]
	for _, e := range events {
		f := s.frame(e, documents)
		if len(b)+len(f) > cap(b) {
			if err := s.pipe.send(b); err != nil {
				return err
			}
			b = b[:0]
		}
		if len(f) > cap(b) {
			if err := s.pipe.send(f); err != nil {
				return err
			}
			continue
		}
		b = append(b, f...)
	}
	return s.pipe.send(b)
}

func (s *socket) frame(e *event, documents bool) []byte {
	b := e.body(documents)
	if s.packed && len(b.text) >= compressFrom {
		if packed := s.h.packer.pack(b); packed != nil {
			return packed
		}
	}
	return b.frame
}

// Ping implements [wire].
func (s *socket) Ping() error {
	if s.owed.Add(1) > owedPongs {
		return errSilent
	}
	return s.pipe.send([]byte{pingFrame, 0})
}

// pingFrame is the first byte of a ping.
const pingFrame = 0x80 | 0x9

// Close implements [wire].
func (s *socket) Close(code websocket.StatusCode, reason string) {
	_ = s.conn.Close(code, reason) // a peer that does not answer is disconnected anyway
}

// Cut implements [wire].
func (s *socket) Cut() { _ = s.pipe.Close() } // the reader sees it, and ends

// An upgrade lets the library hijack a connection, and wraps it in a pipe.
type upgrade struct {
	http.ResponseWriter
	timeout time.Duration
	pipe    *pipe
}

// Hijack implements [http.Hijacker].
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, err := rw.Peek(rw.Reader.Buffered())
	if err != nil {
		return nil, nil, err
	}
	limitBuffer(conn)
	u.pipe = &pipe{Conn: conn, timeout: u.timeout, early: bytes.Clone(early)}
	// The server's buffers are large, and would live as long as the connection.
	return u.pipe, bufio.NewReadWriter(bufio.NewReaderSize(u.pipe, bufferSize),
		bufio.NewWriterSize(u.pipe, bufferSize)), nil
}

// limitBuffer limits the kernel's send buffer for a peer that does not read.
func limitBuffer(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if c, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = c.SetWriteBuffer(socketBuffer) // a failure only costs memory
	}
}

// A pipe is a connection with two writers of whole frames: the hub's messages and the library's control frames.
type pipe struct {
	net.Conn
	timeout time.Duration
	early   []byte // what the peer sent right after its handshake; used by the reader only

	mu sync.Mutex // held while frames are written
}

// Read implements [net.Conn].
func (p *pipe) Read(b []byte) (int, error) {
	if len(p.early) > 0 {
		n := copy(b, p.early)
		p.early = p.early[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// Write implements [net.Conn] for the library: it writes one control frame.
func (p *pipe) Write(b []byte) (int, error) {
	if err := p.send(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// send writes whole frames. The peer gets the write timeout for each piece, so that large messages reach slow peers
// too.
func (p *pipe) send(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		if err := p.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
			return err
		}
		n, err := p.Conn.Write(b[:min(len(b), pieceSize)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// A packer compresses messages, each on its own, so that one compressed frame serves all connections.
type packer struct {
	mu sync.Mutex // guards w; one is enough because each message is compressed once
	w  *flate.Writer
}

// pack returns the compressed frame of a message, nil if it is not shorter.
func (p *packer) pack(b *body) []byte {
	b.packOnce.Do(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		var out bytes.Buffer
		if p.w == nil {
			w, err := flate.NewWriter(&out, flate.BestSpeed)
			if err != nil {
				return
			}
			p.w = w
		}
		p.w.Reset(&out)
		if _, err := p.w.Write(b.text); err != nil || p.w.Flush() != nil {
			return // a buffer takes everything
		}
		payload := bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff}) // RFC 7692, section 7.2.1
		if len(payload) < len(b.text) {
			b.packed = appendFrame(make([]byte, 0, len(payload)+maxHeader), finalText|compressed, payload)
		}
	})
	return b.packed
}
