package sqlite

import (
	"strings"

	"tenet/internal/knowledge"
)

// Columns of the full-text table in which a term is looked for.
const (
	textColumns   = "{title tags lead body}"
	prefixColumns = "{title tags lead body title_forms forms}"
)

// match returns the full-text question of a search. Words hold letters, digits and marks only, and stand in quotes: nothing
// of what a caller wrote can be read as an operator. Known holds the words that begin with each beginning that is asked for.
func match(s *knowledge.Search, q *knowledge.SearchQuery, known map[string][]string) string {
	var wanted, unwanted []string
	for _, g := range s.Groups {
		terms := make([]string, len(g))
		for i := range g {
			terms[i] = matchTerm(&g[i], known)
		}
		if g[0].Not {
			unwanted = append(unwanted, terms...)
			continue
		}
		wanted = append(wanted, "("+strings.Join(terms, " OR ")+")")
	}
	// The filters narrow the matches while words are matched; they let too much through and are checked again on the rows.
	for _, text := range []string{q.Category, q.Tag} {
		if p := phrase(knowledge.Words(text)); p != "" {
			wanted = append(wanted, "(tags : "+p+")")
		}
	}
	if q.Language != "" {
		wanted = append(wanted, "(facets : "+quote(languageMark(q.Language))+")")
	}
	if len(q.Kinds) < len(knowledge.SearchKinds()) {
		kinds := make([]string, len(q.Kinds))
		for i, k := range q.Kinds {
			kinds[i] = quote(kindMark(k))
		}
		wanted = append(wanted, "(facets : ("+strings.Join(kinds, " OR ")+"))")
	}
	m := "(" + strings.Join(wanted, " AND ") + ")"
	if len(unwanted) > 0 {
		m += " NOT (" + strings.Join(unwanted, " OR ") + ")"
	}
	return m
}

func matchTerm(t *knowledge.Term, known map[string][]string) string {
	text, forms := textColumns, prefixColumns
	if t.Title {
		text, forms = "title", "{title title_forms}"
	}
	if !t.Prefix {
		return "(" + text + " : " + phrase(t.Words) + ")"
	}
	last := len(t.Words) - 1
	begin := beginning(t.Words[last], known)
	if last == 0 {
		return "(" + forms + " : " + begin + ")"
	}
	// The stem of the last word may be shorter than the beginning that is asked for. The full words have no neighbours, so
	// such a phrase is found where its first words stand together and the last one anywhere.
	before := phrase(t.Words[:last])
	return "((" + text + " : " + before + ") AND (" + forms + " : " + begin + "))"
}

// beginning returns the words that begin in some way, or where none is known the question for them. Left to itself SQLite would
// collect all their matches before it hands out the first.
func beginning(word string, known map[string][]string) string {
	list := known[word]
	if len(list) == 0 {
		return quote(word) + " *"
	}
	quoted := make([]string, len(list))
	for i, w := range list {
		quoted[i] = quote(w)
	}
	return "(" + strings.Join(quoted, " OR ") + ")"
}

// phrase returns words that stand next to each other, by their stems.
func phrase(list []string) string {
	if len(list) == 0 {
		return ""
	}
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = stem(fold(w))
	}
	return quote(strings.Join(out, " "))
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
