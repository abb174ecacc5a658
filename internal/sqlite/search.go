package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// tieMatches is how many more matches are looked at where the bound falls among documents whose places don't tell their
// order.
const tieMatches = 2000

// Search returns the documents in use that match a text, the best first.
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	q, question, err := q.Check()
	if err != nil {
		return nil, err
	}
	hits := &knowledge.Hits{Hits: []knowledge.Hit{}, Source: s.source}
	var records []*knowledge.Record
	err = s.agree(ctx, func(v view) error {
		list, bounded, err := v.candidates(ctx, question, &q)
		if err != nil || len(list) == 0 {
			return err
		}
		hits.Bounded = bounded
		records, err = v.shortlist(ctx, list, question.Shortlist(list, q.Limit))
		return err
	})
	if err != nil || len(records) == 0 {
		return hits, err
	}
	if hits.Hits, err = question.Rank(records, q.Limit); err != nil {
		return nil, s.translate(ctx, fmt.Errorf("rank the matches: %w", err))
	}
	return hits, nil
}

// candidates returns the first matches in house order, and whether there are more.
func (v view) candidates(ctx context.Context, question *knowledge.Search, q *knowledge.SearchQuery) ([]knowledge.Candidate, bool, error) {
	low, high := int64(0), int64(math.MaxInt64)
	if q.Severity != "" {
		l, h := severityRanks(q.Severity)
		low, high = pressed(l)<<placeTieBits, (pressed(h)+1)<<placeTieBits
	}
	known, cut, err := v.beginnings(ctx, question)
	if err != nil {
		return nil, false, err
	}
	words := match(question, q, known)
	list, last, err := v.matches(ctx, words, q, low, high, knowledge.MaxCandidates+1)
	if err != nil || len(list) <= knowledge.MaxCandidates {
		return list, cut, err
	}
	// Among documents of one rank whose ids begin alike the places are as good as random: all of these are looked at, up to
	// a bound, so that the cut is where the order has it.
	more, _, err := v.matches(ctx, words, q, last+1, min(high, (last>>placeHashBits+1)<<placeHashBits), tieMatches)
	if err != nil {
		return nil, false, err
	}
	list = append(list, more...)
	slices.SortStableFunc(list, func(a, b knowledge.Candidate) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Key.ID, b.Key.ID), cmp.Compare(a.Key.Kind, b.Key.Kind))
	})
	return list[:knowledge.MaxCandidates], true, nil
}

// maxBeginnings is how many words a beginning stands for at most, in the order of the alphabet.
const maxBeginnings = 512

// beginnings returns the words that begin as the question asks for, and whether there are more than are looked for.
func (v view) beginnings(ctx context.Context, question *knowledge.Search) (map[string][]string, bool, error) {
	known, cut := map[string][]string{}, false
	for _, g := range question.Groups {
		for i := range g {
			if !g[i].Prefix {
				continue
			}
			word := g[i].Words[len(g[i].Words)-1]
			list := []string{}
			err := v.query(ctx, "search.words", beginningQuery, []any{fold(word), maxBeginnings + 1}, func(r *sql.Rows) error {
				var w string
				err := r.Scan(&w)
				list = append(list, w)
				return err
			})
			if err != nil {
				return nil, false, err
			}
			cut = cut || len(list) > maxBeginnings
			known[word] = list[:min(len(list), maxBeginnings)]
		}
	}
	return known, cut, nil
}

// beginningQuery goes from word to word: the table has a row for every place where a word stands, and only the first of each is
// looked at.
const beginningQuery = "WITH RECURSIVE w (term) AS (SELECT (SELECT term FROM search_terms WHERE term >= ?1 LIMIT 1) " +
	"UNION ALL SELECT (SELECT term FROM search_terms WHERE term >= w.term || char(1) LIMIT 1) FROM w WHERE w.term < ?1 || char(0x10ffff)) " +
	"SELECT term FROM w WHERE term < ?1 || char(0x10ffff) LIMIT ?2"

// matches returns matches from a place to before another, and the place of the last one.
func (v view) matches(ctx context.Context, words string, q *knowledge.SearchQuery, low, high int64, limit int) ([]knowledge.Candidate, int64, error) {
	var list []knowledge.Candidate
	var last int64
	query, args := matchQuery(words, q, low, high, limit)
	err := v.query(ctx, "search.matches", query, args, func(r *sql.Rows) error {
		var c knowledge.Candidate
		err := r.Scan(&last, &c.Key.Kind, &c.Key.ID, &c.Rank, &c.Title, &c.Tags)
		list = append(list, c)
		return err
	})
	return list, last, err
}

// matchQuery returns the statement for matches from a place to before another.
func matchQuery(words string, q *knowledge.SearchQuery, low, high int64, limit int) (string, []any) {
	var b strings.Builder
	b.WriteString("SELECT s.place, s.kind, s.id, s.rank, s.title, s.tags FROM search_words CROSS JOIN search s ON s.place = search_words.rowid" +
		" WHERE search_words MATCH ? AND search_words.rowid >= ? AND search_words.rowid < ?")
	args := []any{words, low, high}
	if len(q.Kinds) < len(knowledge.SearchKinds()) {
		b.WriteString(" AND s.kind IN (SELECT value FROM json_each(?))")
		args = append(args, asJSON(q.Kinds))
	}
	if q.Severity != "" {
		b.WriteString(" AND s.kind = 'rule'")
	}
	if q.Category != "" {
		b.WriteString(" AND s.category = ?")
		args = append(args, q.Category)
	}
	for _, f := range []facet{{"tag", q.Tag}, {"language", q.Language}} {
		if f.value != "" {
			b.WriteString(" AND EXISTS (SELECT 1 FROM facets f WHERE f.kind = s.kind AND f.facet = ? AND f.value = ? AND f.active = 1" +
				" AND f.rank = s.rank AND f.id = s.id)")
			args = append(args, f.name, f.value)
		}
	}
	b.WriteString(" ORDER BY search_words.rowid LIMIT ?")
	return b.String(), append(args, limit)
}

// shortlist reads some of the candidates whole.
func (v view) shortlist(ctx context.Context, list []knowledge.Candidate, chosen []int) ([]*knowledge.Record, error) {
	ids := map[knowledge.Kind][]string{}
	for _, i := range chosen {
		k := list[i].Key
		ids[k.Kind] = append(ids[k.Kind], k.ID)
	}
	records := make([]*knowledge.Record, 0, len(chosen))
	for _, kind := range knowledge.SearchKinds() {
		if len(ids[kind]) == 0 {
			continue
		}
		tab := tableOf(kind)
		err := v.query(ctx, "search.records", "SELECT "+tab.columns()+" FROM "+tab.name+" WHERE "+tab.id+" IN (SELECT value FROM json_each(?))",
			[]any{asJSON(ids[kind])}, func(r *sql.Rows) error {
				rec, err := scanRecord(r, kind, v.f.source)
				records = append(records, rec)
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return records, nil
}

// asJSON returns a list as one argument of a statement.
func asJSON[T any](list []T) string {
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // ids and kinds can be encoded
	}
	return string(b)
}
