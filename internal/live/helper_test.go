package live

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/access"
	"tenet/internal/awaittest"
	"tenet/internal/knowledge"
)

// patience bounds everything that a test waits for.
const patience = 2 * time.Minute

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	if !awaittest.Until(patience, holds) {
		t.Fatalf("still not so after %s: %s", patience, what)
	}
}

// noGoroutinesLeft checks, at the end of a test, that nothing that it started is still running. Call it first.
func noGoroutinesLeft(t testing.TB) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if !awaittest.Until(patience, func() bool { return runtime.NumGoroutine() <= before }) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(),
				stacks[:runtime.Stack(stacks, true)])
		}
	})
}

// A rig is a hub behind an HTTP server, over a log.
type rig struct {
	t      testing.TB
	hub    *Hub
	log    *memoryLog
	server *httptest.Server
	stop   func() // ends Run, and returns when it has returned
}

// newRig starts a hub. The token of a request is ROLE or ROLE:ID.
func newRig(t testing.TB, log *memoryLog, o Options) *rig {
	t.Helper()
	noGoroutinesLeft(t)
	o.Feed = log
	r := &rig{t: t, hub: NewHub(o), log: log}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.hub.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	r.stop = func() { cancel(); <-done }
	mux := http.NewServeMux()
	mux.Handle("/", TokenFromSubprotocol(recognize(r.hub)))
	mux.HandleFunc("/example", func(w http.ResponseWriter, req *http.Request) {
		http.ServeFile(w, req, filepath.Join("..", "..", "docs", "examples", "live.html"))
	})
	r.server = httptest.NewUnstartedServer(mux)
	r.server.Config.ConnContext = ConnContext
	r.server.Start()
	t.Cleanup(func() { r.stop(); r.server.Close() })
	r.level()
	return r
}

// level waits until the hub has read the log.
func (r *rig) level() {
	r.t.Helper()
	eventually(r.t, "the hub has read the log", func() bool {
		newest, _ := r.hub.standing()
		r.hub.mu.Lock()
		defer r.hub.mu.Unlock()
		return r.hub.ready && newest == r.log.end()
	})
}

// recognize stands in for the HTTP door: it says who is calling.
func recognize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			role, id, _ := strings.Cut(token, ":")
			if id == "" {
				id = "the-" + role
			}
			ctx = access.WithCaller(ctx, &access.Caller{ID: id, Role: role})
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// A message is any message, decoded.
type message struct {
	Type        string            `json:"type"`
	Seq         knowledge.Seq     `json:"seq"`
	Position    string            `json:"position"`
	After       knowledge.Seq     `json:"after"`
	Newest      knowledge.Seq     `json:"newest"`
	Oldest      knowledge.Seq     `json:"oldest"`
	Kind        knowledge.Kind    `json:"kind"`
	ID          string            `json:"id"`
	Verb        knowledge.Verb    `json:"verb"`
	Batch       knowledge.BatchID `json:"batch"`
	Provisional bool              `json:"provisional"`
	Mode        knowledge.Mode    `json:"mode"`
	From        knowledge.Mode    `json:"from"`
	Breaker     string            `json:"breaker"`
	Why         string            `json:"why"`
	Retry       int64             `json:"retry_ms"`
	Document    json.RawMessage   `json:"document"`
	raw         string
	lastID      string // of an event stream
	retry       string // of an event stream
}

// A peer is a client of either kind.
type peer struct {
	t    testing.TB
	next func() (message, error)
	shut func()
}

// dial opens a stream; kind is "websocket" or "sse".
func (r *rig) dial(kind, query, token string, header ...string) *peer {
	r.t.Helper()
	p, resp, err := r.try(kind, query, token, header...) //nolint:bodyclose // the peer reads it, and closes it
	if err != nil {
		r.t.Fatalf("subscribe to %q: %v (%v)", query, err, resp)
	}
	return p
}

// try opens a stream, or returns the refusal.
func (r *rig) try(kind, query, token string, header ...string) (*peer, *http.Response, error) {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	url := r.server.URL + "/api/v1/live?" + query
	if kind == "websocket" {
		return dialSocket(r.t, url, h, websocket.CompressionDisabled)
	}
	return dialEvents(r.t, url, h)
}

func dialSocket(t testing.TB, url string, h http.Header,
	mode websocket.CompressionMode,
) (*peer, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: h, CompressionMode: mode})
	if err != nil {
		cancel()
		return nil, resp, err
	}
	conn.SetReadLimit(8 << 20)
	p := &peer{t: t, shut: func() { conn.CloseNow(); cancel() }}
	p.next = func() (message, error) {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return message{}, err
		}
		return decode(t, b), nil
	}
	t.Cleanup(p.shut)
	return p, resp, nil
}

func decode(t testing.TB, b []byte) message {
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		t.Errorf("message %q: %v", b, err)
	}
	m.raw = string(b)
	return m
}

// statusError is a refusal of an event stream.
type statusError struct{ status int }

func (e *statusError) Error() string { return http.StatusText(e.status) }

func dialEvents(t testing.TB, url string, h http.Header) (*peer, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	req.Header = h
	if h.Get("Accept") == "" {
		h.Set("Accept", "text/event-stream")
	}
	tr := &http.Transport{DisableCompression: true}
	resp, err := tr.RoundTrip(req)
	shut := func() { cancel(); tr.CloseIdleConnections() }
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &statusError{resp.StatusCode}
	}
	if err != nil {
		t.Cleanup(shut)
		return nil, resp, err
	}
	scan := bufio.NewScanner(resp.Body)
	scan.Buffer(nil, 8<<20)
	p := &peer{t: t, shut: func() { resp.Body.Close(); shut() }}
	p.next = func() (message, error) { return nextEvent(t, scan) }
	t.Cleanup(p.shut)
	return p, resp, nil
}

// nextEvent reads an event as the standard says, and checks that its name is the message's type.
func nextEvent(t testing.TB, scan *bufio.Scanner) (message, error) {
	var name, id, retry, data string
	for scan.Scan() {
		field, value, _ := strings.Cut(scan.Text(), ": ")
		switch field {
		case "":
			m := decode(t, []byte(data))
			if m.Type != name {
				t.Errorf("event %q holds a message of type %q", name, m.Type)
			}
			m.lastID, m.retry = id, retry
			return m, nil
		case "event":
			name = value
		case "id":
			id = value
		case "retry":
			retry = value
		case "data":
			data += value
		default:
			t.Errorf("unknown field in an event: %q", scan.Text())
		}
	}
	if err := scan.Err(); err != nil {
		return message{}, err
	}
	return message{}, context.Canceled // the end
}

// expect returns the next message that is no ping, which must be of a type.
func (p *peer) expect(kind string) message {
	p.t.Helper()
	for {
		m, err := p.next()
		if err != nil {
			p.t.Fatalf("waiting for %q: %v", kind, err)
		}
		if m.Type == typePing && kind != typePing {
			continue
		}
		if m.Type != kind {
			p.t.Fatalf("got %s, want a message of type %q", m.raw, kind)
		}
		return m
	}
}

// changes returns the next n changes.
func (p *peer) changes(n int) []message {
	p.t.Helper()
	out := make([]message, n)
	for i := range out {
		out[i] = p.expect(typeChange)
	}
	return out
}

// seqs returns the seqs of messages.
func seqs(list []message) []knowledge.Seq {
	out := make([]knowledge.Seq, len(list))
	for i, m := range list {
		out[i] = m.Seq
	}
	return out
}

// upTo returns the numbers from a to b.
func upTo(a, b knowledge.Seq) []knowledge.Seq {
	var out []knowledge.Seq
	for ; a <= b; a++ {
		out = append(out, a)
	}
	return out
}

// kinds runs a test for both kinds of streams.
func kinds(t *testing.T, test func(t *testing.T, kind string)) {
	t.Helper()
	for _, kind := range []string{"websocket", "sse"} {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}
