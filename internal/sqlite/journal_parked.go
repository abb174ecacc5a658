package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Park moves a batch from those that wait for the primary to those that wait for a person. One that the journal has never taken
// is taken; one that is parked already, or was applied, stays as it is.
func (j *Journal) Park(ctx context.Context, p store.Parked) error {
	row, err := encodeEntry(&p.Entry)
	if err != nil {
		return contract(err)
	}
	return j.settle(ctx, "journal.park", p.Entry.Batch.ID, row, func(ctx context.Context, t *tx, seq int64) error {
		if err := t.exec(ctx, "UPDATE entries SET state = 'parked', why = ? WHERE seq = ?", p.Why, seq); err != nil {
			return err
		}
		return t.exec(ctx, "INSERT INTO parked (seq, op, why, found, base, theirs, ours, parked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			seq, p.Op, p.Why, p.Found, textOrNull(p.Base), textOrNull(p.Theirs), textOrNull(p.Ours), micros(p.ParkedAt))
	})
}

func textOrNull(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return string(raw)
}

// Parked returns what waits for a person, and with resolved also what was decided, newest first.
func (j *Journal) Parked(ctx context.Context, resolved bool) ([]store.Parked, error) {
	query := "SELECT " + prefixed("e.", entryColumns) + ", p.op, p.why, p.found, p.base, p.theirs, p.ours, p.parked_at, p.resolution, " +
		"p.resolved_by, p.resolved_at, p.resolved_as FROM parked p CROSS JOIN entries e ON e.seq = p.seq"
	if !resolved {
		query += " WHERE p.resolution = ''"
	}
	list := []store.Parked{}
	err := j.read(ctx, "journal.parked", query+" ORDER BY p.seq DESC", nil, func(r *sql.Rows) error {
		p, err := scanParked(r)
		list = append(list, p)
		return err
	})
	return list, err
}

func scanParked(r *sql.Rows) (store.Parked, error) {
	var p store.Parked
	var base, theirs, ours *string
	var parked int64
	var resolved *int64
	var as []byte
	var err error
	p.Entry, err = scanEntry(r, &p.Op, &p.Why, &p.Found, &base, &theirs, &ours, &parked, &p.Resolution, &p.ResolvedBy, &resolved, &as)
	if err != nil {
		return p, err
	}
	for _, f := range []struct {
		into *json.RawMessage
		text *string
	}{{&p.Base, base}, {&p.Theirs, theirs}, {&p.Ours, ours}} {
		if f.text != nil {
			*f.into = json.RawMessage(*f.text)
		}
	}
	p.ParkedAt, p.ResolvedAt = moment(parked), maybe(resolved)
	copy(p.ResolvedAs[:], as)
	return p, nil
}

// Resolve notes how a person decided about a parked batch. The payload stays. What was decided once can't be decided otherwise.
func (j *Journal) Resolve(ctx context.Context, p store.Parked) error {
	id := p.Entry.Batch.ID
	return j.do(ctx, "journal.resolve", func(ctx context.Context, t *tx) error {
		var seq int64
		var was string
		known, err := t.one(ctx, "SELECT p.seq, p.resolution FROM entries e CROSS JOIN parked p ON p.seq = e.seq WHERE e.id = ?", []any{id[:]}, &seq, &was)
		switch {
		case err != nil:
			return err
		case !known:
			return store.ErrNotFound
		case was == p.Resolution:
			return nil
		case was != "":
			return knowledge.Invalid("/resolution", "batch %s was resolved already, as %s", id, was)
		}
		err = t.exec(ctx, "UPDATE parked SET resolution = ?, resolved_by = ?, resolved_at = ?, resolved_as = ? WHERE seq = ?",
			p.Resolution, p.ResolvedBy, orNull(p.ResolvedAt), p.ResolvedAs[:], seq)
		if err != nil {
			return err
		}
		return t.exec(ctx, "UPDATE entries SET state = 'resolved', settled_at = ?, why = ? WHERE seq = ?",
			micros(knowledge.At(j.now())), p.Why+"; resolved: "+p.Resolution, seq)
	})
}
