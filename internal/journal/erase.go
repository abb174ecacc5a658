package journal

import (
	"context"
	"database/sql"
	"encoding/json"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// Erase erases a person from every batch of the journal, waiting, parked or settled, and from the audit's entries that
// wait. A batch keeps its id and its fingerprint: to the primary and to its writer it is still the same one. From then
// on the person is also kept out of the reasons that are written; see Park. It returns how many batches and entries
// were rewritten.
func (j *Journal) Erase(ctx context.Context, pseudonym string, person *knowledge.Erasure) (rewritten int64, err error) {
	j.people.add(pseudonym, person)
	err = j.file.Write(ctx, "journal.erase", func(ctx context.Context, t *sqlite.Tx) error {
		rewritten = 0
		seqs, err := numbers(ctx, t, "SELECT seq FROM entries ORDER BY seq")
		if err != nil {
			return err
		}
		for _, seq := range seqs {
			touched, err := (&entryEraser{t, pseudonym, person}).erase(ctx, seq)
			if err != nil {
				return err
			}
			if touched {
				rewritten++
			}
		}
		entries, err := eraseAudit(ctx, t, pseudonym, person)
		if err != nil {
			return err
		}
		rewritten += entries
		if rewritten > 0 {
			t.Erased()
		}
		return nil
	})
	return rewritten, err
}

// numbers returns a column of numbers.
func numbers(ctx context.Context, t *sqlite.Tx, query string) ([]int64, error) {
	var list []int64
	err := t.Each(ctx, query, nil, func(r *sql.Rows) error {
		n := int64(0)
		err := r.Scan(&n)
		list = append(list, n)
		return err
	})
	return list, err
}

// An entryEraser erases a person from a journal, in one transaction.
type entryEraser struct {
	*sqlite.Tx
	pseudonym string
	person    *knowledge.Erasure
}

// erase erases the person from one batch, and reports whether they were in it.
func (t *entryEraser) erase(ctx context.Context, seq int64) (bool, error) {
	e, why, err := t.entry(ctx, seq)
	if err != nil {
		return false, err
	}
	touched := redactEntry(&e, t.pseudonym, t.person)
	if next := t.person.RedactWords(why, t.pseudonym); next != why {
		touched = true
		if err := t.Exec(ctx, "UPDATE entries SET why = ? WHERE seq = ?", next, seq); err != nil {
			return false, err
		}
	}
	if e.Damaged { // never applied: only the fields outside of its text are rewritten
		if touched {
			err = t.Exec(ctx, "UPDATE entries SET actor = ?, caller = ? WHERE seq = ?", e.Batch.Actor, e.Caller, seq)
		}
		return touched, err
	}
	if touched {
		row, err := encodeEntry(&e)
		if err != nil {
			return false, err
		}
		if err := t.Exec(ctx, "UPDATE entries SET id = ?, fingerprint = ?, actor = ?, caller = ?, taken_at = ?, "+
			"batch_at = ?, origin = ?, unknown = ?, "+
			"document_schema = ?, ops = ?, bases = ?, left_behind = ?, message = ?, sum = ? WHERE seq = ?",
			append(row.columns(), row.sum(), seq)...); err != nil {
			return false, err
		}
	}
	parked, err := t.parked(ctx, seq, e.Batch.Ops)
	return touched || parked, err
}

// entry reads a batch, and why it was parked or how it was resolved.
func (t *entryEraser) entry(ctx context.Context, seq int64) (e store.Entry, why string, err error) {
	err = t.Each(ctx, "SELECT "+entryColumns+", coalesce(why, '') FROM entries WHERE seq = ?", []any{seq},
		func(r *sql.Rows) error {
			e, err = scanEntry(r, &why)
			return err
		})
	return e, why, err
}

// redactEntry replaces a person in a batch, and reports whether they were in it.
func redactEntry(e *store.Entry, pseudonym string, person *knowledge.Erasure) (touched bool) {
	for _, field := range []*string{&e.Batch.Actor, &e.Caller} {
		if person.Is(*field) {
			*field, touched = pseudonym, true
		}
	}
	if next := person.RedactWords(e.Batch.Message, pseudonym); next != e.Batch.Message {
		e.Batch.Message, touched = next, true
	}
	key := func(k *knowledge.Key) {
		if k.Kind == knowledge.KindPrincipal && person.IsID(k.ID) {
			k.ID, touched = pseudonym, true
		}
	}
	for i := range e.Batch.Ops {
		op := &e.Batch.Ops[i]
		key(&op.Key)
		if op.Doc != nil && person.Redact(op.Doc, pseudonym) {
			touched = true
		}
	}
	for i := range e.Left {
		l := &e.Left[i]
		key(&l.Key)
		if l.Record == nil {
			continue
		}
		if doc, err := l.Record.Document(); err == nil && person.Redact(doc, pseudonym) {
			if rec, err := knowledge.NewRecord(doc); err == nil {
				l.Record, touched = rec, true
			}
		}
	}
	if touched && e.Batch.Origin == ([32]byte{}) {
		e.Batch.Origin = e.Fingerprint
	}
	return touched
}

// parked erases the person from the stored documents of a parked batch, and reports whether they were in them.
func (t *entryEraser) parked(ctx context.Context, seq int64, ops []knowledge.Op) (touched bool, err error) {
	var op int
	var why, by string
	texts := make([]*string, 3)
	there, err := t.One(ctx, "SELECT op, why, resolved_by, base, theirs, ours FROM parked WHERE seq = ?", []any{seq},
		&op, &why, &by, &texts[0], &texts[1], &texts[2])
	if err != nil || !there {
		return false, err
	}
	if t.person.Is(by) {
		by, touched = t.pseudonym, true
	}
	if next := t.person.RedactWords(why, t.pseudonym); next != why {
		why, touched = next, true
	}
	for i, text := range texts {
		if text == nil || len(ops) == 0 {
			continue
		}
		next, changed := redactStored(ops[min(max(op, 0), len(ops)-1)].Key.Kind, *text, t.pseudonym, t.person)
		if changed {
			texts[i], touched = &next, true
		}
	}
	if !touched {
		return false, nil
	}
	return true, t.Exec(ctx, "UPDATE parked SET why = ?, resolved_by = ?, base = ?, theirs = ?, ours = ? WHERE "+
		"seq = ?", why, by, texts[0], texts[1], texts[2], seq)
}

// redactStored replaces a person in a document of a kind.
func redactStored(kind knowledge.Kind, text, pseudonym string, person *knowledge.Erasure) (string, bool) {
	if !json.Valid([]byte(text)) || text == "null" {
		return text, false
	}
	doc, err := knowledge.DecodeStored(kind, []byte(text))
	if err != nil || !person.Redact(doc, pseudonym) {
		return text, false
	}
	b, err := knowledge.Canonical(doc)
	return string(b), err == nil
}
