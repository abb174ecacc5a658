package sqlite

import "tenet/internal/knowledge"

// table is what the engine knows of a kind: the names of its table and of the columns that every kind has under a name of
// its own.
type table struct {
	kind   knowledge.Kind
	name   string
	id     string
	active string
	title  string
	// category is the column's name or, for a kind without one, an empty text.
	category string
}

// tableOf returns the table of a kind.
func tableOf(kind knowledge.Kind) table {
	t := table{kind: kind, name: kind.Plural(), id: kind.IDField(), active: "is_active", title: "title", category: "''"}
	switch kind {
	case knowledge.KindRule:
		t.active, t.category = "active", "category"
	case knowledge.KindPractice:
		t.category = "category"
	case knowledge.KindTemplate:
		t.title, t.category = "name", "category"
	case knowledge.KindCategory, knowledge.KindPrincipal:
		t.title = "name"
	case knowledge.KindViolation:
		t.title = "headline"
	}
	return t
}

// columns lists what a record is made of.
func (t *table) columns() string {
	return t.id + ", version, " + t.category + ", " + t.active + ", rank, updated_at, pending, document"
}

// references lists what may refer to a document of a kind: the column of another table.
func references(kind knowledge.Kind) []struct{ table, column string } {
	switch kind {
	case knowledge.KindCategory:
		return []struct{ table, column string }{{"rules", "category"}, {"practices", "category"}, {"templates", "category"}}
	case knowledge.KindRule:
		return []struct{ table, column string }{{"violations", "rule_id"}}
	case knowledge.KindPractice, knowledge.KindTemplate, knowledge.KindViolation, knowledge.KindPrincipal:
	}
	return nil
}

// parent returns the document that another one refers to, with the name of the field that does.
func parent(d knowledge.Document) (key knowledge.Key, field string, ok bool) {
	switch d := d.(type) {
	case *knowledge.Rule, *knowledge.Practice, *knowledge.Template:
		return knowledge.Key{Kind: knowledge.KindCategory, ID: d.CategoryID()}, "category", true
	case *knowledge.Violation:
		return knowledge.Key{Kind: knowledge.KindRule, ID: d.RuleID}, "rule_id", true
	case *knowledge.Category, *knowledge.Principal:
	}
	return knowledge.Key{}, "", false
}

// facets returns the values of a document that stand in the table of facets.
func facetsOf(d knowledge.Document) []facet {
	var c *knowledge.Common
	switch d := d.(type) {
	case *knowledge.Rule:
		c = &d.Common
	case *knowledge.Practice:
		c = &d.Common
	case *knowledge.Template:
		c = &d.Common
	case *knowledge.Category, *knowledge.Violation, *knowledge.Principal:
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

// searchable reports whether search looks at a kind.
func searchable(kind knowledge.Kind) bool {
	switch kind {
	case knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate, knowledge.KindCategory:
		return true
	case knowledge.KindViolation, knowledge.KindPrincipal:
	}
	return false
}
