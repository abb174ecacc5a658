package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
)

// A table describes the table of a kind.
type table struct {
	kind    knowledge.Kind
	name    string
	id      string
	uuid    bool   // the id is a UUID
	inUse   string // the condition for active documents, as in its indexes
	retired string
	title   string // the expression of OrderTitle, as in its index
	columns string // in the order of scan
	fields  []field

	make func() knowledge.Document

	getName, getSQL, manySQL, standsSQL, listName string
}

// A field is a field of a kind's Go type, and the column of the same name.
type field struct {
	index []int
	shape shape
}

// A shape says how a column is decoded.
type shape byte

const (
	shapePlain   shape = iota // directly
	shapeTime                 // a time or NULL
	shapeJSON                 // JSON, decoded only if it is not empty: most lists of most documents are
	shapeNumbers              // JSON whose untyped values keep their numbers as written
)

//nolint:gochecknoglobals // the layout of the tables, made once and never written
var tables = sync.OnceValue(func() map[knowledge.Kind]*table {
	all := map[knowledge.Kind]*table{}
	for _, d := range knowledge.Described() {
		all[d.Kind] = newTable(d)
	}
	return all
})

// tableOf returns a kind's table, nil for none.
func tableOf(kind knowledge.Kind) *table { return tables()[kind] }

func newTable(d *knowledge.Description) *table {
	t := &table{
		kind: d.Kind, name: d.Plural, id: d.Kind.IDField(), uuid: d.UUID, title: "t." + d.TitleField, make: d.New,
		inUse: "t." + d.ActiveField, retired: "NOT t." + d.ActiveField, getName: "get " + string(d.Kind),
		listName: "list " + d.Plural,
	}
	if d.Negated {
		t.inUse, t.retired = t.retired, t.inUse
	}
	if d.LongTitle {
		t.title = fmt.Sprintf(`left(%s, %d) COLLATE "C"`, t.title, knowledge.MaxTitle)
	}
	var columns []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(d.New()).Elem()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		at := field{index: f.Index, shape: shapeOf(f.Type)}
		column := `t."` + name + `"`
		switch {
		case f.Type == reflect.TypeFor[*float64]():
			column += "::float8"
		case name == t.id && t.uuid:
			column += "::text"
		}
		columns, t.fields = append(columns, column), append(t.fields, at)
	}
	t.columns = strings.Join(columns, ", ")
	t.getSQL = "SELECT " + t.columns + " FROM " + t.name + " t WHERE t." + t.id + " = $1" + t.cast("")
	t.manySQL = "SELECT " + t.columns + " FROM " + t.name + " t WHERE t." + t.id + " = ANY ($1" + t.cast("[]") + ")"
	t.standsSQL = "SELECT t." + t.id + "::text, t.version, t.batch_id FROM " + t.name + " t WHERE t." + t.id +
		" = ANY ($1" + t.cast("[]") + ")"
	return t
}

func shapeOf(t reflect.Type) shape {
	switch {
	case t == reflect.TypeFor[knowledge.Time]():
		return shapeTime
	case t == reflect.TypeFor[json.RawMessage](), t == reflect.TypeFor[*knowledge.Erasure]():
		return shapeJSON
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Struct:
		if free(t) {
			return shapeNumbers
		}
		return shapeJSON
	}
	return shapePlain
}

// free reports whether a type holds values of any type.
func free(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return free(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if free(f.Type) {
				return true
			}
		}
	default:
	}
	return false
}

// scan reads a row as a document.
func (t *table) scan(r pgx.Rows) (knowledge.Document, error) {
	d := t.make()
	v := reflect.ValueOf(d).Elem()
	into := make([]any, len(t.fields))
	for i, f := range t.fields {
		switch f.shape {
		case shapeTime:
			into[i] = new(pgtype.Timestamptz)
		case shapeJSON, shapeNumbers:
			into[i] = new(pgtype.DriverBytes)
		case shapePlain:
			into[i] = v.FieldByIndex(f.index).Addr().Interface()
		}
	}
	if err := r.Scan(into...); err != nil {
		return nil, err
	}
	for i, f := range t.fields {
		switch read := into[i].(type) {
		case *pgtype.Timestamptz:
			*v.FieldByIndex(f.index).Addr().Interface().(*knowledge.Time) = timeOf(*read) // its shape says so
		case *pgtype.DriverBytes:
			if len(*read) <= 2 { // [] or {}: Normalize creates it
				continue
			}
			if err := decodeJSON(*read, v.FieldByIndex(f.index).Addr().Interface(), f.shape); err != nil {
				return nil, &scanError{err}
			}
		}
	}
	return d, nil
}

func decodeJSON(raw []byte, into any, s shape) error {
	if s == shapeJSON {
		return json.Unmarshal(raw, into)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(into)
}

// cast returns the SQL cast of an id parameter, or with "[]" of several.
func (t *table) cast(list string) string {
	if t.uuid {
		return "::text" + list + "::uuid" + list
	}
	return ""
}

// holds reports whether a document with this id can exist: the server rejects an invalid UUID or text.
func (t *table) holds(id string) bool {
	if t.uuid {
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
