package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
)

type searchParams struct {
	Q        string   `query:"q" required:"true" doc:"What to look for, as one would ask. Conditions: \"a phrase\", -not, one OR another, prefix*, title:word, tag:, category:, kind:, id:" maxLength:"8192" example:"parameterized queries"`
	Kind     []string `query:"kind" doc:"The kinds to look through, repeated or separated by commas; all of them when left out" kinds:"searched" example:"rule"`
	Category string   `query:"category" doc:"The id of their category" example:"security"`
	Tag      string   `query:"tag" doc:"A tag that they carry" example:"sql"`
	Language string   `query:"language" doc:"A language of their scope" example:"go"`
	Severity string   `query:"severity" doc:"The severity of rules" enum:"CRITICAL,ERROR,WARNING,INFO" example:"CRITICAL"`
	Limit    int      `query:"limit" doc:"How many hits to return" minimum:"1" maximum:"100" default:"20" example:"5"`
	Cursor   string   `query:"cursor" doc:"Next of the page before, with the same question and filters"`
	Facets   bool     `query:"facets" doc:"True counts hits by kind, category, tag, language, severity" example:"true"`
	Literal  bool     `query:"literal" doc:"True looks for a word that no document has as it was typed, and not for a similar one" example:"false"`
	View     string   `query:"view" doc:"The content of each hit: enough to choose among them, or the whole document" enum:"summary,full" default:"summary" example:"full"`
	Fields   []string `query:"fields" doc:"Fields of the documents to add, several with commas" example:"description"`
	labelsParam
	knownHeader
}

func (h *Handler) searchRoutes() []*route {
	return []*route{{
		method: http.MethodGet, path: "/api/v1/search", id: "search", tag: "search",
		summary: "Find active documents by their text",
		description: "Words are wishes: a document that holds more of them, and rarer ones, comes first; matched " +
			"tells how much of the question the " +
			"first hit holds. Conditions hold for every hit: OR between two words asks for either, a minus in front " +
			"of one " +
			"excludes it, quotes ask for a phrase, a star ends a prefix, title:, tag:, category:, kind: and id: " +
			"look only there.",
		handler: collecting(findDocuments),
		answers: []answer{
			jsonAnswer[hits](http.StatusOK, "The documents that match best, the best first", exampleHits(), "ETag",
				"Tenet-Position", "Link", lackingHeader, labelHeader, confidentialHeader),
			notModified(),
		},
		refusals: []int{http.StatusNotFound},
	}}
}

func (p *searchParams) query(f *faultList) knowledge.SearchQuery {
	q := knowledge.SearchQuery{
		Text: p.Q, Category: p.Category, Tag: p.Tag, Language: p.Language, Severity: p.Severity, Limit: p.Limit,
		Cursor: p.Cursor, Facets: p.Facets, Literal: p.Literal,
	}
	for _, word := range p.Kind {
		k, err := knowledge.ParseKind(word)
		if err != nil {
			f.add("/kind", "%q can't be searched: want one of %s", word, knowledge.KindList(knowledge.SearchKinds()))
			continue
		}
		q.Kinds = append(q.Kinds, k)
	}
	if p.View == "full" && len(p.Fields) > 0 {
		f.add("/fields", "the full view has all fields: leave out view or fields")
	}
	if p.View != "" && p.View != "full" && p.View != "summary" {
		f.add("/view", "%q: want summary or full", p.View)
	}
	kinds := q.Kinds
	if len(kinds) == 0 {
		kinds = knowledge.SearchKinds()
	}
	for _, name := range p.Fields {
		var err error
		known := slices.ContainsFunc(kinds, func(k knowledge.Kind) bool {
			err = knowledge.CheckField(k, name)
			return err == nil
		})
		if !known {
			f.add("/fields", "%s", err)
		}
	}
	return q
}

// ready returns the hits as they are sent: made once for each view as long as the answer stays in memory.
func (p *searchParams) ready(c *call, found *knowledge.Hits) (*ready, error) {
	name := ""
	if p.View == "full" || len(p.Fields) > 0 {
		name = p.View + " " + strings.Join(p.Fields, ",")
	}
	return viewsOf(found.Memo).ready(name, func() (*ready, error) {
		body, err := p.encode(found)
		if err != nil {
			return nil, err
		}
		return withNextPage(c, newReady(body, tagOf(body)), found.Next), nil
	})
}

// encode returns the hits of a search as JSON.
func (p *searchParams) encode(found *knowledge.Hits) ([]byte, error) {
	size := 1024
	for i := range found.Hits {
		hit := &found.Hits[i]
		size += len(hit.Record.Key.ID) + len(hit.Title) + len(hit.Snippet)*9/8 + 16*len(hit.Marks) + 256
		if p.View == "full" {
			size += len(hit.Record.JSON)
		}
	}
	b := append(make([]byte, 0, size), `{"hits":[`...)
	for i := range found.Hits {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendHit(b, &found.Hits[i])
		switch {
		case p.View == "full":
			b = append(append(b, `,"document":`...), found.Hits[i].Record.JSON...)
		case len(p.Fields) > 0:
			some, err := knowledge.PickFields(found.Hits[i].Record.JSON, p.Fields)
			if err != nil {
				return nil, err
			}
			b = append(append(b, `,"fields":`...), some...)
		}
		b = append(b, '}')
	}
	b = append(b, `],"total":`...)
	b = strconv.AppendInt(b, int64(found.Total), 10)
	b = append(b, `,"bounded":`...)
	b = strconv.AppendBool(b, found.Bounded)
	head, err := json.Marshal(struct {
		knowledge.Reading
		Facets []knowledge.FacetCount `json:"facets,omitempty"`
		Next   string                 `json:"next,omitempty"`
		knowledge.LabelAt
	}{found.Reading.Filled(), found.Facets, found.Next, found.At})
	if err != nil {
		return nil, err
	}
	return append(append(b, ','), head[1:]...), nil
}

func appendHit(b []byte, hit *knowledge.Hit) []byte {
	b = append(b, `{"kind":`...)
	b = appendString(b, string(hit.Record.Key.Kind))
	b = append(b, `,"id":`...)
	b = appendString(b, hit.Record.Key.ID)
	b = append(b, `,"score":`...)
	b = strconv.AppendFloat(b, hit.Score, 'f', -1, 64)
	for _, f := range []struct{ name, value string }{
		{"title", hit.Title},
		{"category", hit.Record.Category},
		{"severity", hit.Severity},
	} {
		if f.value != "" || f.name == "title" {
			b = appendString(append(append(append(b, `,"`...), f.name...), `":`...), f.value)
		}
	}
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, hit.Record.Version, 10)
	b = append(b, `,"updated_at":`...)
	b = appendTime(b, hit.Record.Updated)
	b = append(b, `,"snippet":`...)
	b = appendString(b, hit.Snippet)
	b = append(b, `,"marks":[`...)
	for i, m := range hit.Marks {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = strconv.AppendInt(b, int64(m[0]), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(m[1]), 10)
		b = append(b, ']')
	}
	b = append(b, `],"missing":[`...)
	for i, word := range hit.Missing {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, word)
	}
	return append(b, ']')
}

// hits is the answer to a search.
type hits struct {
	AtLabel
	Hits          []hit                  `json:"hits" doc:"What matches, the best first"`
	Total         int                    `json:"total" doc:"How many documents match; with bounded at least so many"`
	Bounded       bool                   `json:"bounded" doc:"True when not everything was looked at, since the question would have cost too much"`
	Matched       string                 `json:"matched" doc:"How much of the question the first hit holds: all of its words, most, some, or none since nothing matches" enum:"all,most,some,none"`
	Required      []string               `json:"required" doc:"The words and conditions that every hit of the page holds"`
	LeftOut       []knowledge.LeftOut    `json:"left_out" doc:"The words that played no part, with the reason"`
	SearchedFor   []knowledge.Correction `json:"searched_for" doc:"Words that no document has, and those that were looked for in their place; literal=true looks for what was typed"`
	AlsoSearched  []knowledge.Equivalent `json:"also_searched_for" doc:"Words of the question for which others were looked for too, which count for less: abbreviations, names of the same thing, English words for those of other languages; none with literal=true"`
	Suggestions   []string               `json:"suggestions" doc:"What may have been meant: words that are similar to those not found, with literal or where PostgreSQL itself is searched; and where nothing matches, conditions such as tag:security for tag:securty"`
	UnknownFields []string               `json:"unknown_fields" doc:"What stands before a colon in the question and is no field: it was looked for as a word"`
	Facets        []knowledge.FacetCount `json:"facets,omitempty" doc:"With facets=true: how many hits have which value, the most frequent twenty of each"`
	Next          string                 `json:"next,omitempty" doc:"The cursor of the next page; none on the last"`
}

// hit is a document that matches.
type hit struct {
	Kind     knowledge.Kind `json:"kind" doc:"The document's kind"`
	ID       string         `json:"id" doc:"The document's id"`
	Score    float64        `json:"score" doc:"Greater is better; comparable within one answer only"`
	Title    string         `json:"title" doc:"Its title or name"`
	Category string         `json:"category,omitempty" doc:"Its category"`
	Severity string         `json:"severity,omitempty" doc:"The severity of a rule" enum:"CRITICAL,ERROR,WARNING,INFO"`
	Version  int64          `json:"version" doc:"Its version"`
	Updated  knowledge.Time `json:"updated_at" doc:"When it was last changed"`
	Snippet  string         `json:"snippet" doc:"The part of the text that shows the most words of the question"`
	Marks    [][]int        `json:"marks" doc:"The words in the snippet: from and to, in bytes of UTF-8"`
	Missing  []string       `json:"missing" doc:"The words of the question that the document does not hold"`
	Document any            `json:"document,omitempty" doc:"With view=full: the document"`
	Fields   map[string]any `json:"fields,omitempty" doc:"With fields: those of the document"`
}

func findDocuments(c *call, p *searchParams, f faultList) error {
	q := p.query(&f)
	if len(f) > 0 {
		_, _, err := q.Check() // what else is wrong is told at once
		f.merge(err)
		return f.err(true)
	}
	at := c.h.position()
	if p.Label != "" {
		at = "" // that is of now
	}
	found, err := hitsOf(c, p.Label, q)
	if err != nil {
		return err
	}
	a, err := p.ready(c, found)
	if err != nil {
		return err
	}
	c.source = found.Source
	c.placed(at)
	c.sendReady(a)
	return nil
}

func exampleHits() any {
	d := exampleStored(knowledge.KindRule)
	return hits{
		Hits: []hit{{
			Kind: knowledge.KindRule, ID: d.Key().ID, Score: 14.2167, Title: d.Text().Title, Category: d.CategoryID(),
			Severity: knowledge.SeverityCritical,
			Version:  1, Updated: exampleTime(), Snippet: "Pass values to SQL as parameters.", Marks: [][]int{{22, 32}},
			Missing: []string{},
		}}, Total: 1, Matched: knowledge.MatchedAll, Required: []string{"parameterized", "queries"},
		LeftOut:     []knowledge.LeftOut{},
		SearchedFor: []knowledge.Correction{}, AlsoSearched: []knowledge.Equivalent{}, Suggestions: []string{},
		UnknownFields: []string{},
	}
}
