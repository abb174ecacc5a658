package sqlite

import (
	"context"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Reindex rebuilds what lists and searches find the documents of a store by. Until it is done searches are refused, as
// after an upgrade. If it is interrupted, the next start goes on. It returns how many documents are in the index.
func Reindex(ctx context.Context, s *Store) (int, error) {
	f := s.file
	x := &indexing{f: f}
	if !f.indexing.CompareAndSwap(nil, x) {
		return 0, &store.UnavailableError{NotDone: true, RetryAfter: indexRetry, Reason: "the search index is being " +
			"made already: tenet status tells how far it is"}
	}
	err := x.make(ctx, f.enqueue("reindex", func(ctx context.Context, t *tx) error {
		if err := refacet(ctx, t); err != nil {
			return err
		}
		t.job.purged = true // a scrub that was under way knows the lists of before
		if err := t.exec(ctx, "DELETE FROM meta WHERE key IN (?, ?)", wholeIndex, begunIndex); err != nil {
			return err
		}
		return x.begin(ctx, t)
	}))
	if err != nil && f.opts.IndexLater {
		err = errors.Join(err, f.makeIndex(ctx))
	}
	return int(x.done.Load()), err
}

// refacet rebuilds the rows by tag and language.
func refacet(ctx context.Context, t *tx) error {
	if err := t.exec(ctx, "DELETE FROM facets"); err != nil {
		return err
	}
	for _, kind := range knowledge.Kinds() {
		if knowledge.CommonOf(knowledge.New(kind)) == nil {
			continue
		}
		for after, n := "", t.f.opts.indexStep; n == t.f.opts.indexStep; {
			list, err := documentsAfter(ctx, t, kind, after)
			if err != nil {
				return err
			}
			for i := range list {
				doc := list[i].doc
				if err := t.addFacets(ctx, &knowledge.Record{
					Key: doc.Key(), Rank: list[i].rank, Active: doc.Active(), Category: doc.CategoryID(),
				}, doc); err != nil {
					return err
				}
				after = doc.Key().ID
			}
			n = len(list)
		}
	}
	return nil
}

// documentsAfter reads the next documents of a kind after an id.
func documentsAfter(ctx context.Context, t *tx, kind knowledge.Kind, after string) ([]current, error) {
	tab := tableOf(kind)
	st, err := t.stmt(ctx, "SELECT rank, document FROM "+tab.name+" WHERE "+tab.id+ //nolint:sqlclosecheck // the writer's
		" > ? ORDER BY "+tab.id+" LIMIT ?")
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(ctx, after, t.f.opts.indexStep)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	var list []current
	for rows.Next() {
		var c current
		if err := rows.Scan(&c.rank, &c.text); err != nil {
			return nil, err
		}
		if c.doc, err = knowledge.DecodeStored(kind, []byte(c.text)); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}
