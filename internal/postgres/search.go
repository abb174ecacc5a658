package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Search implements [store.Store]: one statement finds the candidates in house order, one reads those worth ranking.
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	q, search, err := q.Check()
	if err != nil {
		return nil, err
	}
	sql, args := searchSQL(&q, search)
	var found []knowledge.Candidate
	// The statement is planned with the words in hand: a rare word comes through the inverted index, a common one along the
	// house order. A plan made without them would be wrong for one of the two.
	err = s.query(ctx, "search", sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...), func(r pgx.Rows) error {
		var c knowledge.Candidate
		var kind string
		if err := r.Scan(&kind, &c.Key.ID, &c.Rank, &c.Title, &c.Tags); err != nil {
			return err
		}
		c.Key.Kind = knowledge.Kind(kind)
		found = append(found, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	hits := &knowledge.Hits{Source: knowledge.SourcePrimary, Hits: []knowledge.Hit{}}
	if len(found) > knowledge.MaxCandidates {
		hits.Bounded, found = true, found[:knowledge.MaxCandidates]
	}
	short := search.Shortlist(found, max(60, 2*q.Limit))
	keys := make([]knowledge.Key, len(short))
	for i, at := range short {
		keys[i] = found[at].Key
	}
	records, err := s.many(ctx, "search records", keys)
	if err != nil {
		return nil, err
	}
	if hits.Hits, err = search.Rank(records, q.Limit); err != nil {
		return nil, &scanError{err}
	}
	return hits, nil
}

func searchSQL(q *knowledge.SearchQuery, search *knowledge.Search) (string, []any) {
	b := &statement{}
	b.add("s.vector @@ to_tsquery('tenet', $)", tsquery(search))
	kinds := make([]string, len(q.Kinds))
	for i, k := range q.Kinds {
		kinds[i] = string(k)
	}
	order := "s.rank, s.id, s.kind"
	switch {
	case len(kinds) == 1:
		b.add("s.kind = $", kinds[0])
		order = "s.kind, s.rank, s.id"
	case len(kinds) < len(knowledge.SearchKinds()):
		b.add("s.kind = ANY ($)", kinds)
	}
	if q.Category != "" {
		b.add("s.category = $", q.Category)
	}
	if q.Severity != "" {
		tier := int64(slices.Index(knowledge.Severities(), q.Severity))
		b.add("s.kind = 'rule' AND s.rank >= $ AND s.rank < $", tier*tierSize, (tier+1)*tierSize)
	}
	for _, f := range []struct{ facet, value string }{{"tag", q.Tag}, {"language", q.Language}} {
		if f.value != "" {
			b.add("EXISTS (SELECT FROM facets f WHERE f.kind = s.kind AND f.facet = $ AND f.value = $ AND f.rank = s.rank AND f.id = s.id)",
				f.facet, f.value)
		}
	}
	return fmt.Sprintf("SELECT s.kind, s.id, s.rank, s.title, s.tags FROM search s WHERE %s ORDER BY %s LIMIT %d",
		b.conditions(), order, knowledge.MaxCandidates+1), b.args
}

// tsquery writes a search as to_tsquery reads it. Words hold letters and digits only, so quoting them is enough.
func tsquery(s *knowledge.Search) string {
	groups := make([]string, len(s.Groups))
	for i, g := range s.Groups {
		terms := make([]string, len(g))
		for j := range g {
			terms[j] = tsterm(&g[j])
		}
		groups[i] = "(" + strings.Join(terms, " | ") + ")"
	}
	return strings.Join(groups, " & ")
}

func tsterm(t *knowledge.Term) string {
	words := make([]string, len(t.Words))
	for i, w := range t.Words {
		marks := ""
		if t.Prefix && i == len(t.Words)-1 {
			marks = "*"
		}
		if t.Title {
			marks += "A"
		}
		words[i] = "'" + w + "'"
		if marks != "" {
			words[i] += ":" + marks
		}
	}
	term := strings.Join(words, " <-> ")
	if len(words) > 1 {
		term = "(" + term + ")"
	}
	if t.Not {
		return "!" + term
	}
	return term
}

// many returns the documents that keys name, in that order, without those that are gone. All kinds are read in one round
// trip.
func (s *Store) many(ctx context.Context, name string, keys []knowledge.Key) ([]*knowledge.Record, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	own, cancel, err := s.guard(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	at := make(map[knowledge.Key]*knowledge.Record, len(keys))
	err = s.batch(own, ctx, name, func(b *pgx.Batch) {
		for _, kind := range knowledge.Kinds() {
			var ids []string
			for _, k := range keys {
				if k.Kind == kind {
					ids = append(ids, k.ID)
				}
			}
			if t := tableOf(kind); len(ids) > 0 {
				b.Queue("SELECT "+t.columns+" FROM "+t.name+" t WHERE t."+t.id+" = ANY ($1)", ids).Query(func(rows pgx.Rows) error {
					for rows.Next() {
						rec, err := t.record(rows)
						if err != nil {
							return err
						}
						at[rec.Key] = rec
					}
					return rows.Err()
				})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	records := make([]*knowledge.Record, 0, len(keys))
	for _, k := range keys {
		if rec := at[k]; rec != nil {
			records = append(records, rec)
		}
	}
	return records, nil
}
