package sqlite

import (
	"slices"

	"tenet/internal/knowledge"
)

// table describes the table of a kind: its name, and the names of the columns that every kind has under its own name.
type table struct {
	kind   knowledge.Kind
	name   string
	id     string
	active string
	title  string
	// category is the column's name or, for a kind without one, an empty text.
	category string
}

// tableOf returns the table of a kind. The column of the kind's flag says whether a document is active; if the flag
// means the opposite, it is the column is_active.
func tableOf(kind knowledge.Kind) table {
	d := knowledge.Describe(kind)
	t := table{
		kind: kind, name: d.Plural, id: kind.IDField(), active: d.ActiveField, title: d.TitleField,
		category: "''",
	}
	if d.Negated {
		t.active = "is_active"
	}
	if d.LongTitle {
		t.title = "headline"
	}
	if d.HasCategory() {
		t.category = d.ParentField
	}
	return t
}

// columns lists the columns of a record.
func (t *table) columns() string {
	return t.id + ", version, " + t.category + ", " + t.active + ", rank, updated_at, pending, document"
}

// A reference is a column of a table that may refer to a document.
type reference struct{ table, column string }

// references lists the columns that may refer to a document of a kind.
func references(kind knowledge.Kind) []reference {
	var list []reference
	for _, d := range knowledge.Children(kind) {
		list = append(list, reference{d.Plural, d.ParentField})
	}
	return list
}

// facets returns the values of a document for the table of facets.
func facetsOf(d knowledge.Document) []facet {
	c := knowledge.CommonOf(d)
	if c == nil {
		return nil
	}
	seen := map[facet]bool{}
	var list []facet
	for name, values := range map[string][]string{"tag": c.Tags, "language": c.Scope.Languages} {
		for _, v := range values {
			if f := (facet{name, v}); !seen[f] {
				seen[f] = true
				list = append(list, f)
			}
		}
	}
	return list
}

// facet is one of several values of a document.
type facet struct{ name, value string }

// searchable reports whether a kind is in the search index.
func searchable(kind knowledge.Kind) bool { return knowledge.Describe(kind).Searched }

// led returns the index of the first filter of a query that has one, and whether that index has the query's order; ""
// if no filter has an index.
func led(q *knowledge.Query) (index string, ordered bool) {
	d := knowledge.Describe(q.Kind)
	for i := range d.Filters {
		f := &d.Filters[i]
		ordered = slices.Contains(f.Indexed, q.Order)
		switch {
		case q.Filter(f.Name) == "" || len(f.Indexed) == 0 || len(f.Indexed) == 1 && !ordered:
		case len(f.Indexed) == 1:
			return d.Plural + "_by_" + f.Name, true
		default:
			return d.Plural + "_by_" + f.Name + "_" + string(q.Order), ordered
		}
	}
	return "", false
}
