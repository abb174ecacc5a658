package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
)

// Bounds of what is suggested.
const (
	maxMisspelled      = 4   // words of a question that are looked at
	maxTitles          = 500 // that are read for each
	maxSuggestionsEach = 3
	sureLetters        = 3 // at the beginning of a word
)

// reading says how a question was read that has these hits.
func reading(ctx context.Context, s *Store, q *knowledge.SearchQuery, question *knowledge.Question,
	scorer *knowledge.Scorer, page []knowledge.Found, frequency []int,
) (knowledge.Reading, error) {
	masks := make([]uint64, len(page))
	for i := range page {
		masks[i] = page[i].Mask
	}
	r := scorer.Reading(masks, frequency)
	similar, err := suggest(ctx, s, q, question, frequency)
	r.Suggestions = append(r.Suggestions, similar...)
	return r, err
}

// suggest returns words of titles and tags that are similar to words that no document has. All words of the index
// would have to be counted for more: an instance with a mirror corrects by those.
func suggest(ctx context.Context, s *Store, q *knowledge.SearchQuery, question *knowledge.Question,
	frequency []int,
) ([]string, error) {
	if q.Without != "" { // a similar word may be one of what is hidden
		return nil, nil
	}
	var words, queries []string
	for _, slot := range question.Doubtful() {
		word := strings.ToLower(question.Slots[slot].Word)
		if frequency[slot] == 0 && knowledge.Spellable(word) && len(words) < maxMisspelled {
			head := string([]rune(word)[:sureLetters])
			words = append(words, word)
			queries = append(queries, slotQuery(&knowledge.Slot{Words: [][]string{nil}, Prefix: head, Title: true}))
		}
	}
	if len(words) == 0 {
		return nil, nil
	}
	spellings := make([]*knowledge.Spelling, len(words))
	for i := range words {
		spellings[i] = knowledge.NewSpelling(words[i])
	}
	err := s.query(ctx, "search similar", "SELECT w.n, s.title || ' ' || s.tags FROM unnest($1::text[]) WITH ORDINALITY "+
		"AS w (q, n) CROSS JOIN LATERAL (SELECT title, tags FROM search WHERE vector @@ w.q::tsquery LIMIT $2) AS s",
		[]any{queries, maxTitles}, func(r pgx.Rows) error {
			var n int
			var text string
			err := r.Scan(&n, &text)
			for _, word := range knowledge.Words(text) {
				spellings[n-1].Try([]byte(word))
			}
			return err
		})
	var list []string
	for _, c := range spellings {
		for i, word := range c.Best() {
			if i < maxSuggestionsEach && !slices.Contains(list, word) {
				list = append(list, word)
			}
		}
	}
	return list, err
}
