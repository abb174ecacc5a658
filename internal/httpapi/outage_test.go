package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func TestQueuedWritesSayThatTheyWait(t *testing.T) {
	n := newTenet(t, nil)
	n.store.queue(true)
	r := n.do(put(rulePath, aRule).with("Idempotency-Key", batchUUID))
	if r.status != http.StatusAccepted {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	for name, want := range map[string]string{
		"ETag": `"` + batchUUID + `"`, "Tenet-Mode": "degraded", "Tenet-Source": "mirror", "Tenet-Batch": batchUUID,
		"Link": "</api/v1/batches/" + batchUUID + `>; rel="monitor"`,
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	r = n.do(post(batchesPath, `{"ops":[{"verb":"retire","kind":"practice","id":"small-pull-requests"}]}`))
	if r.status != http.StatusAccepted {
		t.Fatalf("batch: got %d %s", r.status, r.body)
	}
	r.holds(t, `{"state":"queued","results":[{"verb":"retire","document":{"is_active":false}}]}`)
	r = n.do(post(batchesPath, `{"mode":"best_effort","ops":[{"verb":"retire","kind":"template",`+
		`"id":"incident-report"},{"verb":"retire","kind":"rule","id":"NONE"}]}`))
	if r.status != http.StatusAccepted {
		t.Fatalf("each for itself: got %d %s", r.status, r.body)
	}
	r.holds(t, `{"state":"queued","failed":1,"results":[{"state":"queued"},{"error":{"code":"not_found"}}]}`)
	if r = n.do(del("/api/v1/violations/" + exampleID(knowledge.KindViolation) +
		"?purge=true")); r.status != http.StatusAccepted || len(r.body) > 0 {
		t.Errorf("purge: got %d %s", r.status, r.body)
	}
}

func TestUnavailableSaysWhatItIs(t *testing.T) {
	n := newTenet(t, nil)
	n.store.fail(&store.UnavailableError{
		Reason: "the disk is full", RetryAfter: 1500 * time.Millisecond, ReadOnly: true, Halt: true, NotDone: true,
		Err: errors.New("host db7.internal"),
	})
	r := n.do(put(rulePath, aRule))
	r.holds(t, `{"code":"unavailable","detail":"the disk is `+
		`full","retry_after":2,"read_only":true,"halt":true,"not_done":true}`)
	if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") != "2" {
		t.Errorf("got %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
	}
	if bytes.Contains(r.body, []byte("db7")) {
		t.Errorf("the cause went out: %s", r.body)
	}
	r = n.do(post(batchesPath, `{"mode":"best_effort","ops":[{"verb":"retire","kind":"rule","id":"A"},`+
		`{"verb":"retire","kind":"rule","id":"B"}]}`))
	r.holds(t, `{"failed":2,"results":[{"error":{"detail":"the disk is `+
		`full"}},{"error":{"code":"unavailable","detail":"~before this one","not_done":true}}]}`)
	n.store.fail(&store.GoneError{Oldest: 17})
	n.do(get("/api/v1/changes?after=3")).holds(t, `{"code":"gone","oldest":17}`)
	n.store.fail(store.ErrClosed)
	if r := n.do(get(rulePath)); r.status != http.StatusServiceUnavailable {
		t.Errorf("closed: got %d", r.status)
	}
	n.do(ask{method: http.MethodGet, path: "/readyz", token: "-"}).holds(t, `{"code":"unavailable","reasons":["*"]}`)
	n.store.fail(errors.New("secret of the driver"))
	if r := n.do(get(rulePath)); r.status != http.StatusInternalServerError ||
		bytes.Contains(r.body, []byte("driver")) {
		t.Errorf("unforeseen: got %d %s", r.status, r.body)
	}
}

func TestAnswersSayHowFreshTheyAre(t *testing.T) {
	asked := knowledge.At(time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC))
	var mu sync.Mutex
	levels := []knowledge.Level{
		{Mode: knowledge.ModeNormal, AsOf: asked},
		{Mode: knowledge.ModeDegraded, AsOf: knowledge.At(asked.Add(-time.Minute)), Lacking: 2},
	}
	calls := 0
	n := newTenet(t, func(o *Options) {
		o.Level = func() knowledge.Level {
			mu.Lock()
			defer mu.Unlock()
			calls++
			return levels[(calls-1)%len(levels)]
		}
		o.Store = mirrored{o.Store}
	})
	r := n.do(get(rulePath))
	for name, want := range map[string]string{
		"Tenet-Source": "mirror", "Tenet-Mode": "degraded",
		"Tenet-As-Of": "2026-05-01T09:59:00.000000Z", "Tenet-Lacking": "2",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// mirrored is a store whose records come from the mirror.
type mirrored struct{ store.Store }

func (m mirrored) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	r, err := m.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return r.From(knowledge.SourceMirror), nil
}

// panicking is a store that falls over.
type panicking struct{ store.Store }

func (panicking) Get(context.Context, knowledge.Key) (*knowledge.Record, error) {
	panic("out of order")
}

// A journal is a log that tests read.
type journal struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func TestPanicsAreAnsweredAndLogged(t *testing.T) {
	var log journal
	n := newTenet(t, func(o *Options) {
		o.Store = panicking{o.Store}
		o.Log = slog.New(slog.NewJSONHandler(&log, nil))
	})
	r := n.do(get(rulePath).with("X-Request-Id", "find-me"))
	if r.status != http.StatusInternalServerError {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	checkReply(t, r)
	r.holds(t, `{"code":"internal","request_id":"find-me",`+
		`"detail":"the log of tenet says more at this request's id, find-me"}`)
	for _, want := range []string{"find-me", "out of order", "panicking", rulePath} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not hold %q: %s", want, &log)
		}
	}
}

func TestCallsWithoutAValidTokenAreTold(t *testing.T) {
	var told []access.Refusal
	n := newTenet(t, func(o *Options) {
		authenticate := o.Authenticate
		o.Authenticate = func(token string) (*access.Caller, error) {
			if token == "off" {
				return nil, &store.UnauthenticatedError{Reason: access.ReasonDisabled, ID: "ann"}
			}
			return authenticate(token)
		}
		o.Refused = func(_ context.Context, r access.Refusal) { told = append(told, r) }
	})
	n.do(get(rulePath))
	n.do(ask{method: http.MethodGet, path: rulePath, token: "-"}.with("X-Request-Id", "r1"))
	n.do(ask{method: http.MethodGet, path: rulePath, token: "off"}.with("X-Request-Id", "r2"))
	want := []access.Refusal{
		{
			Door: "rest", Method: access.MethodAuthenticate, Reason: "no token: GET /api/v1/rules/{id}",
			RequestID: "r1",
			Peer:      "127.0.0.1",
		},
		{
			Door: "rest", Method: access.MethodAuthenticate, Reason: access.ReasonDisabled + ": GET /api/v1/rules/{id}",
			RequestID: "r2", Peer: "127.0.0.1", Caller: &access.Caller{ID: "ann"},
		},
	}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("told of %+v, want %+v", told, want)
	}
}

func TestRequestsAreLoggedAndCounted(t *testing.T) {
	var log journal
	n := newTenet(t, func(o *Options) { o.AccessLog = slog.New(slog.NewJSONHandler(&log, nil)) })
	n.do(get(rulePath).with("X-Request-Id", "r1"))
	n.do(get("/nowhere").with("X-Request-Id", "not sane: \"quotes\""))
	var first, second map[string]any
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &first) != nil ||
		json.Unmarshal([]byte(lines[1]), &second) != nil {
		t.Fatalf("want two lines of JSON: %q", lines)
	}
	for name, want := range map[string]any{
		"request_id": "r1", "method": "GET", "route": "GET /api/v1/rules/{id}", "path": rulePath, "status": 200.0,
		"caller": "the-admin", "source": "primary",
	} {
		if first[name] != want {
			t.Errorf("%s: %v, want %v", name, first[name], want)
		}
	}
	if id := second["request_id"].(string); !sane(id) || id == "r1" {
		t.Errorf("request id %q, want a new one", id)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, want := range []pair{{"GET /api/v1/rules/{id}", 200}, {"unmatched", 404}} {
		if !n.seen[want] {
			t.Errorf("nobody was told of %v", want)
		}
	}
}

func TestTooManyRequestsAreRefused(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	n := newTenet(t, func(o *Options) {
		o.Limits.MaxConcurrent = 1
		o.Status = func(context.Context) any { close(held); <-hold; return nil }
	})
	var wg sync.WaitGroup
	wg.Go(func() { n.do(get("/api/v1/status")) })
	<-held
	r := n.do(get(rulePath))
	if r.status != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503", r.status)
	}
	r.holds(t, `{"code":"unavailable","not_done":true,"retry_after":1}`)
	if r := n.do(ask{method: http.MethodGet, path: "/healthz", token: "-"}); r.status != http.StatusOK {
		t.Errorf("a probe got %d", r.status)
	}
	close(hold)
	wg.Wait()
	if r := n.do(get(rulePath)); r.status != http.StatusOK {
		t.Errorf("behind the rush: got %d", r.status)
	}
}

// waitingStore is a store without documents whose log is what the test makes of it. It is for synctest bubbles.
type waitingStore struct {
	store.Store
	mu      sync.Mutex // guards what follows
	changes []knowledge.Change
	bell    chan struct{}
	eager   bool // rings for nothing, always
}

func (w *waitingStore) add(k knowledge.Kind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, knowledge.Change{
		Seq: knowledge.Seq(len(w.changes) + 1),
		Key: knowledge.Key{Kind: k, ID: "x"}, Verb: knowledge.VerbPurge,
	})
	close(w.bell)
	w.bell = make(chan struct{})
}

func (w *waitingStore) Changes(_ context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q.Newest {
		return w.changes[max(0, len(w.changes)-1):], nil
	}
	out := []knowledge.Change{}
	for _, c := range w.changes {
		if c.Seq > q.After && (q.Kind == "" || q.Kind == c.Key.Kind) {
			out = append(out, c)
		}
	}
	return out, nil
}

func (w *waitingStore) Wait(ctx context.Context, after knowledge.Seq) error {
	w.mu.Lock()
	bell, now := w.bell, w.eager || knowledge.Seq(len(w.changes)) > after
	w.mu.Unlock()
	if now {
		return nil
	}
	select {
	case <-bell:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestLongPolls(t *testing.T) {
	poll := func(t *testing.T, w *waitingStore, query string) (*Handler, func() (*reply, time.Duration)) {
		h := New(Options{Store: w, Authenticate: (&authority{}).Authenticate, Limits: Limits{MaxWaiting: 1}})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/changes?"+query, nil)
		r.Header.Set("Authorization", "Bearer admin")
		done := make(chan *reply)
		begun := time.Now()
		go func() {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			done <- &reply{rec.Code, rec.Header(), rec.Body.Bytes()}
		}()
		synctest.Wait()
		return h, func() (*reply, time.Duration) { got := <-done; return got, time.Since(begun) }
	}
	for _, tc := range []struct {
		name, query string
		eager       bool
		during      func(h *Handler, w *waitingStore)
		want        string
		after       time.Duration // in whole seconds of the bubble's clock, which nothing but a wait moves
	}{
		{
			"the next change", "wait=30", false, func(_ *Handler, w *waitingStore) { w.add(knowledge.KindRule) },
			`{"changes":[{"seq":1}],"next_after":1}`, 0,
		},
		{"no change", "wait=30", false, nil, `{"changes":[],"next_after":0}`, 30 * time.Second},
		{"a bell that rings for nothing", "wait=2", true, nil, `{"changes":[],"next_after":0}`, 2 * time.Second},
		{
			"the next change of a kind", "wait=30&kind=rule", false,
			func(_ *Handler, w *waitingStore) {
				w.add(knowledge.KindTemplate)
				synctest.Wait()
				w.add(knowledge.KindRule)
			},
			`{"changes":[{"seq":2}],"next_after":2}`, 0,
		},
		{
			"no change of a kind", "wait=3&kind=rule", false,
			func(_ *Handler, w *waitingStore) { w.add(knowledge.KindTemplate) }, `{"changes":[],"next_after":1}`,
			3 * time.Second,
		},
		{
			"a server that stops", "wait=30", false, func(h *Handler, _ *waitingStore) { h.Drain(); h.Drain() },
			`{"changes":[],"next_after":0}`, 0,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &waitingStore{bell: make(chan struct{}), eager: tc.eager}
				h, end := poll(t, w, tc.query)
				if tc.during != nil {
					tc.during(h, w)
				}
				r, waited := end()
				r.holds(t, tc.want)
				if waited = waited.Truncate(time.Second); waited != tc.after {
					t.Errorf("answered after a wait of %s, want %s", waited, tc.after)
				}
			})
		})
	}
	t.Run("one caller too many", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &waitingStore{bell: make(chan struct{})}
			h, end := poll(t, w, "wait=30")
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/changes?wait=1", nil)
			r.Header.Set("Authorization", "Bearer admin")
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if rec.Code != http.StatusServiceUnavailable {
				t.Errorf("got %d, want 503", rec.Code)
			}
			h.Drain()
			end()
		})
	})
}

func TestLiveDoorGetsKnownCallersOnly(t *testing.T) {
	n := newTenet(t, func(o *Options) {
		o.Mounts = []Mount{{
			Routes: []string{"GET " + livePath},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = w.Write([]byte("data: " + access.CallerFrom(r.Context()).ID + " " + r.URL.Query().Get("kind") +
					"\n\n"))
				w.(http.Flusher).Flush()
				return nil
			}, Streams: func(string, []byte) bool { return true },
		}}
	})
	if r := n.do(ask{method: http.MethodGet, path: livePath, token: "-"}); r.status != http.StatusUnauthorized {
		t.Errorf("nobody: got %d", r.status)
	}
	r := n.do(get(livePath+"?kind=rule").with("Accept", "text/event-stream"))
	if got := string(r.body); r.status != http.StatusOK || got != "data: the-admin rule\n\n" ||
		r.header.Get("Tenet-Mode") == "" {
		t.Errorf("got %d %q %v", r.status, got, r.header)
	}
}

func TestRequestsThatWantFreshAnswersAreMarked(t *testing.T) {
	type mark struct{}
	var marked []bool
	n := newTenet(t, func(o *Options) {
		o.Fresh = func(ctx context.Context) context.Context { return context.WithValue(ctx, mark{}, true) }
		next := o.Store
		o.Store = watching{next, func(ctx context.Context) { marked = append(marked, ctx.Value(mark{}) != nil) }}
	})
	n.do(get(rulePath))
	n.do(get(rulePath).with("Cache-Control", "max-age=0, No-Cache"))
	if len(marked) != 2 || marked[0] || !marked[1] {
		t.Errorf("marked: %v, want only the second", marked)
	}
}

type watching struct {
	store.Store
	get func(context.Context)
}

func (w watching) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	w.get(ctx)
	return w.Store.Get(ctx, key)
}

func TestCancelledRequestsAreNotTakenForDone(t *testing.T) {
	n := newTenet(t, nil)
	n.store.fail(context.Canceled)
	r := n.do(put(rulePath, aRule))
	if r.status != http.StatusServiceUnavailable {
		t.Errorf("got %d %s, want 503", r.status, r.body)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.seen[pair{"PUT /api/v1/rules/{id}", api.StatusDisconnected}] {
		t.Errorf("counted as %v, want %d", n.seen, api.StatusDisconnected)
	}
}
