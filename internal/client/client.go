// Package client is a store that speaks to a running tenet over HTTP: the way in of the command line and of other programs.
package client

import (
	"context"
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
	waitSeconds     = 25 // how long the server keeps a Wait, well under the idle limits of proxies
)

// Options say which tenet to speak to.
type Options struct {
	URL        string        // where the tenet answers, as in http://127.0.0.1:8420
	Token      string        // who is calling; none when empty
	HTTPClient *http.Client  // with what; one of its own when nil
	UserAgent  string        // "tenet-client" when empty
	Timeout    time.Duration // the longest time for one attempt; DefaultTimeout when 0
	Attempts   int           // how often a call is made at most; DefaultAttempts when 0
}

// A Store is a [store.Store] whose documents are kept by a tenet elsewhere.
type Store struct {
	base      *url.URL
	token     string
	http      *http.Client
	userAgent string
	timeout   time.Duration
	attempts  int

	mu     sync.Mutex // guards what follows
	closed bool
	calls  map[*call]struct{}
	level  knowledge.Level
}

var _ store.Store = (*Store)(nil)

// New returns a store that speaks to the tenet at a URL. It does not call it yet.
func New(o Options) (*Store, error) {
	base, err := url.Parse(strings.TrimRight(o.URL, "/"))
	switch {
	case err != nil:
		return nil, errors.New("the tenet's address is not a URL: want one such as http://127.0.0.1:8420")
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("%q is not a tenet's address: want a URL such as http://127.0.0.1:8420", base.Redacted())
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("%q: a tenet's address has no user, query or fragment; give the token apart", base.Redacted())
	}
	s := &Store{
		base: base, token: o.Token, userAgent: o.UserAgent, timeout: o.Timeout, attempts: o.Attempts,
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
	// A redirect would send the token to an address that nobody named.
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s, nil
}

// URL returns the address of the tenet.
func (s *Store) URL() string { return s.base.String() }

// Level returns how fresh the last answer was; the zero level before the first one.
func (s *Store) Level() knowledge.Level {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.level
}

// Close implements [store.Store]. Calls that are under way end with [store.ErrClosed].
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
