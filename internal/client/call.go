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
	"strconv"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// maxAnswer is the largest answer in bytes: a full page of the largest documents.
const maxAnswer = knowledge.MaxLimit * knowledge.MaxDocument

// maxPause is the longest wait before a call is repeated. If the server asks for a longer wait, the caller gets the
// error.
const maxPause = 2 * time.Second

// A request describes a call.
type request struct {
	method  string
	path    string // below the server's address, escaped
	query   url.Values
	body    []byte
	timeout time.Duration // for one attempt; 0 means the store's
	once    bool          // never repeated
}

// An answer is a response with a status below 400.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) source() knowledge.Source { return knowledge.Source(a.header.Get("Tenet-Source")) }

// proposed returns a [*store.ProposedError] if a write became a proposal.
func (a *answer) proposed() error {
	id := a.header.Get("Tenet-Proposal")
	if id == "" {
		return nil
	}
	made := &store.ProposedError{Key: knowledge.Key{Kind: knowledge.KindProposal, ID: id}}
	if rec, err := record(knowledge.KindProposal, a.body, a.source()); err == nil {
		made.Receipt.Records = []*knowledge.Record{rec}
	}
	return made
}

// do makes a call, and repeats it if that may help. Repeating is harmless: every request is a read, or a write with a
// batch id that the server applies once.
func (s *Store) do(ctx context.Context, r request) (*answer, error) {
	within, end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	sent := false // an attempt may have reached the server
	for n := 1; ; n++ {
		a, err := s.attempt(within, r)
		if err == nil {
			return a, a.proposed()
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

// backoff returns the wait after attempt n: the server's Retry-After, or else 100 ms, doubled each time and randomized,
// so that many callers don't repeat at once.
func backoff(n int, e *store.UnavailableError) time.Duration {
	if e.RetryAfter > 0 {
		return e.RetryAfter
	}
	d := 100 * time.Millisecond << (n - 1)
	return d/2 + rand.N(d) //nolint:gosec // not a secret
}

// rest waits for d, and reports whether the deadline leaves time after it.
func rest(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	store.Pause(ctx, d)
	return ctx.Err() == nil
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
	if s.agent != "" {
		req.Header.Set("Tenet-Agent", s.agent)
	}
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	s.wish(ctx, req)
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, unreachable(s, err, timeout)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, unreachable(s, err, timeout)
	}
	if len(body) > maxAnswer {
		return nil, &store.UnavailableError{Reason: fmt.Sprintf("%s answered with more than %d bytes: ask for less",
			s.base, maxAnswer)}
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body}
	s.noteLevel(a) // also for an error: "not found" is an answer
	if marked := resp.Header.Get("Tenet-Confidential"); marked != "" {
		store.MarksOf(ctx).Add(strings.Split(marked, ",")...)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, s.refusal(resp, body)
	}
	return a, nil
}

// wish sends the context's wish and the newest seq seen.
func (s *Store) wish(ctx context.Context, req *http.Request) {
	if store.Leaving(ctx) {
		req.Header.Set("Tenet-Leaving", "true")
	}
	w := store.WishOf(ctx)
	if least := max(w.MinSeq, s.Seen()); least > 0 {
		req.Header.Set("Tenet-Min-Seq", strconv.FormatInt(int64(least), 10))
	}
	if w.Fresh {
		req.Header.Set("Cache-Control", "no-cache")
	}
	if w.Required {
		req.Header.Set("Tenet-Require", "fresh")
	}
}

func (s *Store) noteLevel(a *answer) {
	if seq, err := strconv.ParseInt(a.header.Get("Tenet-Seq"), 10, 64); err == nil {
		s.See(knowledge.Seq(seq))
	}
	mode := a.header.Get("Tenet-Mode")
	if mode == "" {
		return
	}
	level := knowledge.Level{Mode: knowledge.Mode(mode)}
	if t, err := time.Parse(time.RFC3339Nano, a.header.Get("Tenet-As-Of")); err == nil {
		level.AsOf = knowledge.At(t)
	}
	level.Lacking, _ = strconv.Atoi(a.header.Get("Tenet-Lacking"))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.level = level
}

// unreachable returns the contract's error for a call without an answer.
func unreachable(s *Store, err error, timeout time.Duration) error {
	cause := err
	if u, ok := errors.AsType[*url.Error](err); ok {
		cause = u.Err
	}
	e := &store.UnavailableError{Reason: "can't reach the server at " + s.base.String(), Err: cause}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		e.NotDone = true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Reason, e.Err = fmt.Sprintf("the server at %s did not answer within %s", s.base, timeout), nil
	}
	return e
}
