package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
)

// verifyPlaces checks that lists and searches find exactly the documents that are there: that the rows by tag and
// language, and those of searches with their words, are those that the documents make.
func verifyPlaces(ctx context.Context, s *Store) error {
	for _, d := range knowledge.Described() {
		t := tableOf(d.Kind)
		if knowledge.CommonOf(d.New()) != nil {
			if err := misplaced(ctx, s, t, "facets", facetsDifferSQL(t)); err != nil {
				return err
			}
		}
		if err := misplaced(ctx, s, t, "searched", searchedSQL(d, t)); err != nil {
			return err
		}
		if !d.Searched {
			continue
		}
		if err := verifyWords(ctx, s, t); err != nil {
			return err
		}
	}
	return nil
}

// misplaced runs a statement that names the first document which lists or searches find otherwise than it says.
func misplaced(ctx context.Context, s *Store, t *table, name, sql string) error {
	var found error
	err := s.query(ctx, "verify."+name+"."+t.name, sql, []any{string(t.kind)}, func(r pgx.Rows) error {
		var why string
		err := r.Scan(&why)
		found = &TamperError{Why: why, index: true}
		return err
	})
	if err != nil {
		return err
	}
	return found
}

// facetsDifferSQL compares the rows by tag and language of a kind with its documents.
func facetsDifferSQL(t *table) string {
	made := "SELECT t." + t.id + " AS id, f.facet, f.value, t.rank FROM " + t.name +
		" t, tenet_facets(t.tags, t.scope) AS f WHERE " + t.inUse
	const there = "SELECT id, facet, value, rank FROM facets WHERE kind = $1"
	return "SELECT 'lists by tag or language do not find ' || $1 || '/' || d.id || ' where its document says' FROM (" +
		"(" + made + " EXCEPT " + there + ") UNION ALL (" + there + " EXCEPT " + made + ")) AS d LIMIT 1"
}

// searchedSQL finds active documents of a kind that have no row for searches, rows of other documents, and rows that
// show another title, category, place or tags.
func searchedSQL(d *knowledge.Description, t *table) string {
	if !d.Searched {
		return "SELECT $1 || '/' || s.id || ' is found by searches, and no document of its kind is' FROM search s " +
			"WHERE s.kind = $1 LIMIT 1"
	}
	category, tags := "''", "t."+t.id
	if knowledge.CommonOf(d.New()) != nil {
		category, tags = "t.category", "tenet_tags(t."+t.id+", t.category, t.tags)"
	}
	return fmt.Sprintf(`SELECT CASE WHEN s.id IS NULL THEN $1 || '/' || d.id || ' is active, and no search finds it'
	WHEN d.id IS NULL THEN $1 || '/' || s.id || ' is found by searches, and is not active'
	ELSE 'searches do not find ' || $1 || '/' || d.id || ' by what its document says' END
FROM (SELECT t.%s AS id, %s AS title, %s AS category, t.rank, %s AS tags FROM %s t WHERE %s) AS d
FULL JOIN (SELECT * FROM search WHERE kind = $1) AS s ON s.id = d.id
WHERE s.id IS NULL OR d.id IS NULL OR (s.title, s.category, s.rank, s.tags) <> (d.title, d.category, d.rank, d.tags)
LIMIT 1`, t.id, "t."+d.TitleField, category, tags, t.name, t.inUse)
}

// wordsPage is the number of documents in one read of the words of searches.
const wordsPage = 200

// verifyWords compares the words that searches know of the documents of a kind with those of their texts.
func verifyWords(ctx context.Context, s *Store, t *table) error {
	sql := "SELECT tsvectorsend(s.vector), " + t.columns + " FROM " + t.name +
		" t JOIN search s ON s.kind = $1 AND s.id = t." + t.id + " WHERE " + t.inUse +
		" AND t." + t.id + " > $2 ORDER BY t." + t.id + " LIMIT $3"
	for after, n := "", wordsPage; n == wordsPage; {
		n = 0
		odd := map[string]string{} // vectors by id, which lack words that the program knows
		err := s.query(ctx, "verify.words."+t.name, sql, []any{string(t.kind), after, wordsPage}, func(r pgx.Rows) error {
			var stored []byte
			rec, err := t.record(first{r, &stored})
			if err != nil {
				return err
			}
			doc, err := rec.Document()
			if err != nil {
				return &scanError{err}
			}
			n, after = n+1, rec.Key.ID
			entry := knowledge.NewEntry(doc)
			if string(vector(entry)) != string(stored) && !covers(stored, entry) {
				odd[after] = string(stored)
			}
			return nil
		})
		if err == nil && len(odd) > 0 {
			err = verifyServerWords(ctx, s, t, odd)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// covers reports whether a vector that the program of today has not made has all words of a document that its maker
// knew: one of an older program, which may still run, has further words, marks and positions, and may lack names with a
// sign in them. One of the program of today has no others.
func covers(stored []byte, e *knowledge.Entry) bool {
	words := map[string]bool{}
	for rest := stored[min(4, len(stored)):]; len(rest) > 0; {
		word, more, _ := bytes.Cut(rest, []byte{0})
		if len(more) < 2 {
			return false
		}
		words[string(word)] = true
		positions := int(binary.BigEndian.Uint16(more))
		rest = more[min(2+2*positions, len(more)):]
	}
	if words[formMark] {
		return false
	}
	for i := range e.Postings {
		p := &e.Postings[i]
		if len(p.Places) > 0 && !words[p.Term] && !words[knowledge.BareStem(p.Term)] &&
			knowledge.FormerTerms(p.Term) == nil {
			return false
		}
	}
	return true
}

// A first is a row with one column before those that its reader knows.
type first struct {
	pgx.Rows
	column any
}

// Scan implements [pgx.Rows].
func (r first) Scan(into ...any) error { return r.Rows.Scan(append([]any{r.column}, into...)...) }

// verifyServerWords compares vectors with those that the server makes itself: of what a hand has changed, of what was
// restored, and of very long texts. It lets the server make them, in a transaction that is rolled back.
func verifyServerWords(ctx context.Context, s *Store, t *table, stored map[string]string) error {
	var ids []string
	for id := range stored {
		ids = append(ids, id)
	}
	own, cancel, err := s.guard(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	var found error
	err = pgx.BeginFunc(own, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(own, "SELECT tenet_hold($1, $2)", string(t.kind), ids); err != nil {
			return err
		}
		before, err := vectorsOf(own, tx, t, ids)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(own, "SELECT tenet_index($1, $2, NULL, $2)", string(t.kind), ids); err != nil {
			return err
		}
		made, err := vectorsOf(own, tx, t, ids)
		if err != nil {
			return err
		}
		for id, words := range stored {
			// What is no longer as it was read, somebody has written since.
			if before[id] == words && made[id] != words && found == nil {
				found = &TamperError{index: true, Why: "searches do not find " + knowledge.Key{Kind: t.kind, ID: id}.String() +
					" by what its document says"}
			}
		}
		return errCounted
	})
	if err != nil && err != errCounted { //nolint:errorlint // it is ours, as it was
		return s.contractual(ctx, err)
	}
	return found
}

func vectorsOf(ctx context.Context, tx pgx.Tx, t *table, ids []string) (map[string]string, error) {
	rows, err := tx.Query(ctx, "SELECT id, tsvectorsend(vector) FROM search WHERE kind = $1 AND id = ANY ($2)",
		string(t.kind), ids)
	if err != nil {
		return nil, err
	}
	list := map[string]string{}
	var id string
	var words []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &words}, func() error {
		list[strings.Clone(id)] = string(words)
		return nil
	})
	return list, err
}
