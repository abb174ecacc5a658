package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
)

// A table is how a kind is laid out.
type table struct {
	kind    knowledge.Kind
	name    string
	id      string
	inUse   string // the condition that a document is in use, as its indexes have it
	retired string
	title   string // the expression that OrderTitle sorts by, as its index has it
	columns string // what scan reads, in order
	scan    func(r pgx.Rows) (knowledge.Document, error)

	getName, getSQL, manySQL, listName string
}

// tableOf returns a kind's table, nil for none.
func tableOf(kind knowledge.Kind) *table {
	switch kind {
	case knowledge.KindRule:
		return &rules
	case knowledge.KindPractice:
		return &practices
	case knowledge.KindTemplate:
		return &templates
	case knowledge.KindCategory:
		return &categories
	case knowledge.KindViolation:
		return &violations
	case knowledge.KindPrincipal:
		return &principals
	}
	return nil
}

const (
	stampColumns  = `, t.created_by, t.created_at, t.updated_by, t.updated_at, t.version`
	commonColumns = `, t.tags, t.scope, t.extra`
)

func newTable(t table) table {
	t.columns += stampColumns
	t.name = t.kind.Plural()
	t.id = t.kind.IDField()
	t.inUse, t.retired = "t."+t.inUse, "NOT t."+t.inUse
	if t.kind == knowledge.KindPrincipal {
		t.inUse, t.retired = t.retired, t.inUse // its flag says the opposite
	}
	t.getName, t.listName = "get "+string(t.kind), "list "+t.name
	t.getSQL = "SELECT " + t.columns + " FROM " + t.name + " t WHERE t." + t.id + " = $1" + t.cast("")
	t.manySQL = "SELECT " + t.columns + " FROM " + t.name + " t WHERE t." + t.id + " = ANY ($1" + t.cast("[]") + ")"
	return t
}

// cast turns a parameter that holds an id, or with "[]" several, into what the column is.
func (t *table) cast(list string) string {
	if t.kind == knowledge.KindViolation {
		return "::text" + list + "::uuid" + list
	}
	return ""
}

// holds reports whether there may be a document with this id at all: the server refuses what is no uuid, and what is no text.
func (t *table) holds(id string) bool {
	if t.kind == knowledge.KindViolation {
		u, err := uuid.Parse(id)
		return err == nil && u.String() == id
	}
	return utf8.ValidString(id) && !strings.Contains(id, "\x00")
}

// record reads a row as a record.
func (t *table) record(r pgx.Rows) (*knowledge.Record, error) {
	d, err := t.scan(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.name, err)
	}
	d.Normalize()
	rec, err := knowledge.NewRecord(d)
	if err != nil {
		return nil, &scanError{err}
	}
	return rec, nil
}

// records reads all rows as records.
func (t *table) records(rows pgx.Rows, each func(*knowledge.Record)) error {
	for rows.Next() {
		rec, err := t.record(rows)
		if err != nil {
			return err
		}
		each(rec)
	}
	return rows.Err()
}

// stamp is where a document's stamps are read to.
type stamp struct{ created, updated pgtype.Timestamptz }

func (s *stamp) into(d *knowledge.Stamp) []any {
	return []any{&d.CreatedBy, &s.created, &d.UpdatedBy, &s.updated, &d.Version}
}

func (s *stamp) done(d *knowledge.Stamp) {
	d.CreatedAt, d.UpdatedAt = timeOf(s.created), timeOf(s.updated)
}

func timeOf(t pgtype.Timestamptz) knowledge.Time {
	if !t.Valid {
		return knowledge.Time{}
	}
	return knowledge.At(t.Time)
}

// null returns a time as a parameter, NULL for the zero time.
func null(t knowledge.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t.Time
}

// A jsonColumn is read as it is and decoded only when it holds something: most lists of most documents are empty.
type jsonColumn struct {
	raw  pgtype.DriverBytes
	into any
}

// common is where tags, scope and extra are read to.
type common struct{ tags, scope, extra pgtype.DriverBytes }

func (c *common) into() []any { return []any{&c.tags, &c.scope, &c.extra} }

func (c *common) done(d *knowledge.Common) error {
	return decodeAll(jsonColumn{c.tags, &d.Tags}, jsonColumn{c.scope, &d.Scope}, jsonColumn{c.extra, &d.Extra})
}

func decodeAll(columns ...jsonColumn) error {
	for _, c := range columns {
		if len(c.raw) <= 2 { // [] or {}: Normalize makes it
			continue
		}
		if extra, ok := c.into.(*map[string]any); ok {
			dec := json.NewDecoder(bytes.NewReader(c.raw))
			dec.UseNumber()
			if err := dec.Decode(extra); err != nil {
				return &scanError{err}
			}
			continue
		}
		if err := json.Unmarshal(c.raw, c.into); err != nil {
			return &scanError{err}
		}
	}
	return nil
}
