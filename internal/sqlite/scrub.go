package sqlite

import (
	"context"
	"errors"
	"math/bits"
	"time"
)

// A purge removes the texts of a document from the rows, and secure_delete overwrites them. The lists of the search
// index still contain the words of the document and of its earlier versions. After every purge the writer scrubs these,
// a step at a time, so that no other write waits. The transaction of the purge itself records in the file that a scrub
// is due.
const (
	scrubRows = 512                    // rows of lists that one step reads
	scrubRest = 5 * time.Millisecond   // pause between two steps, for other writes
	scrubLeft = 250 * time.Millisecond // pause between two attempts to empty the write-ahead log, which readers block
	scrubKey  = "search_scrub"
)

// A scrub is the progress of a scrub.
type scrub struct {
	chunk  int64  // the current chunk
	gone   []byte // its documents that were removed before the sweep began; nil between two chunks
	after  int64  // the number of the last list that was read
	term   string // the last term that was read
	words  bool   // all chunks are swept; next are the words without a list
	merged bool   // only the write-ahead log is left
}

// owe records that a scrub is due.
func (t *tx) owe(ctx context.Context) error {
	t.job.purged = true
	return t.setMeta(ctx, scrubKey, int64(1))
}

// owes returns the scrub that is due in a file, or nil.
func (w *writer) owes(ctx context.Context) (*scrub, error) {
	if w.role == guest {
		return nil, nil // it has no index, and that is no error
	}
	var one int
	owed, err := w.one(ctx, "SELECT value FROM meta WHERE key = '"+scrubKey+"'", nil, &one)
	if err != nil || !owed {
		return nil, err
	}
	return &scrub{}, nil
}

// step does one step of a scrub, and returns the pause before the next; 0 when the scrub is done.
func (w *writer) step(ctx context.Context, s *scrub) (time.Duration, error) {
	if s.merged {
		if empty, err := w.emptied(ctx); err != nil || empty {
			return 0, err
		}
		return scrubLeft, nil
	}
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return 0, err
	}
	more, err := w.sweep(ctx, s)
	if err == nil && !more {
		err = w.exec(ctx, "DELETE FROM meta WHERE key = '"+scrubKey+"'")
	}
	if err == nil {
		err = w.exec(ctx, "COMMIT")
	}
	if err != nil {
		w.rollback(ctx)
		*s = scrub{} // start over: chunks that were swept stay clean
		return 0, err
	}
	s.merged = !more
	return scrubRest, nil
}

// sweep scrubs some rows of the lists, and reports whether there are more.
func (w *writer) sweep(ctx context.Context, s *scrub) (more bool, err error) {
	if s.words {
		return w.sweepWords(ctx, s)
	}
	if s.gone == nil {
		ok, err := w.one(ctx, "SELECT chunk, bits FROM search_gone WHERE chunk > ? ORDER BY chunk LIMIT 1",
			[]any{s.next()}, &s.chunk, &s.gone)
		if err != nil {
			return false, err
		}
		if s.after = s.chunk<<listShift - 1; !ok {
			s.words = true
		}
		return true, nil
	}
	rows, err := w.listRows(ctx, s.chunk, s.after)
	if err != nil {
		return false, err
	}
	for i := range rows {
		r := &rows[i]
		if s.after = r.number; !r.strip(s.gone) {
			continue
		}
		if len(r.documents) == 0 {
			err = w.exec(ctx, "DELETE FROM search_words WHERE number = ?", r.number)
		} else {
			err = w.exec(ctx, "UPDATE search_words SET documents = ?, places = ? WHERE number = ?",
				[]byte(r.documents), orEmpty(r.places), r.number)
		}
		if err != nil {
			return false, err
		}
	}
	if len(rows) < scrubRows {
		return true, w.swept(ctx, s)
	}
	return true, nil
}

// next returns the chunk after which the sweep continues.
func (s *scrub) next() int64 {
	if s.after == 0 {
		return -1
	}
	return s.chunk
}

// swept records that the lists of a chunk no longer contain its removed documents.
func (w *writer) swept(ctx context.Context, s *scrub) error {
	var now []byte
	ok, err := w.one(ctx, "SELECT bits FROM search_gone WHERE chunk = ?", []any{s.chunk}, &now)
	if err != nil || !ok { // the chunk was deleted in between
		s.gone = nil
		return err
	}
	swept, left := 0, 0
	for i := range min(len(now), len(s.gone)) {
		now[i] &^= s.gone[i]
		swept += bits.OnesCount8(s.gone[i])
		left += bits.OnesCount8(now[i])
	}
	s.gone = nil
	if err := w.exec(ctx, "UPDATE search_chunks SET documents = documents - ? WHERE chunk = ?", swept,
		s.chunk); err != nil {
		return err
	}
	if left == 0 {
		return w.exec(ctx, "DELETE FROM search_gone WHERE chunk = ?", s.chunk)
	}
	return w.exec(ctx, "UPDATE search_gone SET documents = ?, bits = ? WHERE chunk = ?", left, now, s.chunk)
}

// A listRow is the list of a term.
type listRow struct {
	number    int64
	documents documentList
	places    placeList
}

// strip removes documents from a list, and reports whether any was in it.
func (r *listRow) strip(gone []byte) bool {
	left, last, stripped := listRow{number: r.number}, -1, false
	all := cursor{documents: r.documents, places: r.places}
	for doc, w, own, ok := all.next(); ok; doc, w, own, ok = all.next() {
		if gone[doc/8]&(1<<(doc%8)) != 0 {
			stripped = true
			continue
		}
		left.documents, left.places = left.documents.append(last, doc, w), append(left.places, own...)
		last = int(doc)
	}
	*r = left
	return stripped
}

// listRows reads lists of a chunk, beginning after one of them.
func (w *writer) listRows(ctx context.Context, chunk, after int64) ([]listRow, error) {
	const text = "SELECT number, documents, places FROM search_words WHERE number > ? AND number < ? ORDER BY number " +
		"LIMIT ?"
	st, err := w.stmt(ctx, text) //nolint:sqlclosecheck // closed with its writer
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(ctx, after, (chunk+1)<<listShift, scrubRows)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	var list []listRow
	for rows.Next() {
		var r listRow
		if err := rows.Scan(&r.number, (*[]byte)(&r.documents), (*[]byte)(&r.places)); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

// sweepWords removes words that have no list any more, and reports whether there are more to check.
func (w *writer) sweepWords(ctx context.Context, s *scrub) (more bool, err error) {
	last := ""
	if _, err := w.one(ctx, "SELECT coalesce(max(term), '') FROM (SELECT term FROM search_terms WHERE term > ? "+
		"ORDER BY term LIMIT ?)", []any{s.term, scrubRows}, &last); err != nil || last == "" {
		return false, err
	}
	n, err := w.execCount(ctx, "DELETE FROM search_terms WHERE term > ? AND term <= ? AND NOT EXISTS "+
		"(SELECT 1 FROM search_chunks c CROSS JOIN search_words w ON w.number = (c.chunk << 32 | "+
		"search_terms.number))", s.term, last)
	if s.term = last; err == nil && n > 0 { // readers that hold the words read them again
		err = w.exec(ctx, "UPDATE meta SET value = value + 1 WHERE key = '"+lastTerm+"'")
	}
	return true, err
}

// scrubAll finishes a scrub before the file is closed.
func (w *writer) scrubAll(ctx context.Context, s *scrub) error {
	for s != nil && !s.merged {
		if _, err := w.step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
