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

// ready is a store that has its answers ready, as a cache would.
type ready struct {
	store.Store
	record *knowledge.Record
	page   *knowledge.Page
}

func (r ready) Get(context.Context, knowledge.Key) (*knowledge.Record, error) { return r.record, nil }

func (r ready) List(context.Context, knowledge.Query) (*knowledge.Page, error) { return r.page, nil }

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
	page := &knowledge.Page{Source: knowledge.SourceHot, Next: "a-cursor"}
	for range knowledge.DefaultLimit {
		page.Records = append(page.Records, rec)
	}
	caller := &access.Caller{ID: "someone", Role: knowledge.RoleViewer}
	return New(Options{
		Store:        access.New(ready{record: rec, page: page}, nil, nil),
		Authenticate: func(string) (*access.Caller, error) { return caller, nil },
	})
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

// TestReadsAllocateLittle holds the reads of ready answers to few allocations: of the door, of
// ServeMux, of access and of the contexts between them. More is a decision, not an accident.
func TestReadsAllocateLittle(t *testing.T) {
	h := readyHandler(t)
	for path, most := range map[string]float64{rulePath: 12, "/api/v1/rules": 20} {
		w, r := &sink{header: http.Header{}}, request(t, path)
		got := testing.AllocsPerRun(200, func() {
			clear(w.header)
			h.ServeHTTP(w, r)
		})
		if w.status != http.StatusOK || got > most {
			t.Errorf("%s: %d with %v allocations, want at most %v", path, w.status, got, most)
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
		{"document not modified", []string{"If-None-Match", `"1"`}, rulePath},
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
