package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Watch selects the changes to follow, and the start. Each non-empty list narrows the selection.
type Watch struct {
	Kinds      []knowledge.Kind
	Categories []string
	Keys       []knowledge.Key
	// After is the last change seen, zero for the start of the log. With its chain value, another history of the log is
	// detected.
	After knowledge.Mark
	// Tail starts at the end of the log instead of after After.
	Tail bool
	// NoDocuments leaves the documents out.
	NoDocuments bool
}

// Limits of a watch.
const (
	helloTimeout = 30 * time.Second // for the first message of a stream
	slack        = 15 * time.Second // that a ping may be late
	firstPause   = 250 * time.Millisecond
	longestPause = 15 * time.Second
	liveLimit    = 2*knowledge.MaxDocument + 64<<10 // bytes of a message
)

// Watch calls fn with every change after the start, in order and once each, and with the server's other messages. A
// stream that ends is opened again where it ended, until ctx ends; fn learns of that as [LiveLost]. Watch returns the
// error of fn or of ctx, [store.ErrGone] if the log is trimmed beyond the position, or a permanent refusal of the
// server.
func (s *Store) Watch(ctx context.Context, w Watch, fn func(LiveMessage) error) error {
	within, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	f := &following{s: s, w: w, fn: fn}
	pause := firstPause
	for {
		err := f.stream(within)
		switch {
		case s.isClosed():
			return store.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		}
		lost, ok := errors.AsType[*lostError](err)
		if !ok {
			return err
		}
		if f.greeted {
			pause = firstPause
		}
		wait := pause/2 + rand.N(pause) //nolint:gosec // not a secret
		if lost.retry > 0 {
			wait = lost.retry
		}
		pause = min(2*pause, longestPause)
		if err := fn(LiveMessage{
			Type: LiveLost, Seq: f.w.After.Seq, Why: lost.Error(), Retry: wait,
			Err: lost.cause,
		}); err != nil {
			return err
		}
		store.Pause(within, wait)
	}
}

// A lostError says that a stream ended and can be opened again.
type lostError struct {
	cause error
	retry time.Duration // when to open it; 0 if not set
}

// Error returns why it ended.
func (e *lostError) Error() string { return "the stream ended: " + e.cause.Error() }

// A following is a running watch.
type following struct {
	s       *Store
	w       Watch
	fn      func(LiveMessage) error
	greeted bool // the last stream began
}

// stream opens a stream and follows it to its end. The error is a [*lostError] if another stream can continue.
func (f *following) stream(ctx context.Context) error {
	f.greeted = false
	conn, err := f.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.CloseNow() //nolint:errcheck // its end was reported already
	conn.SetReadLimit(liveLimit)
	silence := helloTimeout
	for {
		text, err := read(ctx, conn, silence)
		if err != nil {
			return &lostError{cause: err}
		}
		m, err := decodeLive(text)
		if err != nil {
			return garbled(f.s, err)
		}
		switch m.Type {
		case LiveHello:
			f.greeted = true
			silence = 2*m.Ping + slack
		case LiveBehind, LiveBye:
			f.reached(&m)
			return &lostError{cause: errors.New(m.Why), retry: m.Retry}
		case LiveGone:
			return &store.GoneError{Oldest: m.Oldest, Other: m.Oldest == 0}
		}
		if err := f.hand(m); err != nil {
			return err
		}
	}
}

// hand passes a message to the caller, and notes the position. A change that was seen already is skipped.
func (f *following) hand(m LiveMessage) error {
	final := m.Type == LiveChange && !m.Provisional
	if final && m.Seq <= f.w.After.Seq {
		return nil
	}
	if err := f.fn(m); err != nil {
		return err
	}
	switch {
	case final:
		f.w.After = knowledge.MarkAt(m.Seq, m.Change.Chain)
	case m.Type == LiveHello && f.w.Tail:
		f.w.After, f.w.Tail = m.Position, false
	case m.Type == LivePing:
		f.reached(&m)
	}
	return nil
}

// reached notes a position after changes that were filtered out.
func (f *following) reached(m *LiveMessage) {
	if m.Position.Seq > f.w.After.Seq {
		f.w.After = m.Position
	}
}

func (f *following) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, f.s.timeout)
	defer cancel()
	header := http.Header{"User-Agent": {f.s.userAgent}}
	if f.s.token != "" {
		header.Set("Authorization", "Bearer "+f.s.token)
	}
	target := *f.s.base
	target.Path += "/api/v1/live"
	target.RawQuery = f.w.query().Encode()
	conn, resp, err := websocket.Dial(ctx, target.String(), &websocket.DialOptions{
		HTTPClient: f.s.http, HTTPHeader: header, Subprotocols: []string{"tenet.v1"},
	})
	if err == nil {
		return conn, nil
	}
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, &lostError{cause: unreachable(f.s, err, f.s.timeout)}
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &lostError{cause: unreachable(f.s, err, f.s.timeout)}
	}
	err = f.s.refusal(resp, body)
	if e, ok := errors.AsType[*store.UnavailableError](err); ok && !e.Halt {
		return nil, &lostError{cause: err, retry: e.RetryAfter}
	}
	return nil, err
}

// query returns the parameters of a watch.
func (w *Watch) query() url.Values {
	v := url.Values{}
	if w.Tail {
		v.Set("tail", "true")
	} else {
		v.Set("after", w.After.String())
	}
	for _, k := range w.Kinds {
		v.Add("kind", string(k))
	}
	for _, c := range w.Categories {
		v.Add("category", c)
	}
	for _, k := range w.Keys {
		v.Add("key", k.String())
	}
	if w.NoDocuments {
		v.Set("document", "false")
	}
	return v
}

// read returns the next message, or an error after too long a silence.
func read(ctx context.Context, conn *websocket.Conn, silence time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, silence, errors.New("no message for too long"))
	defer cancel()
	_, text, err := conn.Read(ctx)
	switch {
	case err == nil:
		return text, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	// The connection's error matters, not what the library was doing.
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return nil, fmt.Errorf("the connection broke: %w", err)
}
