package sqlite

import (
	"database/sql"
	"slices"

	"tenet/internal/knowledge"
)

// Bounds of what is suggested.
const (
	maxSuggestions     = 8
	maxSuggestionsEach = 3 // for one condition
)

// suggest looks for conditions that somebody may have meant, if no document meets those of the question: operators keep
// their exact meaning, so nothing is looked for in their place.
func (l *look) suggest() error {
	if l.q.Without != "" || l.bounded { // as in correct; and of a part of the lists nothing can be told
		return nil
	}
	have := map[string]bool{}
	for i := range l.lists {
		have[l.lists[i].term] = true
	}
	for _, x := range l.entries {
		for i := range x.entry.Postings {
			have[x.entry.Postings[i].Term] = true
		}
	}
	for _, d := range l.question.Doubts() {
		texts, err := l.meant(&d, have)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if len(l.suggestions) < maxSuggestions && !slices.Contains(l.suggestions, text) {
				l.suggestions = append(l.suggestions, text)
			}
		}
	}
	return nil
}

// meant returns a condition with those of its words replaced that the index does not have; several, if that is one
// word.
func (l *look) meant(d *knowledge.Doubt, have map[string]bool) ([]string, error) {
	best := make([]string, len(d.Words))
	var words []string
	last, misspelled := 0, 0
	for i, w := range d.Words {
		if slices.ContainsFunc(w.Terms, func(term string) bool { return have[term] }) {
			continue
		}
		var err error
		if words, err = l.instead(d, w.Word); err != nil || len(words) == 0 {
			return nil, err
		}
		best[i], last, misspelled = words[0], i, misspelled+1
	}
	switch misspelled {
	case 0:
		return nil, nil
	case 1:
		var texts []string
		for _, word := range words {
			best[last] = word
			texts = append(texts, d.With(best))
		}
		return texts, nil
	}
	return []string{d.With(best)}, nil
}

// instead returns words that are similar to one of a condition, and that some document has where they are wanted.
func (l *look) instead(d *knowledge.Doubt, word string) ([]string, error) {
	spelling := knowledge.NewValueSpelling(word)
	if d.Mark == "" {
		if !knowledge.Spellable(word) {
			return nil, nil
		}
		spelling = knowledge.NewSpelling(word)
	}
	similar, err := l.similar(word, d.Mark, spelling)
	if err != nil {
		return nil, err
	}
	var words []string
	for _, w := range similar {
		terms := []string{d.Mark + w}
		if d.Mark == "" {
			terms = l.question.Terms(w)
		}
		there, err := l.stands(terms, d.Title)
		if err != nil {
			return nil, err
		}
		if there && len(words) < maxSuggestionsEach {
			words = append(words, w)
		}
	}
	return words, nil
}

// stands reports whether some document has one of some terms, in its title if that is wanted.
func (l *look) stands(terms []string, title bool) (there bool, err error) {
	for _, x := range l.entries {
		if slices.ContainsFunc(x.entry.Postings, func(p knowledge.Posting) bool {
			return slices.Contains(terms, p.Term) && (!title || p.Where.InTitle())
		}) {
			return true, nil
		}
	}
	err = l.query(l.ctx, "search.stands", "SELECT w.documents, g.bits"+ofTerms+" LEFT JOIN search_gone g ON g.chunk = "+
		"c.chunk", []any{asJSON(terms)}, func(r *sql.Rows) error {
		var documents, gone sql.RawBytes
		if there {
			return nil
		}
		if err := r.Scan(&documents, &gone); err != nil {
			return err
		}
		for at, w := range documentList(documents).all() {
			if (!title || w.InTitle()) && (len(gone) == 0 || gone[at/8]&(1<<(at%8)) == 0) {
				there = true
				break
			}
		}
		return nil
	})
	return there, err
}
