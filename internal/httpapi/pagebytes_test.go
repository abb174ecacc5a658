package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

// TestPagesEndAtTheirBytes reads large documents through every answer that has pages: none is longer than its bound and one document,
// and the pages together hold everything, once.
func TestPagesEndAtTheirBytes(t *testing.T) {
	n := newTenet(t, nil)
	const documents, size = 20, 500 << 10
	text := strings.Repeat("Gargantuan words. ", size/len("Gargantuan words. "))
	for i := range documents {
		write := put(fmt.Sprintf("/api/v1/rules/BIG-%02d", i), fmt.Sprintf(`{"category":"security","title":"Big %d","tags":["big"],"description":%q}`, i, text))
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
		{"changes of a kind", "/api/v1/changes?limit=2000&kind=rule&id=BIG-99", "after", documents, func(p *page) string { return p.Position }},
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
				t.Errorf("%d entries behind a first page and %d more, want %d entries on several pages", len(seen), pages, c.want)
			}
		})
	}
}
