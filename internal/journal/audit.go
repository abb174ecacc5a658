package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// Bounds of the audit's entries in a journal.
const (
	auditWaiting = 500_000 // that wait, some 200 MB at most
	auditAtOnce  = 500     // that are passed on in one step
)

// AddAudit stores entries that can't be added to the audit at the primary now.
func (j *Journal) AddAudit(ctx context.Context, list ...store.AuditEntry) error {
	if len(list) == 0 {
		return nil
	}
	return j.file.Write(ctx, "journal.audit", func(ctx context.Context, t *sqlite.Tx) error {
		var waiting int
		if _, err := t.One(ctx, "SELECT coalesce(max(id) - min(id) + 1, 0) FROM audit", nil, &waiting); err != nil {
			return err
		}
		if waiting+len(list) > auditWaiting {
			return &store.UnavailableError{
				Reason: fmt.Sprintf(
					"%d entries of the audit wait in the journal, which is as many as there may be", waiting),
				NotDone: true,
			}
		}
		for i := range list {
			text, err := json.Marshal(list[i])
			if err != nil {
				return err
			}
			if err := t.Exec(ctx, "INSERT INTO audit (entry) VALUES (?)", string(text)); err != nil {
				return err
			}
		}
		return nil
	})
}

// TakeAudit passes the stored entries to add, the oldest first, and deletes them when add has succeeded. A crash
// between the two adds them twice rather than never.
func (j *Journal) TakeAudit(ctx context.Context, add func(context.Context, ...store.AuditEntry) error) error {
	for {
		last := int64(0)
		var list []store.AuditEntry
		err := j.file.Read(ctx, "journal.audit", "SELECT id, entry FROM audit ORDER BY id LIMIT ?",
			[]any{auditAtOnce}, func(r *sql.Rows) error {
				e, err := scanWaiting(r, &last)
				list = append(list, e)
				return err
			})
		if err != nil || len(list) == 0 {
			return err
		}
		if err := add(ctx, list...); err != nil {
			return err
		}
		if err := j.file.Write(context.WithoutCancel(ctx), "journal.audit", func(ctx context.Context, t *sqlite.Tx) error {
			return t.Exec(ctx, "DELETE FROM audit WHERE id <= ?", last)
		}); err != nil {
			return err
		}
	}
}

func scanWaiting(r *sql.Rows, id *int64) (store.AuditEntry, error) {
	var e store.AuditEntry
	var text string
	if err := r.Scan(id, &text); err != nil {
		return e, err
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return e, fmt.Errorf("decode entry %d of the audit: %w", *id, err)
	}
	return e, nil
}

// Audit returns entries that wait, the newest first.
func (j *Journal) Audit(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	list := []store.AuditEntry{}
	if q.Below > 0 {
		return list, nil // those have no number yet
	}
	err := j.file.Read(ctx, "journal.audit", "SELECT id, entry FROM audit ORDER BY id DESC LIMIT ?",
		[]any{auditWaiting}, func(r *sql.Rows) error {
			var id int64
			e, err := scanWaiting(r, &id)
			if err == nil && len(list) < q.Limit && q.Admits(&e) {
				list = append(list, e)
			}
			return err
		})
	return list, err
}

// eraseAudit erases a person from the entries that wait, and returns how many it has rewritten.
func eraseAudit(ctx context.Context, t *sqlite.Tx, pseudonym string, person *knowledge.Erasure) (int64, error) {
	ids, err := numbers(ctx, t, "SELECT id FROM audit ORDER BY id")
	if err != nil {
		return 0, err
	}
	rewritten := int64(0)
	for _, id := range ids {
		var text string
		if _, err := t.One(ctx, "SELECT entry FROM audit WHERE id = ?", []any{id}, &text); err != nil {
			return 0, err
		}
		var was store.AuditEntry
		if err := json.Unmarshal([]byte(text), &was); err != nil {
			return 0, err
		}
		next := was
		if person.Is(next.Actor) {
			next.Actor = pseudonym
		}
		next.Key, next.Reason, next.Question = person.RedactWords(next.Key, pseudonym), person.RedactWords(next.Reason,
			pseudonym), person.RedactWords(next.Question, pseudonym)
		if next == was {
			continue
		}
		rewritten++
		b, err := json.Marshal(next)
		if err != nil {
			return 0, err
		}
		if err := t.Exec(ctx, "UPDATE audit SET entry = ? WHERE id = ?", string(b), id); err != nil {
			return 0, err
		}
	}
	return rewritten, nil
}
