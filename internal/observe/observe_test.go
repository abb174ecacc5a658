package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func openEngine(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), storetest.File(t, "tenet.db", migrated),
		sqlite.Options{CheckLimit: -1, Frozen: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStoreKeepsTheLaws(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	storetest.Run(t, func(t testing.TB) store.Store { return New(openEngine(t), "sqlite", m) })
}

// exposed returns what a scraper reads.
func exposed(t *testing.T, r *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// has checks that a scraper reads these lines.
func has(t *testing.T, r *prometheus.Registry, lines ...string) {
	t.Helper()
	got := "\n" + exposed(t, r)
	for _, line := range lines {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("%s is not measured", line)
			for have := range strings.Lines(got) {
				if name, _, _ := strings.Cut(line, "{"); strings.HasPrefix(have, name) {
					t.Log(strings.TrimSpace(have))
				}
			}
		}
	}
}

func TestCallsAreMeasuredByMethodAndResult(t *testing.T) {
	r := prometheus.NewRegistry()
	s := New(openEngine(t), "sqlite", NewMetrics(r))
	ctx := t.Context()
	category := storetest.Category()
	for _, version := range []int64{knowledge.NoVersion, 1, 1} {
		_, _ = s.Apply(ctx, storetest.Batch(knowledge.Put(category, version)))
	}
	_, _ = s.Get(ctx, category.Key())
	_, _ = s.Get(ctx, storetest.Rule().Key())
	_, _ = s.List(ctx, knowledge.Query{Kind: knowledge.KindCategory})
	_, _ = s.List(ctx, knowledge.Query{Kind: knowledge.KindCategory, Limit: -1})
	_, _ = s.Search(ctx, knowledge.SearchQuery{Text: "x"})
	_, _ = s.Changes(ctx, knowledge.ChangeQuery{})
	_ = s.Wait(ctx, 0)
	_ = s.Ping(ctx)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_ = s.Ping(gone)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_ = s.Ping(ctx)
	line := `tenet_store_call_seconds_count{method=%q,result=%q,store="sqlite"} %d`
	has(t, r,
		fmt.Sprintf(line, "apply", "ok", 2), fmt.Sprintf(line, "apply", "conflict", 1),
		fmt.Sprintf(line, "get", "ok", 1),
		fmt.Sprintf(line, "get", "not_found", 1), fmt.Sprintf(line, "list", "ok", 1),
		fmt.Sprintf(line, "list", "invalid", 1),
		fmt.Sprintf(line, "search", "ok", 1), fmt.Sprintf(line, "changes", "ok", 1), fmt.Sprintf(line, "wait", "ok", 1),
		fmt.Sprintf(line, "ping", "ok", 1), fmt.Sprintf(line, "ping", "cancelled", 1),
		fmt.Sprintf(line, "ping", "closed", 1),
	)
	if strings.Contains(exposed(t, r), `result="error"`) {
		t.Error("what never happened is measured")
	}
}

func TestEveryErrorHasItsResult(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "ok"},
		{&store.NotFoundError{}, "not_found"},
		{&store.ConflictError{}, "conflict"},
		{store.ErrReused, "invalid"},
		{knowledge.Invalid("/a", "b"), "invalid"},
		{fmt.Errorf("read: %w", knowledge.BadQuery("a", "b")), "invalid"},
		{store.ErrUnauthenticated, "refused"},
		{&store.ForbiddenError{}, "refused"},
		{&store.GoneError{}, "gone"},
		{context.Canceled, "cancelled"},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), "timeout"},
		{&store.UnavailableError{}, "unavailable"},
		{errors.Join(store.ErrUnavailable, context.DeadlineExceeded), "unavailable"},
		{store.ErrClosed, "closed"},
		{errors.New("driver"), "error"},
	} {
		if got := resultOf(c.err).String(); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
}

// A said is what a server says by a code.
type said string

func (s said) Error() string    { return "said" }
func (s said) SQLState() string { return string(s) }

func TestATimeoutIsToldApartFromARefusedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, nobody := net.Dial("tcp", address)
	for _, c := range []struct {
		err  error
		want string
	}{
		{nobody, "refused"},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), "refused"},
		{said("57P01"), "refused"},
		{said("53300"), "refused"},
		{context.DeadlineExceeded, "timeout"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout"},
		{said("57014"), "timeout"},
		{said("42501"), "server"},
		{fmt.Errorf("get: %w", said("40001")), "server"},
		{context.Canceled, "cancelled"},
		{errors.New("x"), "other"},
	} {
		if got := causeOf(c.err); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
}

func TestStatementsAreMeasuredByName(t *testing.T) {
	r := prometheus.NewRegistry()
	m := NewMetrics(r)
	q := m.Query("postgres")
	q.QueryDone("get", time.Millisecond, nil)
	q.QueryDone("get", 300*time.Millisecond, errors.New("x"))
	q.QueryDone("get", defaultSlowQuery, nil)
	m.SlowQuery = time.Hour
	m.Query("sqlite").QueryDone("get", time.Minute, nil)
	has(t, r,
		`tenet_query_seconds_count{engine="postgres",statement="get"} 3`,
		`tenet_query_errors_total{cause="other",engine="postgres",statement="get"} 1`,
		`tenet_slow_queries_total{engine="postgres",statement="get"} 2`,
		`tenet_slow_queries_total{engine="sqlite",statement="get"} 0`,
		`tenet_query_seconds_bucket{engine="postgres",statement="get",le="0.001"} 1`,
	)
}

func TestRequestsAreMeasuredByRouteAndStatus(t *testing.T) {
	r := prometheus.NewRegistry()
	m := NewMetrics(r)
	route := "GET /api/v1/rules/{id}"
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			m.Request(route).Observe(200, time.Millisecond)
			m.Request(route).Observe(404, time.Millisecond)
		})
	}
	wg.Wait()
	for _, strange := range []int{0, -1, 99, 600, 1 << 30} {
		m.Request(route).Observe(strange, time.Second)
	}
	if first, second := m.Request(route), m.Request(route); first != second {
		t.Error("a route is looked up anew each time")
	}
	has(t, r,
		`tenet_http_requests_total{route="GET /api/v1/rules/{id}",status="200"} 8`,
		`tenet_http_requests_total{route="GET /api/v1/rules/{id}",status="404"} 8`,
		`tenet_http_requests_total{route="GET /api/v1/rules/{id}",status="none"} 5`,
		`tenet_http_request_seconds_count{route="GET /api/v1/rules/{id}"} 21`,
	)
}

func TestPoolsAreAskedWhenSomebodyLooks(t *testing.T) {
	r := prometheus.NewRegistry()
	m := NewMetrics(r)
	s := PoolStats{
		Limit: 10, Used: 3, Idle: 2, Opening: 1, Acquired: 100, Waited: 7,
		WaitTime: 1500 * time.Millisecond, Cancelled: 4,
	}
	m.Pool("postgres", func() PoolStats { return s })
	m.Pool("sqlite", func() PoolStats { return PoolStats{} })
	has(t, r,
		`tenet_pool_limit_connections{engine="postgres"} 10`,
		`tenet_pool_connections{engine="postgres",state="used"} 3`,
		`tenet_pool_connections{engine="postgres",state="idle"} 2`,
		`tenet_pool_connections{engine="postgres",state="opening"} 1`,
		`tenet_pool_acquired_total{engine="postgres"} 100`, `tenet_pool_waited_total{engine="postgres"} 7`,
		`tenet_pool_wait_seconds_total{engine="postgres"} 1.5`, `tenet_pool_cancelled_total{engine="postgres"} 4`,
		`tenet_pool_connections{engine="sqlite",state="used"} 0`,
	)
	s.Used = 9
	has(t, r, `tenet_pool_connections{engine="postgres",state="used"} 9`)
}

func TestMeasuringAllocatesNothing(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	s := New(nil, "x", m)
	began := time.Now()
	for what, fn := range map[string]func(){
		"a call":      func() { s.done(get, began, nil) },
		"a statement": func() { m.Query("x").QueryDone("get", 1, nil) },
		"a request":   func() { m.Request("x").Observe(200, 1) },
	} {
		q := m.Query("y")
		if what == "a statement" {
			fn = func() { q.QueryDone("get", 1, nil) }
		}
		fn()
		if n := testing.AllocsPerRun(1000, fn); n > 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func TestLoggersWriteTheirFormatAndLevel(t *testing.T) {
	var out bytes.Buffer
	for format, want := range map[string]string{
		FormatJSON: `"msg":"seen","took":0.2783`,
		FormatText: "msg=seen took=278.3ms", "": `"msg":"seen"`,
	} {
		out.Reset()
		log := NewLogger(&out, format, slog.LevelInfo)
		log.Debug("hidden")
		log.Info("seen", slog.Duration(KeyTook, 278300*time.Microsecond), slog.String(KeyRequestID, "7"))
		if got := out.String(); !strings.Contains(got, want) || strings.Contains(got, "hidden") ||
			strings.Count(got, "\n") != 1 {
			t.Errorf("format %q: %s", format, got)
		}
		if format != FormatText && !json.Valid(out.Bytes()) {
			t.Errorf("no JSON: %s", out.String())
		}
	}
}

// sink is a writer that fails on demand.
type sink struct {
	mu     sync.Mutex // guards all below
	writes []string
	err    error
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.writes = append(s.writes, string(b))
	return len(b), nil
}

func (s *sink) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.writes, "")
}

func TestABufferWritesManyLinesAtOnceAndLosesNone(t *testing.T) {
	var s sink
	b := NewBuffer(&s)
	var want strings.Builder
	for i := range 10_000 {
		line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", i%50))
		want.WriteString(line)
		if n, err := b.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	long := strings.Repeat("long", bufferSize) + "\n"
	want.WriteString(long)
	if _, err := b.Write([]byte(long)); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if s.all() != want.String() {
		t.Error("lines are lost, or in another order")
	}
	if n := len(s.writes); n > 20 {
		t.Errorf("%d writes", n)
	}
	for _, w := range s.writes {
		if !strings.HasSuffix(w, "\n") {
			t.Error("a line was cut")
		}
	}
}

func TestABufferGoesOnAfterAFailure(t *testing.T) {
	s := sink{err: errors.New("disk full")}
	b := NewBuffer(&s)
	if _, err := b.Write([]byte("lost\n")); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err == nil || b.Lost() != 5 {
		t.Errorf("Flush = %v, %d bytes lost", err, b.Lost())
	}
	s.err = nil
	_, _ = b.Write([]byte("kept\n"))
	if err := b.Flush(); err != nil || s.all() != "kept\n" || b.Lost() != 5 {
		t.Errorf("Flush = %v, written %q, %d bytes lost", err, s.all(), b.Lost())
	}
}

func TestABufferIsWrittenEachSecondAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sink
		b := NewBuffer(&s)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		_, _ = b.Write([]byte("first\n"))
		synctest.Wait()
		if s.all() != "" {
			t.Error("a line was written at once")
		}
		<-time.After(flushEvery + time.Millisecond)
		if s.all() != "first\n" {
			t.Errorf("after a second: %q", s.all())
		}
		_, _ = b.Write([]byte("last\n"))
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) || s.all() != "first\nlast\n" {
			t.Errorf("Run = %v, written %q", err, s.all())
		}
	})
}

func BenchmarkCall(b *testing.B) {
	s := New(nil, "x", NewMetrics(prometheus.NewRegistry()))
	b.ReportAllocs()
	for b.Loop() {
		s.done(get, time.Now(), nil)
	}
}

// migrated makes an empty database with its schema.
func migrated(path string) error {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	return s.Close()
}
