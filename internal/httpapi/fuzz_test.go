package httpapi

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// FuzzRequest sends foreign paths, queries, headers and bodies to every route. Whatever they are, the answer is one
// that the route documents, its body is what its type says, and a refused request has changed nothing.
func FuzzRequest(f *testing.F) {
	s := seededStore(f)
	h := New(Options{
		Store: access.New(s, nil, nil), Authenticate: (&authority{}).Authenticate,
		Log: slog.New(slog.DiscardHandler), Limits: Limits{MaxBody: 64 << 10, MaxBatchBody: 64 << 10},
	})
	for i, rt := range h.routes {
		a := base(rt)
		query := ""
		if _, after, ok := strings.Cut(a.path, "?"); ok {
			query = after
		}
		f.Add(uint8(i), rt.sample, query, "If-Match", `"1"`, []byte(a.body))
		for name := range rt.queries.fields {
			f.Add(uint8(i), rt.sample, name+"=1&"+name+"=true", "Idempotency-Key", "k", []byte(a.body))
		}
	}
	f.Add(uint8(0), "a/b", "category=%27%3B--&cursor=AAAA&limit=-1", "If-None-Match", `W/"x`, []byte(`{"rule_id":1}`))
	f.Add(uint8(2), "../..", "wait=0&after=99999999999999999999", "Accept-Encoding", "zstd", []byte("\xff\x00"))
	f.Fuzz(func(t *testing.T, route uint8, id, query, header, value string, body []byte) {
		rt := h.routes[int(route)%len(h.routes)]
		if strings.Contains(query, "wait") {
			t.Skip("waiting is tested elsewhere")
		}
		path := strings.Replace(rt.path, "{id}", url.PathEscape(id), 1)
		path = strings.Replace(path, "{version}", url.PathEscape(id), 1)
		target, err := url.ParseRequestURI(path)
		if err != nil {
			t.Skip("not a path that a client can send")
		}
		target.RawQuery = query
		r := httptest.NewRequestWithContext(t.Context(), rt.method, "/", strings.NewReader(string(body)))
		r.URL, r.RequestURI = target, path+"?"+query
		if rt.body != nil {
			r.Header.Set("Content-Type", rt.body.media)
		}
		r.Header[http.CanonicalHeaderKey(header)] = []string{value}
		r.Header.Set("Authorization", "Bearer "+knowledge.RoleAdmin)
		before := lastChange(t, s)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		checkFuzzed(t, rt, w, r.Method+" "+r.RequestURI)
		if w.Code >= 400 && lastChange(t, s) != before {
			t.Errorf("answered %d and wrote all the same", w.Code)
		}
	})
}

func checkFuzzed(t *testing.T, rt *route, w *httptest.ResponseRecorder, what string) {
	t.Helper()
	known := append(rt.statuses(), http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusNotFound,
		http.StatusMethodNotAllowed)
	for _, a := range rt.answers {
		known = append(known, a.status)
	}
	if !slices.Contains(known, w.Code) || w.Code >= http.StatusInternalServerError {
		t.Fatalf("%s: %d %s", what, w.Code, w.Body)
	}
	media := w.Header().Get("Content-Type")
	if w.Code >= 400 && media != mediaProblem {
		t.Errorf("%s: %d of type %q", what, w.Code, media)
	}
	if strings.HasSuffix(media, "json") {
		b, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if b = unpack(t, w.Header().Get("Content-Encoding"), b); !json.Valid(b) {
			t.Errorf("%s: %d with what is no JSON: %q", what, w.Code, b)
		}
	}
}

func lastChange(t *testing.T, s store.Feed) knowledge.Seq {
	t.Helper()
	seq, err := store.Tail(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}
