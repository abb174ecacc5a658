package httpapi

import (
	"net/http"
	"strconv"

	"tenet/internal/knowledge"
)

type searchParams struct {
	Q        string   `query:"q" required:"true" doc:"What to look for: words, \"a phrase\", -not, one OR another, prefix*, title:word" maxLength:"1024" example:"parameterized queries"`
	Kind     []string `query:"kind" doc:"The kinds to look through, repeated or separated by commas; all four when left out" enum:"rule,practice,template,category" example:"rule"`
	Category string   `query:"category" doc:"The id of their category" example:"security"`
	Tag      string   `query:"tag" doc:"A tag that they carry" example:"sql"`
	Language string   `query:"language" doc:"A language of their scope" example:"go"`
	Severity string   `query:"severity" doc:"The severity of rules" enum:"CRITICAL,ERROR,WARNING,INFO" example:"CRITICAL"`
	Limit    int      `query:"limit" doc:"How many hits the answer holds" minimum:"1" maximum:"100" default:"20" example:"5"`
	knownHeader
}

func (h *Handler) searchRoutes() []*route {
	return []*route{{
		method: http.MethodGet, path: "/api/v1/search", id: "search", tag: "search",
		summary: "Find documents in use by their text",
		description: "Every word must stand somewhere in the document; OR between two words asks for either, a minus in front of one " +
			"excludes it, quotes ask for a phrase, a star ends a prefix, title: looks only there. Of many matches the first 500 in " +
			"house order are ranked; bounded says that there were more.",
		handler: collecting(h.search),
		answers: []answer{
			jsonAnswer[hits](http.StatusOK, "The documents that match best, the best first", exampleHits(), "ETag"),
			notModified(),
		},
	}}
}

func (p *searchParams) query(f *faultList) knowledge.SearchQuery {
	q := knowledge.SearchQuery{
		Text: p.Q, Category: p.Category, Tag: p.Tag, Language: p.Language, Severity: p.Severity, Limit: p.Limit,
	}
	for _, word := range p.Kind {
		k, err := knowledge.ParseKind(word)
		if err != nil {
			f.add("/kind", "%q can't be searched: want rule, practice, template or category", word)
			continue
		}
		q.Kinds = append(q.Kinds, k)
	}
	return q
}

func appendHit(b []byte, hit *knowledge.Hit) []byte {
	b = append(b, `{"kind":`...)
	b = appendString(b, string(hit.Record.Key.Kind))
	b = append(b, `,"id":`...)
	b = appendString(b, hit.Record.Key.ID)
	b = append(b, `,"score":`...)
	b = strconv.AppendFloat(b, hit.Score, 'f', -1, 64)
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
	b = append(b, `],"document":`...)
	b = append(b, hit.Record.JSON...)
	return append(b, '}')
}
