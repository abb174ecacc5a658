package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// List returns a page of documents of one kind.
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	q, after, err := q.Check()
	if err != nil {
		return nil, err
	}
	page := &knowledge.Page{Records: []*knowledge.Record{}, Source: s.source}
	title := ""
	err = s.look(ctx, func(ctx context.Context, v view) error {
		l := listing{q: q, tab: tableOf(q.Kind), after: after}
		if err := l.plan(ctx, v); err != nil {
			return err
		}
		if q.Total {
			if err := l.count(ctx, v, &page.Total); err != nil {
				return err
			}
		}
		query, args := l.statement()
		bytes := 0
		return v.query(ctx, "list."+l.tab.name, query, args, func(r *sql.Rows) error {
			n := len(page.Records)
			switch {
			case page.Next != "":
				return nil
			case n == q.Limit, bytes >= knowledge.MaxPageBytes:
				page.Next = q.NextCursor(page.Records[n-1], title)
				return nil
			}
			var sortTitle string
			rec, err := scanRecord(r, q.Kind, s.source, &sortTitle)
			if err != nil {
				return err
			}
			page.Records = append(page.Records, rec)
			bytes += len(rec.JSON)
			title = sortTitle
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// A listing builds the statement of a query.
type listing struct {
	q     knowledge.Query
	tab   table
	after *knowledge.Cursor
	// drive is the facet whose entries the statement scans; none if it scans an index of the table.
	drive facet
	// sorted is true if the entries are so few that sorting them costs less than scanning in order.
	sorted bool
}

// fewEntries is the largest number of facet entries that are sorted for an order that is not theirs.
const fewEntries = 2500

// plan decides what the statement scans. Entries of a facet are in house order. For another order, the entries of a
// rare value are sorted; for a frequent value the statement scans the order and filters.
func (l *listing) plan(ctx context.Context, v view) error {
	given := l.facets()
	if len(given) == 0 {
		return nil
	}
	if l.q.Order == knowledge.OrderHouse && len(given) == 1 {
		l.drive = given[0]
		return nil
	}
	least := fewEntries + 1
	for _, f := range given {
		n := 0
		err := v.query(ctx, "list.facet", "SELECT count(*) FROM (SELECT 1 FROM facets WHERE kind = ? AND facet = ? "+
			"AND value = ? LIMIT ?)",
			[]any{string(l.q.Kind), f.name, f.value, fewEntries + 1}, func(r *sql.Rows) error { return r.Scan(&n) })
		if err != nil {
			return err
		}
		if n < least {
			least, l.drive, l.sorted = n, f, l.q.Order != knowledge.OrderHouse
		}
	}
	if l.drive == (facet{}) && l.q.Order == knowledge.OrderHouse {
		l.drive = given[0]
	}
	return nil
}

func (l *listing) facets() []facet {
	var given []facet
	if l.q.Tag != "" {
		given = append(given, facet{"tag", l.q.Tag})
	}
	if l.q.Language != "" {
		given = append(given, facet{"language", l.q.Language})
	}
	return given
}

// statement returns the query and its arguments.
func (l *listing) statement() (string, []any) {
	query, args := l.arms()
	return query + " ORDER BY " + l.order() + " LIMIT ?", append(args, l.q.Limit+1)
}

// arms returns the query without its order. A list of active and retired documents is a merge of two lists, since every
// index has the flag before the order.
func (l *listing) arms() (string, []any) {
	var b strings.Builder
	var args []any
	switch l.q.Activity {
	case knowledge.ActiveOnly:
		args = l.arm(&b, true, args)
	case knowledge.RetiredOnly:
		args = l.arm(&b, false, args)
	case knowledge.AnyActivity:
		args = l.arm(&b, true, args)
		b.WriteString(" UNION ALL ")
		args = l.arm(&b, false, args)
	}
	return b.String(), args
}

// count counts the documents of all pages.
func (l *listing) count(ctx context.Context, v view, into *int) error {
	whole := *l
	whole.after = nil
	query, args := whole.arms()
	return v.query(ctx, "list.count", "SELECT count(*) FROM ("+query+")", args,
		func(r *sql.Rows) error { return r.Scan(into) })
}

// order returns the ORDER BY clause. It names columns of the result, as a merge of two lists requires.
func (l *listing) order() string {
	switch l.q.Order {
	case knowledge.OrderUpdated:
		return "updated_at DESC, id DESC"
	case knowledge.OrderTitle:
		return "title, id"
	case knowledge.OrderID:
		return "id"
	case knowledge.OrderHouse:
	}
	return "rank, id"
}

// arm writes the statement for the active documents, or for the retired ones.
func (l *listing) arm(b *strings.Builder, active bool, args []any) []any {
	t := &l.tab
	id, rank := "t."+t.id, "t.rank"
	from := t.name + " t" + l.index()
	where := []string{"t." + t.active + " = " + digit(active)}
	if l.drive != (facet{}) {
		from = "facets f CROSS JOIN " + t.name + " t ON t." + t.id + " = f.id"
		where = []string{"f.kind = ?", "f.facet = ?", "f.value = ?", "f.active = " + digit(active)}
		args = append(args, string(l.q.Kind), l.drive.name, l.drive.value)
		id, rank = "f.id", "f.rank"
	}
	b.WriteString("SELECT " + id + " AS id, t.version, " + l.category() + " AS category, t." + t.active + ", " + rank +
		" AS rank, t.updated_at AS updated_at, t.pending, t.document, t." + t.title + " AS title FROM " + from)
	and := func(cond string, values ...any) {
		where = append(where, cond)
		args = append(args, values...)
	}
	l.filters(and, active, id, rank)
	l.cursor(and, id, rank)
	b.WriteString(" WHERE " + strings.Join(where, " AND "))
	return args
}

func digit(v bool) string {
	if v {
		return "1"
	}
	return "0"
}

func (l *listing) category() string {
	if l.tab.category == "''" {
		return "''"
	}
	return "t." + l.tab.category
}

// filters adds the conditions that the query names.
func (l *listing) filters(and func(string, ...any), active bool, id, rank string) {
	q := &l.q
	if q.Category != "" {
		if l.drive != (facet{}) {
			and("f.category = ?", q.Category)
		} else {
			and("t.category = ?", q.Category)
		}
	}
	for _, f := range l.facets() {
		if f != l.drive {
			and("EXISTS (SELECT 1 FROM facets o WHERE o.kind = ? AND o.facet = ? AND o.value = ? AND o.active = "+
				digit(active)+" AND o.rank = "+
				rank+" AND o.id = "+id+")", string(q.Kind), f.name, f.value)
		}
	}
	d := knowledge.Describe(q.Kind)
	for i := range d.Filters {
		f := &d.Filters[i]
		if value := q.Filter(f.Name); value != "" && f.Field != "" && f.Field != l.tab.category &&
			f.Name != "severity" {
			and("t."+f.Field+" = ?", value)
		}
	}
	switch {
	case q.Severity == "":
	case d.TierField == "severity" && q.Order == knowledge.OrderHouse:
		low, high := severityRanks(q.Severity)
		if l.after == nil || l.after.Rank < low { // with both, SQLite would start from the lower one
			and(rank+" >= ?", low)
		}
		and(rank+" <= ?", high)
	default:
		and("t.severity = ?", q.Severity)
	}
	if !q.UpdatedSince.IsZero() {
		and("t.updated_at >= ?", micros(q.UpdatedSince))
	}
	l.without(and)
}

// without leaves out the documents of the categories that are hidden, violations of their rules, and proposals of them.
func (l *listing) without(and func(string, ...any)) {
	if l.q.Without == "" {
		return
	}
	const among = " IN (SELECT value FROM json_each(?))"
	list, d := asJSON(knowledge.Listed(l.q.Without)), knowledge.Describe(l.q.Kind)
	switch {
	case d.HasCategory():
		and("t."+l.tab.category+" NOT"+among, list)
	case d.Parent != "" && knowledge.Describe(d.Parent).HasCategory():
		p := tableOf(d.Parent)
		and("NOT EXISTS (SELECT 1 FROM "+p.name+" p WHERE p."+p.id+" = t."+d.ParentField+" AND p."+p.category+among+")",
			list)
	case l.q.Kind == knowledge.KindProposal:
		cond, args := "o.value ->> '$.document.category'"+among+" OR o.value ->> '$.patch.category'"+among, []any{list, list}
		for _, child := range knowledge.Children(knowledge.KindCategory) {
			p := tableOf(child.Kind)
			row := "(SELECT 1 FROM " + p.name + " p WHERE p." + p.id + " = o.value ->> '$.id'"
			// of a document that has left, its last text in the log tells, and of one that has none it is not known
			cond += " OR o.value ->> '$.kind' = '" + string(child.Kind) + "' AND (EXISTS " + row + " AND p." +
				p.category + among + ") OR o.value ->> '$.verb' <> 'put' AND NOT EXISTS " + row + ") AND coalesce((SELECT " +
				"c.category FROM changes c WHERE c.kind = '" + string(child.Kind) + "' AND c.id = o.value ->> '$.id' AND " +
				"c.document IS NOT NULL ORDER BY c.version DESC LIMIT 1)" + among + ", 1))"
			args = append(args, list, list)
		}
		and("NOT EXISTS (SELECT 1 FROM json_each(t.document, '$.ops') o WHERE "+cond+")", args...)
	}
}

// severityRanks returns the ranks of the rules of a severity.
func severityRanks(severity string) (low, high int64) {
	for tier, s := range knowledge.Severities() {
		if s == severity {
			return knowledge.Rank(tier, knowledge.MaxPriority), knowledge.Rank(tier, -knowledge.MaxPriority)
		}
	}
	return 0, -1
}

// cursor adds the condition for the beginning of the page.
func (l *listing) cursor(and func(string, ...any), id, rank string) {
	c := l.after
	if c == nil {
		return
	}
	switch l.q.Order {
	case knowledge.OrderUpdated:
		and("(t.updated_at, "+id+") < (?, ?)", micros(c.Updated), c.ID)
	case knowledge.OrderTitle:
		and("(t."+l.tab.title+", "+id+") > (?, ?)", c.Title, c.ID)
	case knowledge.OrderID:
		and(id+" > ?", c.ID)
	case knowledge.OrderHouse:
		and("("+rank+", "+id+") > (?, ?)", c.Rank, c.ID)
	}
}

// index names the index that the list scans, so that a change of the schema or of SQLite can't make it sort. SQLite
// chooses only for lists by title or id with a filter that has no index in that order.
func (l *listing) index() string {
	by, ordered := led(&l.q)
	switch {
	case ordered:
		return " INDEXED BY " + by
	case by != "":
		return ""
	}
	return " INDEXED BY " + l.tab.name + "_by_" + string(l.q.Order)
}
