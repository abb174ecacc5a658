package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
)

// A table is how a kind is laid out.
type table struct {
	kind    knowledge.Kind
	name    string
	id      string
	active  string
	title   string // the expression that OrderTitle sorts by, as its index has it
	columns string // what scan reads, in order
	scan    func(r pgx.Rows) (knowledge.Document, error)

	getName, getSQL, listName string
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
	t.getName, t.listName = "get "+string(t.kind), "list "+t.name
	t.getSQL = "SELECT " + t.columns + " FROM " + t.name + " t WHERE t." + t.id + " = $1"
	return t
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
