package postgres

import (
	"sync"

	"tenet/internal/knowledge"
)

// A NamedQuery is a reading statement of the program, with example arguments.
type NamedQuery struct {
	Name, SQL string
	Args      []any
}

// Queries returns the statements whose plans can be shown. They come from the functions that build those of callers.
//
//nolint:gochecknoglobals // made once and never written
var Queries = sync.OnceValue(func() []NamedQuery {
	var all []NamedQuery
	add := func(name, sql string, args ...any) { all = append(all, NamedQuery{name, sql, args}) }
	for _, kind := range knowledge.Kinds() {
		t, id := tableOf(kind), "example"
		if t.uuid {
			id = "01890a5d-ac96-774b-bcce-b302099a8057"
		}
		add("get "+string(kind), t.getSQL, id)
		add("get several "+kind.Plural(), t.manySQL, []string{id})
		for name, q := range map[string]knowledge.Query{
			"": {}, " by title": {Order: knowledge.OrderTitle},
			" by change": {Order: knowledge.OrderUpdated},
		} {
			q.Kind = kind
			if q, _, err := q.Check(); err == nil {
				sql, args := listSQL(t, &q, nil)
				add("list "+kind.Plural()+name, sql, args...)
			}
		}
	}
	for name, q := range map[string]knowledge.Query{
		"list rules of a category": {Category: "example"}, "list rules with a tag": {Tag: "example"},
		"list rules by language": {Language: "go"},
	} {
		q.Kind = knowledge.KindRule
		if q, _, err := q.Check(); err == nil {
			sql, args := listSQL(tableOf(q.Kind), &q, nil)
			add(name, sql, args...)
		}
	}
	if q, question, err := (knowledge.SearchQuery{Text: "example"}).Check(); err == nil {
		sql, args := searchSQL(&q, question, allWords)
		add("search", sql, args...)
	}
	for name, q := range map[string]knowledge.ChangeQuery{
		"changes": {}, "changes of a document": {Key: knowledge.Key{Kind: knowledge.KindRule, ID: "example"}},
		"changes of a batch": {Batch: knowledge.NewBatchID()},
		"newest changes":     {Newest: true},
	} {
		if q, err := q.Check(); err == nil {
			sql, args := changesSQL(&q)
			add(name, sql, args...)
		}
	}
	add("read receipt", appliedSQL(), []string{knowledge.NewBatchID().String()})
	add("position", positionSQL)
	return all
})

// QueryNames returns the names of [Queries].
func QueryNames() []string {
	var names []string
	for _, q := range Queries() {
		names = append(names, q.Name)
	}
	return names
}
