package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
)

// Reindex rebuilds what lists and searches find documents by. Each transaction takes some documents, and keeps back
// their writers.
func Reindex(ctx context.Context, s *Store, said func(done int)) error {
	done := 0
	for _, d := range knowledge.Described() {
		t := tableOf(d.Kind)
		tagged := knowledge.CommonOf(d.New()) != nil
		if err := forgetUnknown(ctx, s, t, map[string]bool{"search": d.Searched, "facets": tagged}); err != nil {
			return err
		}
		if !d.Searched && !tagged {
			continue
		}
		for after, n := "", wordsPage; n == wordsPage; {
			ids, err := idsAfter(ctx, s, t, after)
			if err != nil {
				return err
			}
			if n = len(ids); n == 0 {
				break
			}
			if err := reindexSome(ctx, s, t, ids); err != nil {
				return err
			}
			after, done = ids[n-1], done+n
			said(done)
		}
	}
	return nil
}

// forgetUnknown removes the rows of documents that are not there, and all rows of a kind that an index does not cover.
func forgetUnknown(ctx context.Context, s *Store, t *table, covers map[string]bool) error {
	for index, covered := range covers {
		sql := "DELETE FROM " + index + " i WHERE i.kind = $1"
		if covered {
			sql += " AND NOT EXISTS (SELECT FROM " + t.name + " t WHERE t." + t.id + " = i.id)"
		}
		if err := s.exec(ctx, "reindex.unknown."+index, sql, string(t.kind)); err != nil {
			return err
		}
	}
	return nil
}

func idsAfter(ctx context.Context, s *Store, t *table, after string) (ids []string, err error) {
	err = s.query(ctx, "reindex.ids."+t.name, "SELECT t."+t.id+" FROM "+t.name+" t WHERE t."+t.id+
		" > $1 ORDER BY t."+t.id+" LIMIT $2", []any{after, wordsPage}, func(r pgx.Rows) error {
		var id string
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// reindexSome makes the rows of some documents of a kind anew, while nobody can change them.
func reindexSome(ctx context.Context, s *Store, t *table, ids []string) error {
	own, cancel, err := s.guard(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return s.contractual(ctx, pgx.BeginFunc(own, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(own, "SELECT tenet_hold($1, $2)", string(t.kind), ids); err != nil {
			return err
		}
		rows, err := tx.Query(own, t.manySQL, ids)
		if err != nil {
			return err
		}
		defer rows.Close()
		var docs []knowledge.Document
		if err := t.records(rows, func(rec *knowledge.Record) {
			if doc, err := rec.Document(); err == nil { // it has just been made of one
				docs = append(docs, doc)
			}
		}); err != nil {
			return err
		}
		keys, words := newArray(pgtype.TextOID, len(docs), 0), newArray(oidTSVector, len(docs), 0)
		for i, v := range vectors(docs) {
			keys.add([]byte(docs[i].Key().ID))
			words.add(v)
		}
		list := keys.done()
		return tx.Conn().PgConn().ExecParams(own, "SELECT tenet_index($1::text, $2::text[], $3::tsvector[], $2::text[])",
			[][]byte{[]byte(t.kind), list, words.done()}, nil, []int16{1, 1, 1}, nil).Read().Err
	}))
}
