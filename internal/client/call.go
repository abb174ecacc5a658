package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// maxAnswer bounds an answer in bytes: a full page of the largest documents.
const maxAnswer = knowledge.MaxLimit * knowledge.MaxDocument

// maxPause is the longest time that a call waits before it is made again. Who is asked to wait longer tells its caller.
const maxPause = 2 * time.Second

// A request is a call before it is made.
type request struct {
	method  string
	path    string // below the tenet's address, escaped
	query   url.Values
	body    []byte
	timeout time.Duration // for one attempt; the store's when 0
	once    bool          // it is not made again
}

// An answer is what came back with a status below 400.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) source() knowledge.Source { return knowledge.Source(a.header.Get("Tenet-Source")) }

// do makes a call, again where that is harmless: every request here is a read, or a write whose batch id can stand only once.
func (s *Store) do(ctx context.Context, r request) (*answer, error) {
	within, end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	sent := false // some attempt may have reached the tenet
	for n := 1; ; n++ {
		a, err := s.attempt(within, r)
		if err == nil {
			return a, nil
		}
		if s.isClosed() {
			return nil, store.ErrClosed
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		failed, ok := errors.AsType[*store.UnavailableError](err)
		if !ok {
			return nil, err
		}
		sent = sent || !failed.NotDone
		failed.NotDone = !sent
		pause := backoff(n, failed)
		if r.once || n == s.attempts || failed.Halt || pause > maxPause || !rest(within, pause) {
			if s.isClosed() {
				return nil, store.ErrClosed
			}
			return nil, failed
		}
	}
}

// backoff returns how long to wait after attempt n: what the tenet asked for, or else a tenth of a second, doubled each
// time, with some chance in it, so that many callers don't come back at once.
func backoff(n int, e *store.UnavailableError) time.Duration {
	if e.RetryAfter > 0 {
		return e.RetryAfter
	}
	d := 100 * time.Millisecond << (n - 1)
	return d/2 + rand.N(d) //nolint:gosec // chance, not secrecy
}

// rest waits for d, and reports whether there is time left behind it.
func rest(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt makes a call once.
func (s *Store) attempt(ctx context.Context, r request) (*answer, error) {
	timeout := r.timeout
	if timeout == 0 {
		timeout = s.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	u := *s.base
	target, err := url.Parse(u.String() + r.path)
	if err != nil {
		return nil, knowledge.BadQuery("id", "not part of a path: %s", err)
	}
	target.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, knowledge.BadQuery("", "%s", err)
	}
	req.Header.Set("User-Agent", s.userAgent)
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, s.unreachable(err, timeout)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, s.unreachable(err, timeout)
	}
	if len(body) > maxAnswer {
		return nil, &store.UnavailableError{Reason: fmt.Sprintf("%s answered with more than %d bytes: ask for less", s.base, maxAnswer)}
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, s.refusal(resp, body)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body}
	s.noteLevel(a)
	return a, nil
}

func (s *Store) noteLevel(a *answer) {
	mode := a.header.Get("Tenet-Mode")
	if mode == "" {
		return
	}
	level := knowledge.Level{Mode: knowledge.Mode(mode)}
	if t, err := time.Parse(time.RFC3339Nano, a.header.Get("Tenet-As-Of")); err == nil {
		level.AsOf = knowledge.At(t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.level = level
}

// unreachable returns why no answer came, as the contract has it.
func (s *Store) unreachable(err error, timeout time.Duration) error {
	cause := err
	if u, ok := errors.AsType[*url.Error](err); ok {
		cause = u.Err
	}
	e := &store.UnavailableError{Reason: "can't reach the tenet at " + s.base.String(), Err: cause}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		e.NotDone = true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Reason, e.Err = fmt.Sprintf("the tenet at %s gave no answer within %s", s.base, timeout), nil
	}
	return e
}
