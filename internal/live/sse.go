package live

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/knowledge"
)

// An eventStream is a wire over server-sent events.
type eventStream struct {
	h  *Hub
	w  http.ResponseWriter
	rc *http.ResponseController
}

// mediaEvents is the media type of server-sent events.
const mediaEvents = "text/event-stream"

// connKey is the key of a connection in a context.
type connKey struct{}

// ConnContext is for [http.Server.ConnContext]. It lets an event stream limit the kernel's send buffer for a subscriber
// that does not read; WebSockets do not need it.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// openStream begins the answer to a request.
func (h *Hub) openStream(w http.ResponseWriter, r *http.Request) *eventStream {
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		limitBuffer(conn)
	}
	header := w.Header()
	if r.ProtoMajor == 1 {
		header.Set("Connection", "close") // the stream's deadlines must not apply to another request
	}
	header.Set("Content-Type", mediaEvents)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // a buffering proxy would keep the events
	w.WriteHeader(http.StatusOK)
	return &eventStream{h: h, w: w, rc: http.NewResponseController(w)}
}

// Send implements [wire].
func (s *eventStream) Send(events []*event, documents bool) error {
	piece := s.h.buffers.Get().(*[]byte) // the pool holds nothing else
	defer s.h.buffers.Put(piece)
	b := (*piece)[:0]
	for _, e := range events {
		text := e.body(documents).text
		if len(b)+len(text)+maxFields > cap(b) && len(b) > 0 {
			if err := s.write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		b = appendFields(b, e)
		if len(b)+len(text)+maxFields > cap(b) {
			if err := errors.Join(s.write(b), s.write(text)); err != nil {
				return err
			}
			b, text = b[:0], nil
		}
		b = append(append(b, text...), "\n\n"...)
	}
	if err := s.write(b); err != nil {
		return err
	}
	return s.rc.Flush()
}

// maxFields bounds the bytes around a message in an event.
const maxFields = 128

// appendFields appends the fields of an event up to its message.
func appendFields(b []byte, e *event) []byte {
	if e.id != noID {
		b = knowledge.Mark{Seq: e.id, Chain: e.mark}.Append(append(b, "id: "...))
		b = append(b, '\n')
	}
	if e.retry > 0 {
		b = strconv.AppendInt(append(b, "retry: "...), e.retry.Milliseconds(), 10)
		b = append(b, '\n')
	}
	b = append(append(b, "event: "...), e.name...)
	return append(b, "\ndata: "...)
}

// write sends bytes. The peer gets the write timeout for each piece, so that large messages reach slow peers too.
func (s *eventStream) write(b []byte) error {
	for len(b) > 0 {
		err := s.rc.SetWriteDeadline(time.Now().Add(s.h.o.WriteTimeout))
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		n, err := s.w.Write(b[:min(len(b), pieceSize)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Ping implements [wire]. An event stream has no pongs: a peer that disconnected shows as a failed write.
func (s *eventStream) Ping() error { return nil }

// Close implements [wire]: the end of the handler ends the stream.
func (s *eventStream) Close(websocket.StatusCode, string) {}

// Cut implements [wire]: a write under way fails at once.
func (s *eventStream) Cut() {
	_ = s.rc.SetWriteDeadline(time.Now()) // without deadlines nothing can be cut off
}
