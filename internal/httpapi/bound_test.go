package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store/storetest"
)

// TestASearchThatWouldReadTooMuchSaysSo asks for a word of every document where lists of one kilobyte are read: what is
// rare is found, what is left out is named, and filters and exclusions hold as ever.
func TestASearchThatWouldReadTooMuchSaysSo(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{SearchBytes: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	const many = 600
	words := make([]string, 40)
	for i := range words {
		words[i] = fmt.Sprintf("v%02d", i)
	}
	ops := make([]knowledge.Op, 0, many+2)
	for _, id := range []string{"plain", "special"} {
		ops = append(ops, knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = id }),
			knowledge.NoVersion))
	}
	for i := range many {
		ops = append(ops, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Title, r.Category = fmt.Sprintf("R-%03d", i), "Everywhere", "plain"
			r.Description, r.Tags = "Something.", nil
			if i < 3 {
				r.Title = "Everywhere a walrus"
			}
			if i == 3 || i == 4 {
				r.Description = strings.Join(words[(i-3)*len(words)/2:], " ")
			}
			if i == 0 {
				r.Category = "special"
			}
		}), knowledge.NoVersion))
	}
	if _, err := s.Apply(t.Context(), knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "test", Ops: ops,
	}); err != nil {
		t.Fatal(err)
	}
	n := newTenet(t, func(o *Options) { o.Store = access.New(s, nil, nil) })
	for _, c := range []struct {
		query, cut string
		bounded    bool
		total      int
	}{
		{"walrus", "", false, 3},
		{"walrus everywhere", "everywhere", true, 3},
		{"walrus everywhere&kind=rule", "everywhere", true, 3},
		{"walrus everywhere&category=plain", "everywhere", true, 2},
		{"walrus everywhere -category:plain", "everywhere", true, 1},
		{"walrus OR everywhere", "", true, 3},
		{"v3*", "", false, 2},
		{"v*", "", true, 1}, // the words from v16 on are too many
	} {
		q, err := url.ParseQuery("q=" + c.query)
		if err != nil {
			t.Fatal(err)
		}
		r := n.do(get("/api/v1/search?" + q.Encode()))
		var got struct {
			Bounded     bool
			Total       int
			LeftOut     []knowledge.LeftOut    `json:"left_out"`
			SearchedFor []knowledge.Correction `json:"searched_for"`
		}
		if err := json.Unmarshal(r.body, &got); err != nil || r.status != http.StatusOK {
			t.Fatalf("%s: %d, %v: %s", c.query, r.status, err, r.body)
		}
		if got.Bounded != c.bounded || got.Total != c.total || len(got.SearchedFor) > 0 {
			t.Errorf("%s: %s, want bounded %v and %d hits", c.query, r.body, c.bounded, c.total)
		}
		if c.cut != "" && (len(got.LeftOut) != 1 || got.LeftOut[0] != (knowledge.LeftOut{
			Word: c.cut, Why: knowledge.WhyCommon,
		})) {
			t.Errorf("%s: left out is %+v, want %s", c.query, got.LeftOut, c.cut)
		}
	}
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "walrus everywhere", Without: "plain"})
	if err != nil || !hits.Bounded || hits.Total != 1 {
		t.Errorf("without a confidential category: %+v, %v, want 1 hit", hits, err)
	}
}
