package sqlite

import (
	"context"
	"encoding/json"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Erase erases a person from every batch of the journal, waiting, parked or settled, and from the audit's entries that
// wait. A batch keeps its id and its fingerprint: to the primary and to its writer it is still the same one. From then
// on the person is also kept out of the reasons that are written; see Park. It returns how many batches and entries
// were rewritten.
func (j *Journal) Erase(ctx context.Context, pseudonym string, person *knowledge.Erasure) (rewritten int64, err error) {
	j.people.add(pseudonym, person)
	err = j.do(ctx, "journal.erase", func(ctx context.Context, t *tx) error {
		rewritten = 0
		seqs, err := column[int64](ctx, t, "SELECT seq FROM entries ORDER BY seq")
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
		t.job.purged = t.job.purged || rewritten > 0 // the write-ahead log is emptied
		return nil
	})
	return rewritten, err
}

// An entryEraser erases a person from a journal, in one transaction.
type entryEraser struct {
	*tx
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
		if err := t.exec(ctx, "UPDATE entries SET why = ? WHERE seq = ?", next, seq); err != nil {
			return false, err
		}
	}
	if e.Damaged { // never applied: only the fields outside of its text are rewritten
		if touched {
			err = t.exec(ctx, "UPDATE entries SET actor = ?, caller = ? WHERE seq = ?", e.Batch.Actor, e.Caller, seq)
		}
		return touched, err
	}
	if touched {
		row, err := encodeEntry(&e)
		if err != nil {
			return false, err
		}
		if err := t.exec(ctx, "UPDATE entries SET id = ?, fingerprint = ?, actor = ?, caller = ?, taken_at = ?, "+
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
	st, err := t.stmt(ctx, "SELECT "+entryColumns+", coalesce(why, '') FROM entries WHERE seq = ?") //nolint:sqlclosecheck // the writer's
	if err != nil {
		return e, "", err
	}
	rows, err := st.QueryContext(ctx, seq)
	if err != nil {
		return e, "", err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	for rows.Next() {
		if e, err = scanEntry(rows, &why); err != nil {
			return e, "", err
		}
	}
	return e, why, rows.Err()
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
	there, err := t.one(ctx, "SELECT op, why, resolved_by, base, theirs, ours FROM parked WHERE seq = ?", []any{seq},
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
	return true, t.exec(ctx, "UPDATE parked SET why = ?, resolved_by = ?, base = ?, theirs = ?, ours = ? WHERE "+
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
