package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"tenet/internal/knowledge"
)

func TestDocumentsAreSentAsTheyAre(t *testing.T) {
	n := newTenet(t, nil)
	n.do(patch(rulePath, `{"description":"<b>&amp; \u2028 \"quoted\" ü `+
		`😀</b>","extra":{"n":1.50,"big":12345678901234567890}}`))
	rec, err := n.store.next.Get(t.Context(), knowledge.Key{Kind: knowledge.KindRule, ID: "SEC-001"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		rulePath:                 string(rec.JSON),
		"/api/v1/rules":          `{"items":[` + string(rec.JSON) + `]}`,
		rulePath + "/versions/2": string(rec.JSON),
	} {
		r := n.do(get(path))
		if string(r.body) != want {
			t.Errorf("%s:\n got %s\nwant %s", path, r.body, want)
		}
		if got := r.header.Get("Content-Length"); got != strconv.Itoa(len(want)) {
			t.Errorf("%s: Content-Length %s, want %d", path, got, len(want))
		}
		if head := n.do(ask{method: http.MethodHead, path: path}); head.header.Get("Content-Length") != strconv.Itoa(
			len(want)) || len(head.body) > 0 {
			t.Errorf("HEAD %s: Content-Length %s and %d bytes", path, head.header.Get("Content-Length"), len(head.body))
		}
	}
	for _, path := range []string{rulePath + "/history", "/api/v1/changes", "/api/v1/search?q=quoted&view=full"} {
		if r := n.do(get(path)); !bytes.Contains(r.body, append([]byte(`"document":`), rec.JSON...)) {
			t.Errorf("%s does not hold the document as it is: %s", path, r.body)
		}
	}
	if r := n.do(post(batchesPath, `{"ops":[{"verb":"restore","kind":"rule","id":"SEC-001"}]}`)); !bytes.Contains(
		r.body, []byte(`<b>&amp; `)) {
		t.Errorf("a batch's answer has the document escaped: %s", r.body)
	}
}

func TestLongAnswersAreCompressedForWhoAcceptsIt(t *testing.T) {
	n := newTenet(t, func(o *Options) { o.Limits.CompressFrom = 300 })
	plain := n.do(get(rulePath))
	for _, tc := range []struct{ accept, coding string }{
		{"gzip", "gzip"},
		{"zstd", "zstd"},
		{"gzip, deflate, br, zstd", "zstd"},
		{"gzip, zstd;q=0.5", "gzip"},
		{"gzip;q=0, zstd;q=0", ""},
		{"br, identity", ""},
		{"GZIP", "gzip"},
	} {
		t.Run(tc.accept, func(t *testing.T) {
			r := n.do(get(rulePath).with("Accept-Encoding", tc.accept))
			if got := r.header.Get("Content-Encoding"); got != tc.coding {
				t.Fatalf("Content-Encoding %q, want %q", got, tc.coding)
			}
			if r.header.Get("Vary") != "Accept-Encoding" ||
				r.header.Get("Content-Length") != strconv.Itoa(len(r.body)) {
				t.Errorf("Vary %q, Content-Length %s of %d", r.header.Get("Vary"), r.header.Get("Content-Length"),
					len(r.body))
			}
			if got := unpack(t, tc.coding, r.body); !bytes.Equal(got, plain.body) {
				t.Errorf("unpacked to %q", got)
			}
			tag := r.header.Get("ETag")
			want := plain.header.Get("ETag") // of the answer without a coding
			if tc.coding != "" {
				want = strings.TrimSuffix(want, `"`) + "-" + tc.coding + `"`
			}
			if tag != want {
				t.Errorf("ETag %s, want %s", tag, want)
			}
			if again := n.do(get(rulePath).with("Accept-Encoding", tc.accept).with("If-None-Match",
				tag)); again.status != http.StatusNotModified || again.header.Get("ETag") != tag {
				t.Errorf("asked again: %d, ETag %s, want 304 and %s", again.status, again.header.Get("ETag"), tag)
			}
		})
	}
	if r := n.do(get("/api/v1/me").with("Accept-Encoding", "gzip")); r.header.Get("Content-Encoding") != "" {
		t.Errorf("a short answer was compressed")
	}
}

func unpack(t *testing.T, coding string, b []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	switch coding {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	case "zstd":
		z, err := zstd.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPagesLeadThroughTheWholeList(t *testing.T) {
	n := newTenet(t, nil)
	var ops []string
	for i := range 45 {
		ops = append(ops, fmt.Sprintf(`{"verb":"put","kind":"category","document":{"category_id":"c%02d",`+
			`"name":"N%02d"}}`, i, 50-i))
	}
	if r := n.do(post(batchesPath, `{"ops":[`+strings.Join(ops, ",")+`]}`)); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for _, sort := range []string{"house", "id", "title", "updated"} {
		path, seen := "/api/v1/categories?limit=20&sort="+sort, map[string]bool{}
		for pages := 0; path != ""; pages++ {
			if pages > 5 {
				t.Fatalf("sort %s never ends", sort)
			}
			r := n.do(get(path))
			p := decode[struct {
				Items []knowledge.Category
				Next  string
			}](t, r)
			for _, c := range p.Items {
				if seen[c.ID] {
					t.Errorf("sort %s: %s came twice", sort, c.ID)
				}
				seen[c.ID] = true
			}
			path = ""
			if link := r.header.Get("Link"); link != "" {
				path = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
			}
			if (p.Next == "") != (path == "") {
				t.Errorf("sort %s: next %q and Link %q", sort, p.Next, path)
			}
		}
		if len(seen) != 46 {
			t.Errorf("sort %s: %d categories, want 46", sort, len(seen))
		}
	}
}

func TestChangesAreWrittenAsTheyEncodeThemselves(t *testing.T) {
	n := newTenet(t, nil)
	n.do(del("/api/v1/violations/" + exampleID(knowledge.KindViolation) + "?purge=true"))
	want, err := n.store.next.Changes(t.Context(), knowledge.ChangeQuery{})
	if err != nil {
		t.Fatal(err)
	}
	got := decode[struct{ Changes []knowledge.Change }](t, n.do(get("/api/v1/changes")))
	for i := range want { // where a record came from is not part of a change
		if want[i].Record != nil {
			got.Changes[i].Record = got.Changes[i].Record.From(want[i].Record.Source)
		}
	}
	if diff := cmp.Diff(want, got.Changes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestStringsAreWrittenAsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()),
			func(b []byte) string { return string(b) })).Draw(t, "s")
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && got != want {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

// TestDifferencesLeadFromOneToTheOther checks the merge patch of two objects against the definition: applied to the
// one, it makes the other, save for members that are null, which a merge patch can't make.
func TestDifferencesLeadFromOneToTheOther(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) any { return anyJSON(t, 3) })
	object := rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c/d", "e~f"}), value, 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		from, to := object.Draw(t, "from"), object.Draw(t, "to")
		patched, err := knowledge.MergePatch([]byte(encoded(from)), []byte(encoded(patchFrom(from, to))))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(patched, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(asJSONValue(to), asJSONValue(got)); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		if n := len(appendDifferences(nil, "", from, to)); (n == 0) != cmp.Equal(asJSONValue(from), asJSONValue(to)) {
			t.Fatalf("%d values differ", n)
		}
	})
}

func anyJSON(t *rapid.T, depth int) any {
	kinds := 4
	if depth == 0 {
		kinds = 2
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "text")
	case 1:
		return float64(rapid.IntRange(0, 3).Draw(t, "number"))
	case 2:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, anyJSON(t, depth-1))
		}
		return list
	}
	m := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		m[rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")] = anyJSON(t, depth-1)
	}
	return m
}
