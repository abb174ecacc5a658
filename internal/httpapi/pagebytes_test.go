package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

// TestPagesEndAtTheirBytes reads large documents through every answer that has pages: none is longer than its bound and
// one document, and the pages together hold everything, once.
func TestPagesEndAtTheirBytes(t *testing.T) {
	n := newTenet(t, nil)
	const documents, size = 20, 500 << 10
	text := strings.Repeat("Gargantuan words. ", size/len("Gargantuan words. "))
	for i := range documents {
		write := put(fmt.Sprintf("/api/v1/rules/BIG-%02d", i),
			fmt.Sprintf(`{"category":"security","title":"Big %d","tags":["big"],"description":%q}`, i, text))
		if r := n.do(write); r.status != http.StatusCreated {
			t.Fatalf("%d %.300s", r.status, r.body)
		}
		write.path = "/api/v1/rules/BIG-99" // whose history is long
		if r := n.do(write); r.status >= http.StatusBadRequest {
			t.Fatalf("%d %.300s", r.status, r.body)
		}
	}
	type page struct {
		Items, Changes, Hits []json.RawMessage
		Next                 json.RawMessage
		Position             string
	}
	for _, c := range []struct {
		name, first, param string
		want               int
		next               func(p *page) string
	}{
		{"a list", "/api/v1/rules?limit=200&tag=big", "cursor", documents + 1, nil},
		{"a list by title", "/api/v1/rules?limit=200&active=any&sort=title&tag=big", "cursor", documents + 1, nil},
		{"a search", "/api/v1/search?q=gargantuan&limit=50&view=full", "cursor", documents + 1, nil},
		{"a history", "/api/v1/rules/BIG-99/history?limit=200", "before", documents, nil},
		{"changes", "/api/v1/changes?limit=2000", "after", int(n.tail()), func(p *page) string { return p.Position }},
		{
			"changes of a kind", "/api/v1/changes?limit=2000&kind=rule&id=BIG-99", "after", documents,
			func(p *page) string { return p.Position },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen, pages := map[string]bool{}, 0
			for path := c.first; ; pages++ {
				r := n.do(get(path))
				if r.status != http.StatusOK {
					t.Fatalf("%s: %d %.300s", path, r.status, r.body)
				}
				if most := knowledge.MaxPageBytes + knowledge.MaxDocument; len(r.body) > most {
					t.Errorf("a page of %d bytes: at most %d", len(r.body), most)
				}
				var p page
				if err := json.Unmarshal(r.body, &p); err != nil {
					t.Fatal(err)
				}
				part := append(append(p.Items, p.Changes...), p.Hits...)
				for _, one := range part {
					if seen[string(one)] {
						t.Fatalf("%.80s comes twice", one)
					}
					seen[string(one)] = true
				}
				next := strings.Trim(string(p.Next), `"`)
				if c.next != nil {
					next = c.next(&p)
				}
				if next == "" || len(part) == 0 {
					break
				}
				path = c.first + "&" + c.param + "=" + next
			}
			if pages < 1 || len(seen) != c.want {
				t.Errorf("%d entries behind a first page and %d more, want %d entries on several pages", len(seen),
					pages, c.want)
			}
		})
	}
}

// TestEveryListHasPages asks every route that takes a limit, as the table of routes has them: none takes more than its
// limit, and each says where the next page begins.
func TestEveryListHasPages(t *testing.T) {
	n := newTenet(t, nil)
	pathless := map[string]string{"GET /api/v1/jobs/{id}/runs": "its runs are few, and older ones go by retention"}
	lists := 0
	for _, rt := range n.h.routes {
		if rt.method != http.MethodGet || rt.handler.params == nil {
			continue
		}
		limit, ok := limitOf(rt.handler.params)
		if !ok {
			continue
		}
		lists++
		path := strings.NewReplacer("{id}", sampleOf(rt)).Replace(rt.path)
		if rt.id == "search" {
			path += "?q=sql"
		}
		with := func(n int) string {
			return path + map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "limit=" +
				strconv.Itoa(n)
		}
		if r := n.do(get(with(limit + 1))); r.status != http.StatusBadRequest &&
			r.status != http.StatusUnprocessableEntity {
			t.Errorf("%s takes a limit of %d, one more than it says: %d %.200s", rt.name, limit+1, r.status, r.body)
		}
		if _, none := pathless[rt.name]; none {
			continue
		}
		if !pages(rt) {
			t.Errorf("the answer of %s has neither next nor a position to go on from", rt.name)
		}
	}
	if lists < 20 {
		t.Errorf("%d routes with a limit were found: the table is read wrongly", lists)
	}
}

// limitOf returns the largest limit that a route takes, as its documentation says; false for a route without one.
func limitOf(params reflect.Type) (most int, ok bool) {
	for _, f := range reflect.VisibleFields(params) {
		if name, _, _ := strings.Cut(f.Tag.Get("query"), ","); name == "limit" {
			most, err := strconv.Atoi(f.Tag.Get("maximum"))
			return most, err == nil
		}
	}
	return 0, false
}

func sampleOf(rt *route) string {
	if rt.kind != "" {
		return exampleID(rt.kind)
	}
	return "log.head"
}

// pages reports whether the answer of a route says where the next page begins.
func pages(rt *route) bool {
	for i := range rt.answers {
		if rt.answers[i].body == nil || rt.answers[i].status != http.StatusOK {
			continue
		}
		body := rt.answers[i].body
		if body.Kind() != reflect.Struct {
			return false
		}
		for _, f := range reflect.VisibleFields(body) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name == "next" || name == "position" {
				return true
			}
		}
	}
	return false
}
