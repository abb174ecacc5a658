package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// stocked is a store that has its answers ready, as a cache would.
type stocked struct {
	store.Store
	record *knowledge.Record
	page   *knowledge.Page
	hits   *knowledge.Hits
}

func (r stocked) Get(context.Context, knowledge.Key) (*knowledge.Record, error) { return r.record, nil }

func (r stocked) Search(context.Context, knowledge.SearchQuery) (*knowledge.Hits, error) {
	return r.hits, nil
}

func (r stocked) List(context.Context, knowledge.Query) (*knowledge.Page, error) { return r.page, nil }

// sink is a ResponseWriter that costs nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// readyHandler is a door to a store with its answers ready.
func readyHandler(tb testing.TB) *Handler {
	tb.Helper()
	d := exampleStored(knowledge.KindRule)
	rec, err := knowledge.NewRecord(d)
	if err != nil {
		tb.Fatal(err)
	}
	rec = rec.From(knowledge.SourceHot)
	page := &knowledge.Page{Source: knowledge.SourceHot, Next: "a-cursor", Memo: new(knowledge.Memo)}
	for range knowledge.DefaultLimit {
		page.Records = append(page.Records, rec)
	}
	hits := &knowledge.Hits{
		Source: knowledge.SourceHot, Memo: new(knowledge.Memo),
		Hits: []knowledge.Hit{{Record: rec}},
	}
	caller := &access.Caller{ID: "someone", Role: knowledge.RoleViewer}
	return New(Options{
		Store:        access.New(stocked{record: rec, page: page, hits: hits}, nil, nil),
		Authenticate: func(string) (*access.Caller, error) { return caller, nil },
	})
}

// tagOfPath returns the ETag of an answer.
func tagOfPath(tb testing.TB, h *Handler, path string) string {
	tb.Helper()
	w := &sink{header: http.Header{}}
	h.ServeHTTP(w, request(tb, path))
	return w.header.Get("Etag")
}

func request(tb testing.TB, path string, header ...string) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer tenet_token")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// TestReadsAllocateLittle holds the reads of ready answers to few allocations: the context, the parameters, the tag and
// the length of a document, the words of a search. More is a decision, not an accident.
func TestReadsAllocateLittle(t *testing.T) {
	h := readyHandler(t)
	for _, tc := range []struct {
		path   string
		most   float64
		status int
		header []string
	}{
		{rulePath, 4, http.StatusOK, nil},
		{rulePath, 3, http.StatusNotModified, []string{"If-None-Match", tagOfPath(t, h, rulePath)}},
		{"/api/v1/rules", 3, http.StatusOK, nil},
		{"/api/v1/rules?limit=50&category=security", 3, http.StatusOK, []string{"Accept-Encoding", "gzip"}},
		{"/api/v1/search?q=any+words&kind=rule", 8, http.StatusOK, nil},
	} {
		w, r := &sink{header: http.Header{}}, request(t, tc.path, tc.header...)
		got := testing.AllocsPerRun(200, func() {
			clear(w.header)
			h.ServeHTTP(w, r)
		})
		if n := len(w.header); n > 8 && tc.path == rulePath {
			t.Errorf("%s: %d headers, want 8 at most: see call.head", tc.path, n)
		}
		if w.status != tc.status || got > tc.most {
			t.Errorf("%s %q: %d with %v allocations, want %d with %v at most", tc.path, tc.header, w.status, got,
				tc.status, tc.most)
		}
	}
}

func BenchmarkReads(b *testing.B) {
	h := readyHandler(b)
	for _, bc := range []struct {
		name   string
		header []string
		path   string
	}{
		{"document", nil, rulePath},
		{"document not modified", []string{"If-None-Match", tagOfPath(b, h, rulePath)}, rulePath},
		{"page of 50", nil, "/api/v1/rules"},
		{"page of 50 in gzip", []string{"Accept-Encoding", "gzip"}, "/api/v1/rules"},
		{"page of 50 in zstd", []string{"Accept-Encoding", "zstd"}, "/api/v1/rules"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			w, r := &sink{header: http.Header{}}, request(b, bc.path, bc.header...)
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
			if w.status >= 400 {
				b.Fatal(fmt.Sprint(w.status))
			}
		})
	}
}
