package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// Park parks a waiting batch: it now waits for a person. A batch that the journal does not know is added. A batch that
// is parked already, or was applied, stays as it is.
func (j *Journal) Park(ctx context.Context, p store.Parked) error {
	p.Why = j.people.words(p.Why)
	row, err := encodeEntry(&p.Entry)
	if err != nil {
		return j.file.Fault(err)
	}
	return j.settle(ctx, "journal.park", p.Entry.Batch.ID, row, func(ctx context.Context, t *sqlite.Tx, seq int64) error {
		if err := t.Exec(ctx, "UPDATE entries SET state = 'parked', why = ? WHERE seq = ?", p.Why, seq); err != nil {
			return err
		}
		// a hand may have let a parked batch wait again, whose row is there then
		return t.Exec(ctx, "INSERT OR REPLACE INTO parked (seq, op, why, found, base, theirs, ours, parked_at, lost) VALUES "+
			"(?, ?, ?, ?, ?, ?, ?, ?, ?)",
			seq, p.Op, p.Why, p.Found, textOrNull(p.Base), textOrNull(p.Theirs), textOrNull(p.Ours),
			micros(p.ParkedAt), idOrNull(p.Lost))
	})
}

func textOrNull(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return string(raw)
}

func idOrNull(id knowledge.BatchID) any {
	if id == (knowledge.BatchID{}) {
		return nil
	}
	return id[:]
}

// Parked returns the parked batches that match the query, resolved or not, the newest first.
func (j *Journal) Parked(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error) {
	query := "SELECT " + prefixed() +
		", p.op, p.why, p.found, p.base, p.theirs, p.ours, p.parked_at, p.resolution, " +
		"p.resolved_by, p.resolved_at, p.resolved_as, p.lost FROM parked p CROSS JOIN entries e ON e.seq = p.seq " +
		"WHERE true"
	var args []any
	only := func(asked bool, condition string, arg any) {
		if asked {
			query, args = query+" AND "+condition, append(args, arg)
		}
	}
	const member = "CASE WHEN json_valid(e.ops) THEN json_extract(e.ops, '$[' || max(p.op, 0) || '].%s') END = ?"
	only(!q.Resolved, "p.resolution = ?", "")
	only(q.ID != (knowledge.BatchID{}), "e.id = ?", q.ID[:])
	only(q.Lost != (knowledge.BatchID{}), "p.lost = ?", q.Lost[:])
	only(q.Actor != "", "e.actor = ?", q.Actor)
	only(q.Kind != "", fmt.Sprintf(member, "kind"), string(q.Kind))
	only(q.DocumentID != "", fmt.Sprintf(member, "id"), q.DocumentID)
	only(q.Before > 0, "p.seq < ?", q.Before)
	query += " ORDER BY p.seq DESC"
	if q.Limit > 0 {
		query, args = query+" LIMIT ?", append(args, q.Limit)
	}
	list, bytes := []store.Parked{}, 0
	err := j.file.Read(ctx, "journal.parked", query, args, func(r *sql.Rows) error {
		if q.Bytes > 0 && bytes >= q.Bytes {
			return nil
		}
		p, err := scanParked(r)
		list, bytes = append(list, p), bytes+p.Size()
		return err
	})
	return list, err
}

func scanParked(r *sql.Rows) (store.Parked, error) {
	var p store.Parked
	var base, theirs, ours *string
	var parked int64
	var resolved *int64
	var as, lost []byte
	var err error
	p.Entry, err = scanEntry(r, &p.Op, &p.Why, &p.Found, &base, &theirs, &ours, &parked, &p.Resolution, &p.ResolvedBy,
		&resolved, &as, &lost)
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
	copy(p.Lost[:], lost)
	return p, nil
}

// Resolve records the decision about a parked batch. The batch itself is kept. A decision can't be changed.
func (j *Journal) Resolve(ctx context.Context, p store.Parked) error {
	id := p.Entry.Batch.ID
	return j.file.Write(ctx, "journal.resolve", func(ctx context.Context, t *sqlite.Tx) error {
		var seq int64
		var was string
		known, err := t.One(ctx, "SELECT p.seq, p.resolution FROM entries e CROSS JOIN parked p ON p.seq = e.seq "+
			"WHERE e.id = ?", []any{id[:]}, &seq, &was)
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
		err = t.Exec(ctx, "UPDATE parked SET resolution = ?, resolved_by = ?, resolved_at = ?, resolved_as = ? "+
			"WHERE seq = ?",
			p.Resolution, j.people.name(p.ResolvedBy), orNull(p.ResolvedAt), p.ResolvedAs[:], seq)
		if err != nil {
			return err
		}
		now := micros(knowledge.At(time.Now()))
		if err := settled(ctx, t, &outcome{seq: seq, id: id[:], state: knowledge.BatchResolved, at: &now}); err != nil {
			return err
		}
		return t.Exec(ctx, "UPDATE entries SET why = ? WHERE seq = ?",
			j.people.words(p.Why)+"; resolved: "+p.Resolution, seq)
	})
}
