package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

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
	short := search.Shortlist(found, q.Limit)
	keys := make([]knowledge.Key, len(short))
	for i, at := range short {
		keys[i] = found[at].Key
	}
	records, err := s.many(ctx, "search records", keys)
	if err != nil {
		return nil, err
	}
	if hits.Hits, err = search.Rank(records, q.Limit); err != nil {
		return nil, s.contractual(ctx, &scanError{err})
	}
	return hits, nil
}

func searchSQL(q *knowledge.SearchQuery, search *knowledge.Search) (string, []any) {
	b := &statement{}
	b.add("s.vector @@ tenet_query($::jsonb)", searchJSON(search))
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

// A searchTerm is a term as tenet_query reads it.
type searchTerm struct {
	Words  []string `json:"w"`
	Prefix bool     `json:"p"`
	Not    bool     `json:"n"`
	Title  bool     `json:"t"`
}

// searchJSON writes a search as tenet_query reads it.
func searchJSON(s *knowledge.Search) string {
	groups := make([][]searchTerm, len(s.Groups))
	for i, g := range s.Groups {
		for _, t := range g {
			groups[i] = append(groups[i], searchTerm(t))
		}
	}
	b, err := json.Marshal(groups)
	if err != nil {
		panic(err) // words and flags can be encoded
	}
	return string(b)
}

// many returns the documents in use that keys name, in that order. All kinds are read in one round
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
				b.Queue(t.manySQL, ids).Query(func(rows pgx.Rows) error {
					return t.records(rows, func(rec *knowledge.Record) { at[rec.Key] = rec })
				})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	records := make([]*knowledge.Record, 0, len(keys))
	for _, k := range keys {
		if rec := at[k]; rec != nil && rec.Active { // it may have been retired between the two statements
			records = append(records, rec)
		}
	}
	return records, nil
}
