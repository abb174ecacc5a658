// Package client is a store that calls a running server over HTTP, for the command line and other programs.
package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Defaults of [Options].
const (
	DefaultTimeout  = 60 * time.Second
	DefaultAttempts = 4
	pingTimeout     = 5 * time.Second
	waitSeconds     = 25 // how long the server holds a Wait, well under the idle limits of proxies
)

// Options configures a [Store].
type Options struct {
	URL        string        // the server's address, such as http://127.0.0.1:8420
	Token      string        // the caller's token; "" for none
	HTTPClient *http.Client  // nil for a new one
	UserAgent  string        // "" means "tenet-client"
	Agent      string        // name of the calling agent, which has fewer rights than its token; "" for a person
	Timeout    time.Duration // of one attempt; 0 means DefaultTimeout
	Attempts   int           // attempts per call; 0 means DefaultAttempts
}

// A Store is a [store.Store] whose documents are on a server.
type Store struct {
	base      *url.URL
	token     string
	http      *http.Client
	userAgent string
	agent     string
	timeout   time.Duration
	attempts  int

	mu     sync.Mutex // guards the fields below
	closed bool
	calls  map[*call]struct{}
	level  knowledge.Level
	seen   knowledge.Seq // the newest seq of any answer
}

var _ store.Store = (*Store)(nil)

// New returns a store for the server at a URL. It does not call it yet.
func New(o Options) (*Store, error) {
	base, err := url.Parse(strings.TrimRight(o.URL, "/"))
	switch {
	case err != nil:
		return nil, errors.New("the server's address is not a URL: want one such as http://127.0.0.1:8420")
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("%q is not a server's address: want a URL such as http://127.0.0.1:8420",
			base.Redacted())
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("%q: a server's address has no user, query or fragment; set the token separately",
			base.Redacted())
	}
	s := &Store{
		base: base, token: o.Token, userAgent: o.UserAgent, agent: o.Agent, timeout: o.Timeout, attempts: o.Attempts,
		calls: map[*call]struct{}{},
	}
	if s.userAgent == "" {
		s.userAgent = "tenet-client"
	}
	if s.timeout == 0 {
		s.timeout = DefaultTimeout
	}
	if s.attempts == 0 {
		s.attempts = DefaultAttempts
	}
	s.http = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	if o.HTTPClient != nil {
		c := *o.HTTPClient
		s.http = &c
	}
	// A redirect would send the token to another address.
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s, nil
}

// URL returns the server's address.
func (s *Store) URL() string { return s.base.String() }

// CallerOf returns what tells the caller of one token from that of another, and opens nothing; "" without a token.
func CallerOf(s *Store) string {
	if s.token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(s.token))
	return hex.EncodeToString(sum[:8])
}

// Level returns the mode and currency of the last answer; zero before the first one.
func (s *Store) Level() knowledge.Level {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.level
}

// Seen returns the newest seq of any answer or live change. Every read asks for at least this seq, so a caller that is
// sent from one instance to another reads its own writes and never goes back in time.
func (s *Store) Seen() knowledge.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// See notes a seq that the caller has seen elsewhere.
func (s *Store) See(seq knowledge.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = max(s.seen, seq)
}

// Close implements [store.Store]. Calls under way end with [store.ErrClosed].
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	s.closed = true
	for c := range s.calls {
		c.cancel()
	}
	s.mu.Unlock()
	s.http.CloseIdleConnections()
	return nil
}

// A call is a call under way, so that Close can end it.
type call struct{ cancel context.CancelFunc }

// begin returns a context that also ends when the store is closed, and a function to end it with.
func (s *Store) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil && !s.isClosed() {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &call{cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel()
		return nil, nil, store.ErrClosed
	}
	s.calls[c] = struct{}{}
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.calls, c)
	}, nil
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
