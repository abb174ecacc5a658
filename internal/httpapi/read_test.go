package httpapi

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tenet/internal/access"
	"tenet/internal/cache"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// newCachedTenet starts a tenet with a memory over its store.
func newCachedTenet(t *testing.T) *tenet {
	t.Helper()
	return newTenet(t, func(o *Options) {
		memory, err := cache.Open(t.Context(), seededStore(t), cache.Options{Hot: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = memory.Close() })
		o.Store, o.Fresh, o.Limits.CompressFrom = access.New(memory, nil, nil), store.WithFresh, 300
	})
}

// Whatever was asked before and is ready must be what it was the first time, in every coding, until something on it
// changes.
func TestReadyAnswersAreThoseOfTheFirstTime(t *testing.T) {
	for _, path := range []string{
		"/api/v1/rules", "/api/v1/rules?limit=1&sort=id",
		"/api/v1/rules?fields=description,examples,created_at,updated_at,tags,scope,title&total=true",
		"/api/v1/search?q=parameter*",
	} {
		t.Run(path, func(t *testing.T) {
			n := newCachedTenet(t)
			first := n.do(get(path))
			tag := first.header.Get("ETag")
			if first.status != http.StatusOK || len(tag) < 10 {
				t.Fatalf("%d, ETag %s: %s", first.status, tag, first.body)
			}
			for _, coding := range []string{"", "gzip", "zstd", "gzip", "zstd", ""} {
				r := n.do(get(path).with("Accept-Encoding", coding))
				if got := unpack(t, coding, r.body); !bytes.Equal(got, first.body) ||
					r.header.Get("Tenet-Source") != "hot" {
					t.Errorf("in %q from %s: %s, want %s", coding, r.header.Get("Tenet-Source"), got, first.body)
				}
				if r.header.Get("Link") != first.header.Get("Link") || r.header.Get("Content-Encoding") != coding {
					t.Errorf("in %q: Link %s, Content-Encoding %s", coding, r.header.Get("Link"),
						r.header.Get("Content-Encoding"))
				}
				own := r.header.Get("ETag")
				if coding != "" && own != strings.TrimSuffix(tag, `"`)+"-"+coding+`"` || coding == "" && own != tag {
					t.Errorf("in %q the tag is %s, plain %s", coding, own, tag)
				}
				again := n.do(get(path).with("Accept-Encoding", coding).with("If-None-Match", own))
				if again.status != http.StatusNotModified || len(again.body) != 0 || again.header.Get("ETag") != own {
					t.Errorf("asked again in %q: %d with ETag %s", coding, again.status, again.header.Get("ETag"))
				}
			}
			if again := n.do(get(path).with("If-None-Match", `, "other",,W/`+tag+
				",")); again.status != http.StatusNotModified {
				t.Errorf("asked with a list that has empty entries: %d", again.status)
			}
			n.do(patch(rulePath, `{"description":"Another text with a parameter in it."}`))
			after := n.do(get(path).with("If-None-Match", tag))
			if after.status != http.StatusOK || after.header.Get("ETag") == tag ||
				!bytes.Contains(after.body, []byte("Another text")) {
				t.Errorf("after a change: %d with ETag %s: %s", after.status, after.header.Get("ETag"), after.body)
			}
		})
	}
}

func TestNoCacheGoesPastTheMemory(t *testing.T) {
	n := newCachedTenet(t)
	for _, path := range []string{rulePath, "/api/v1/rules", "/api/v1/search?q=parameter*"} {
		n.do(get(path))
		if r := n.do(get(path)); r.header.Get("Tenet-Source") != "hot" {
			t.Errorf("%s asked again: from %s, want hot", path, r.header.Get("Tenet-Source"))
		}
		if r := n.do(get(path).with("Cache-Control", "no-cache")); r.status != http.StatusOK ||
			r.header.Get("Tenet-Source") != "primary" {
			t.Errorf("%s with no-cache: %d from %s, want primary", path, r.status, r.header.Get("Tenet-Source"))
		}
	}
	const nothing = "/api/v1/rules/there-is-none"
	for _, want := range []string{"primary", "hot", "hot"} {
		if r := n.do(get(nothing)); r.status != http.StatusNotFound || r.header.Get("Tenet-Source") != want {
			t.Errorf("nothing: %d from %s, want %s", r.status, r.header.Get("Tenet-Source"), want)
		}
	}
	if r := n.do(get(nothing).with("Cache-Control", "no-cache")); r.status != http.StatusNotFound ||
		r.header.Get("Tenet-Source") != "primary" {
		t.Errorf("nothing with no-cache: %d from %s, want primary", r.status, r.header.Get("Tenet-Source"))
	}
}

// What direct finds is what the mux would have found.
func TestDirectReadsAreThoseOfTheMux(t *testing.T) {
	h := New(Options{})
	segment := rapid.OneOf(
		rapid.SampledFrom([]string{
			"api", "v1", "rules", "practices", "search", "principals", "SEC-001", "a.b", "...", "..", ".", "", "abc",
			"a", "history", "%41BC",
			"a%2Fb", "a%20b", "%2e%2e%2e", "a;b", "a:b", "ünder",
		}),
		rapid.StringMatching(`[a-zA-Z0-9._%-]{0,6}`))
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(segment, 0, 3).Draw(t, "segments")
		if len(parts) < 2 || rapid.Bool().Draw(t, "a collection") {
			parts = append([]string{rapid.SampledFrom([]string{"rules", "templates", "principals"}).Draw(t, "kind")},
				parts...)
		}
		path := "/api/v1/" + strings.Join(parts, "/")
		if rapid.IntRange(0, 9).Draw(t, "elsewhere") == 0 {
			path = "/" + segment.Draw(t, "root") + path
		}
		method := rapid.SampledFrom([]string{http.MethodGet, http.MethodGet, http.MethodHead, http.MethodPut}).Draw(t,
			"method")
		r, err := http.NewRequestWithContext(t.Context(), method, path, nil)
		if err != nil {
			return
		}
		rt, id := h.direct(r)
		if rt == nil {
			return
		}
		found++
		_, pattern := h.mux.Handler(r)
		if pattern != rt.name {
			t.Fatalf("%s %s is %q for the mux, and %q directly", method, path, pattern, rt.name)
		}
		got := ""
		probe := http.NewServeMux()
		probe.HandleFunc(rt.name, func(_ http.ResponseWriter, r *http.Request) { got = r.PathValue("id") })
		probe.ServeHTTP(httptest.NewRecorder(), r)
		if got != id {
			t.Fatalf("%s: the id is %q for the mux, and %q directly", path, got, id)
		}
	})
	if found == 0 {
		t.Error("nothing was read directly")
	}
}

// A query that is read the short way gives what the long way gives.
func TestPlainQueriesAreReadAsAllOthers(t *testing.T) {
	set := newQuerySet(reflect.TypeFor[listParams](), knowledge.Describe(knowledge.KindRule))
	pair := rapid.Custom(func(t *rapid.T) string {
		name := rapid.SampledFrom([]string{
			"limit", "category", "tag", "updated_since", "active", "sort", "cursor",
			"nothing", "", "lim%69t",
		}).Draw(t, "name")
		text := rapid.SampledFrom([]string{
			"", "5", "0", "-1", "x", "a%20b", "a+b", "%zz", "a;b", "true",
			"2026-01-31T12:00:00Z", "a=b",
		}).Draw(t, "text")
		return name + rapid.SampledFrom([]string{"=", "=", "=", ""}).Draw(t, "equals") + text
	})
	rapid.Check(t, func(t *rapid.T) {
		raw := strings.Join(rapid.SliceOfN(pair, 0, 3).Draw(t, "pairs"), "&")
		var short, long listParams
		if !set.plain(raw, reflect.ValueOf(&short).Elem()) {
			return
		}
		if faults, err := set.full(raw, reflect.ValueOf(&long).Elem()); err != nil || len(faults) > 0 {
			t.Fatalf("%q is read, and has the faults %v, %v", raw, faults, err)
		}
		if diff := cmp.Diff(long, short, cmp.AllowUnexported(listParams{}, pageParams{}, knownHeader{})); diff != "" {
			t.Fatalf("%q (-long +short):\n%s", raw, diff)
		}
	})
}

// The time in a header is never later than the true one, and at most a millisecond earlier.
func TestMomentsClaimNothingThatIsNotSo(t *testing.T) {
	h := New(Options{})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, step := range []time.Duration{0, 400, 999, 1000, 1300, -5000, 100, 3_000_000} {
		at := knowledge.At(now.Add(step * time.Microsecond))
		said, err := time.Parse(time.RFC3339Nano, h.lastTime.text(at))
		if err != nil {
			t.Fatal(err)
		}
		if late := at.Sub(said); late < 0 || late >= time.Millisecond {
			t.Errorf("%s was written as %s", at, said)
		}
	}
}
