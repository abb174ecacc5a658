package mcp

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"tenet/internal/access"
)

// A stream sits between the SDK and the connection. It passes plain answers through. To an event stream it adds
// keepalives, which the SDK does not send and without which proxies close it. It ends the stream when the caller loses
// its rights, and disconnects a client that does not read.
type stream struct {
	d      *Door
	w      http.ResponseWriter
	rc     *http.ResponseController
	caller *access.Caller
	cancel context.CancelFunc

	mu     sync.Mutex // guards the fields below, and serializes writes
	begun  bool
	events bool
	ended  bool
	over   chan struct{} // closed at the end of an event stream
	beats  sync.WaitGroup
}

// writePatience bounds one write to a client.
const writePatience = 10 * time.Second

// Header implements [http.ResponseWriter].
func (s *stream) Header() http.Header { return s.w.Header() }

// WriteHeader implements [http.ResponseWriter].
func (s *stream) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head(status)
}

func (s *stream) head(status int) {
	if s.begun {
		return
	}
	s.begun = true
	if status != http.StatusOK || !strings.HasPrefix(s.w.Header().Get("Content-Type"), "text/event-stream") {
		s.w.WriteHeader(status)
		return
	}
	if !s.d.streams.enter(s.caller.ID, s.d.o.Limits) {
		s.ended = true
		s.w.Header().Del("Content-Type")
		s.w.Header().Set("Retry-After", "60")
		s.w.WriteHeader(http.StatusServiceUnavailable)
		s.cancel()
		return
	}
	s.events, s.over = true, make(chan struct{})
	s.w.Header().Set("X-Accel-Buffering", "no")
	s.w.WriteHeader(status)
	s.beats.Add(1)
	go s.beat()
}

// Write implements [http.ResponseWriter].
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head(http.StatusOK)
	if s.ended {
		return 0, http.ErrHandlerTimeout
	}
	return s.put(b)
}

func (s *stream) put(b []byte) (int, error) {
	if !s.events {
		return s.w.Write(b)
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(writePatience)) // connections without deadlines occur only in tests
	n, err := s.w.Write(b)
	if err == nil {
		err = s.rc.Flush()
	}
	if err != nil {
		s.ended = true
		s.cancel()
	}
	return n, err
}

// Flush implements [http.Flusher].
func (s *stream) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head(http.StatusOK)
	if !s.ended {
		_ = s.rc.Flush() // a writer without Flush has nothing buffered
	}
}

// beat sends keepalives until the stream ends, and ends it when necessary.
func (s *stream) beat() {
	defer s.beats.Done()
	t := time.NewTicker(s.d.o.Limits.Beat)
	defer t.Stop()
	for {
		select {
		case <-s.over:
			return
		case <-s.d.stop:
			s.cancel()
			return
		case <-t.C:
		}
		if s.d.o.Holds != nil && !s.d.o.Holds(s.caller) {
			s.cancel()
			return
		}
		s.mu.Lock()
		if !s.ended {
			_, _ = s.put([]byte(": still here\n\n")) // a failure ends the stream
		}
		s.mu.Unlock()
	}
}

// end waits until no write is in progress: afterwards the connection serves another request.
func (s *stream) end() {
	s.mu.Lock()
	s.ended = true
	events := s.events
	s.mu.Unlock()
	if !events {
		return
	}
	close(s.over)
	s.beats.Wait()
	_ = s.rc.SetWriteDeadline(time.Time{}) // as above
	s.d.streams.leave(s.caller.ID)
}
