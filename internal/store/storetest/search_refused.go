package storetest

import (
	"fmt"
	"strings"

	"tenet/internal/knowledge"
)

func badSearches(s *suite) {
	for what, c := range map[string]struct {
		q       knowledge.SearchQuery
		pointer string
	}{
		"nothing":         {knowledge.SearchQuery{}, "/q"},
		"spaces":          {knowledge.SearchQuery{Text: "  \t "}, "/q"},
		"only signs":      {knowledge.SearchQuery{Text: "*** ((("}, "/q"},
		"only exclusions": {knowledge.SearchQuery{Text: "-a -b"}, "/q"},
		"too long":        {knowledge.SearchQuery{Text: strings.Repeat("a", knowledge.MaxSearchText+1)}, "/q"},
		"many conditions": {knowledge.SearchQuery{Text: manyConditions()}, "/q"},
		"a cursor":        {knowledge.SearchQuery{Text: "a", Cursor: "AAAA"}, "/cursor"},
		"a NUL":           {knowledge.SearchQuery{Text: "a\x00b"}, "/q"},
		"invalid UTF-8":   {knowledge.SearchQuery{Text: "a\xffb"}, "/q"},
		"a kind": {
			knowledge.SearchQuery{Text: "a", Kinds: []knowledge.Kind{knowledge.KindPrincipal}},
			"/kind",
		},
		"another kind": {
			knowledge.SearchQuery{Text: "a", Kinds: []knowledge.Kind{knowledge.KindViolation}},
			"/kind",
		},
		"a limit":    {knowledge.SearchQuery{Text: "a", Limit: knowledge.MaxHits + 1}, "/limit"},
		"no limit":   {knowledge.SearchQuery{Text: "a", Limit: -1}, "/limit"},
		"a severity": {knowledge.SearchQuery{Text: "a", Severity: "LOUD"}, "/severity"},
		"a tag":      {knowledge.SearchQuery{Text: "a", Tag: "x\x00"}, "/tag"},
	} {
		_, err := s.s.Search(s.ctx, c.q)
		s.badQuery("a search for "+what, err, c.pointer)
	}
}

// manyConditions is a question with more conditions than there may be.
func manyConditions() string {
	var b strings.Builder
	for i := range knowledge.MaxConditions + 1 {
		fmt.Fprintf(&b, "word%d* ", i)
	}
	return b.String()
}
