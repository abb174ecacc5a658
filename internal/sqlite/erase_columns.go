package sqlite

import (
	"context"
	"strings"

	"tenet/internal/knowledge"
)

// columns erases the person from the columns that hold only a name.
func (e *eraser) columns(ctx context.Context) error {
	for _, c := range []struct{ table, set, where string }{
		{"batches", "actor = ?1", "actor = ?2"},
		{"job_runs", "by = ?1", "by = ?2"},
		{"job_pauses", "by = ?1", "by = ?2"},
		{"purged", "id = ?1", "kind = 'principal' AND id = ?2"},
		{"standings", "standing = json_set(standing, '$.by', ?1)", "standing ->> '$.by' = ?2"},
	} {
		for _, name := range e.names {
			n, err := e.execCount(ctx, "UPDATE OR REPLACE "+c.table+" SET "+c.set+" WHERE "+c.where, e.pseudonym, name)
			if err != nil {
				return err
			}
			if n > 0 {
				e.rows[c.table] += n
			}
		}
	}
	return nil
}

// words erases the person from texts that tenet writes itself: how jobs ended.
func (e *eraser) words(ctx context.Context) error {
	for _, at := range []struct{ table, column string }{{"job_runs", "changed"}, {"job_runs", "error"}} {
		for _, name := range e.names {
			list, err := column[string](ctx, e.tx, "SELECT DISTINCT "+at.column+" FROM "+at.table+" WHERE instr("+
				at.column+", ?) > 0", name)
			if err != nil {
				return err
			}
			for _, text := range list {
				next := replaceWord(text, name, e.pseudonym)
				if next == text {
					continue
				}
				n, err := e.execCount(ctx, "UPDATE "+at.table+" SET "+at.column+" = ? WHERE "+at.column+" = ?", next,
					text)
				if err != nil {
					return err
				}
				e.rows[at.table] += n
			}
		}
	}
	return nil
}

// replaceWord replaces a word that has no letter, digit or _ beside it.
func replaceWord(text, word, by string) string {
	letter := func(b byte) bool {
		return b == '_' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= 0x80
	}
	var out strings.Builder
	for begin := 0; ; {
		at := strings.Index(text[begin:], word)
		if at < 0 {
			out.WriteString(text[begin:])
			return out.String()
		}
		at += begin
		end := at + len(word)
		if at > 0 && letter(text[at-1]) || end < len(text) && letter(text[end]) {
			out.WriteString(text[begin:end])
		} else {
			out.WriteString(text[begin:at] + by)
		}
		begin = end
	}
}

// layers erases the person from what a mirror keeps of waiting batches, and from the archive.
func (e *eraser) layers(ctx context.Context) error {
	for _, table := range []string{"below", "overlays", "purged"} {
		layer := "0"
		if table == "overlays" {
			layer = "layer"
		}
		where, args := e.within("document")
		keys, err := triples(ctx, e.tx, "SELECT kind, id, "+layer+" FROM "+table+" WHERE "+where, args...)
		if err != nil {
			return err
		}
		for _, k := range keys {
			var text string
			const at = " WHERE kind = ? AND id = ? AND ? = "
			if _, err := e.one(ctx, "SELECT document FROM "+table+at+layer, []any{k.kind, k.id, k.n},
				&text); err != nil {
				return err
			}
			next, err := e.redacted(knowledge.Kind(k.kind), text)
			if err != nil || next == "" {
				if err != nil {
					return err
				}
				continue
			}
			e.rows[table]++
			if err := e.exec(ctx, "UPDATE "+table+" SET document = ?"+at+layer, next, k.kind, k.id, k.n); err != nil {
				return err
			}
		}
		for _, name := range e.names {
			if !e.person.IsID(name) {
				continue
			}
			if err := e.exec(ctx, "UPDATE OR REPLACE "+table+" SET id = ? WHERE kind = 'principal' AND id = ?",
				e.pseudonym, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// column returns the first column of the rows of a query.
func column[T any](ctx context.Context, t *tx, query string, args ...any) ([]T, error) {
	rows, err := t.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	var list []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// A triple identifies a layer of a mirror.
type triple struct {
	kind, id string
	n        int64
}

func triples(ctx context.Context, t *tx, query string, args ...any) ([]triple, error) {
	rows, err := t.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	var list []triple
	for rows.Next() {
		var v triple
		if err := rows.Scan(&v.kind, &v.id, &v.n); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}
