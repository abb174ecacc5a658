package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Watch says which changes to follow, and from where. Each list narrows, an empty one does not.
type Watch struct {
	Kinds      []knowledge.Kind
	Categories []string
	Keys       []knowledge.Key
	// After is the last change that was seen, 0 for the start of the log. Chain is its chain value where that is known: a
	// log that is another history is noticed then.
	After knowledge.Seq
	Chain [32]byte
	// Tail begins at the end of the log, wherever that is, instead of after After.
	Tail bool
	// NoDocuments leaves the documents out.
	NoDocuments bool
}

// Times of a watch.
const (
	helloTimeout = 30 * time.Second // for the first message of a stream
	slack        = 15 * time.Second // that a ping may be late
	firstPause   = 250 * time.Millisecond
	longestPause = 15 * time.Second
	liveLimit    = 2*knowledge.MaxDocument + 64<<10 // bytes of a message
)

// Watch calls fn with every change after where it begins, in order, each once, and with what else the tenet tells. A stream
// that ends is opened again where it ended, for as long as ctx lasts; fn hears of that as [LiveLost]. It returns the error of fn or of
// ctx, [store.ErrGone] when the log no longer reaches back to where it has to go on, and what the tenet refuses for good.
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
		wait := pause/2 + rand.N(pause) //nolint:gosec // chance, not secrecy
		if lost.retry > 0 {
			wait = lost.retry
		}
		pause = min(2*pause, longestPause)
		if err := fn(LiveMessage{Type: LiveLost, Seq: f.w.After, Why: lost.Error(), Retry: wait, Err: lost.cause}); err != nil {
			return err
		}
		sleep(within, wait)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// A lostError says that a stream ended and can be opened again.
type lostError struct {
	cause error
	retry time.Duration // when; 0 when nobody has said
}

// Error says how it ended.
func (e *lostError) Error() string { return "the stream ended: " + e.cause.Error() }

// A following is a watch at work.
type following struct {
	s       *Store
	w       Watch
	fn      func(LiveMessage) error
	greeted bool // the last stream began
}

// stream opens a stream and follows it to its end. The error is a [*lostError] when another one can go on.
func (f *following) stream(ctx context.Context) error {
	f.greeted = false
	conn, err := f.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.CloseNow() //nolint:errcheck // its end was told already
	conn.SetReadLimit(liveLimit)
	silence := helloTimeout
	for {
		text, err := read(ctx, conn, silence)
		if err != nil {
			return &lostError{cause: err}
		}
		m, err := decodeLive(text)
		if err != nil {
			return f.s.garbled(err)
		}
		switch m.Type {
		case LiveHello:
			f.greeted = true
			silence = 2*m.Ping + slack
		case LiveBehind, LiveBye:
			f.reached(m.Seq)
			return &lostError{cause: errors.New(m.Why), retry: m.Retry}
		case LiveGone:
			if m.Oldest > 0 {
				return &store.GoneError{Oldest: m.Oldest}
			}
			return &refused{"gone: " + m.Why, store.ErrGone}
		}
		if err := f.hand(m); err != nil {
			return err
		}
	}
}

// hand gives a message to the caller, and notes the position. A change that was seen is not given again.
func (f *following) hand(m LiveMessage) error {
	final := m.Type == LiveChange && !m.Provisional
	if final && m.Seq <= f.w.After {
		return nil
	}
	if err := f.fn(m); err != nil {
		return err
	}
	switch {
	case final:
		f.w.After, f.w.Chain = m.Seq, m.Change.Chain
	case m.Type == LiveHello && f.w.Tail:
		f.w.After, f.w.Tail = m.Seq, false
	case m.Type == LivePing:
		f.reached(m.Seq)
	}
	return nil
}

// reached notes a position behind changes that were filtered out.
func (f *following) reached(seq knowledge.Seq) {
	if seq > f.w.After {
		f.w.After, f.w.Chain = seq, [32]byte{} // which came without their chain
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
		return nil, &lostError{cause: f.s.unreachable(err, f.s.timeout)}
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &lostError{cause: f.s.unreachable(err, f.s.timeout)}
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
		v.Set("after", strconv.FormatInt(int64(w.After), 10))
		if w.Chain != ([32]byte{}) && w.After > 0 {
			v.Set("chain", hex.EncodeToString(w.Chain[:]))
		}
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

// read returns the next message, or an error when nothing comes for too long.
func read(ctx context.Context, conn *websocket.Conn, silence time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, silence, errors.New("nothing came for too long"))
	defer cancel()
	_, text, err := conn.Read(ctx)
	switch {
	case err == nil:
		return text, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	// What the library was about is of no interest; what happened to the connection is.
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return nil, fmt.Errorf("the connection broke: %w", err)
}
