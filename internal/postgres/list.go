package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A statement is built from conditions and their parameters.
type statement struct {
	where []string
	args  []any
}

// add appends a condition; each $ in it stands for the next of values.
func (b *statement) add(condition string, values ...any) {
	for _, v := range values {
		b.args = append(b.args, v)
		condition = strings.Replace(condition, "$", fmt.Sprintf("\x00%d", len(b.args)), 1)
	}
	b.where = append(b.where, strings.ReplaceAll(condition, "\x00", "$"))
}

func (b *statement) conditions() string {
	if len(b.where) == 0 {
		return "true"
	}
	return strings.Join(b.where, " AND ")
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	q, cursor, err := q.Check()
	if err != nil {
		return nil, err
	}
	t := tableOf(q.Kind)
	sql, args := listSQL(t, &q, cursor)
	records, bytes, most := make([]*knowledge.Record, 0, q.Limit+1), 0, q.Limit
	err = s.query(ctx, t.listName, sql, args, func(r pgx.Rows) error {
		if len(records) > most { // the extra record shows that there is a next page
			return nil
		}
		rec, err := t.record(r)
		if err != nil {
			return err
		}
		records = append(records, rec)
		if bytes += len(rec.JSON); bytes >= knowledge.MaxPageBytes {
			most = min(most, len(records))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	page := &knowledge.Page{Records: records, Source: knowledge.SourcePrimary}
	if q.Total {
		if page.Total, err = total(ctx, s, t, &q); err != nil {
			return nil, err
		}
	}
	if len(records) > most {
		page.Records = records[:most:most]
		last := page.Records[most-1]
		title := ""
		if q.Order == knowledge.OrderTitle {
			doc, err := last.Document()
			if err != nil {
				return nil, s.contractual(ctx, &scanError{err})
			}
			title = doc.Text().Title
		}
		page.Next = q.NextCursor(last, title)
	}
	return page, nil
}

// total counts the documents of all pages of a list.
func total(ctx context.Context, s *Store, t *table, q *knowledge.Query) (n int, err error) {
	b := &statement{}
	filters(b, t, q, facet{})
	if !q.UpdatedSince.IsZero() {
		b.add("t.updated_at >= $", q.UpdatedSince.Time)
	}
	err = s.query(ctx, "count."+t.name, "SELECT count(*) FROM "+t.name+" t WHERE "+b.conditions(), b.args,
		func(r pgx.Rows) error { return r.Scan(&n) })
	return n, err
}

// listSQL returns the statement of a list. Each shape scans a range of an index, or merges two ranges; the plan test
// names which.
func listSQL(t *table, q *knowledge.Query, c *knowledge.Cursor) (string, []any) {
	b := &statement{}
	from := t.name + " t"
	id, rank := "t."+t.id, "t.rank"
	lead := leadingFacet(q)
	if lead != (facet{}) { // the facet's index is in house order: scan it and join the documents
		from = "facets f JOIN " + t.name + " t ON t." + t.id + " = f.id"
		id, rank = "f.id", "f.rank"
		b.add("f.kind = $ AND f.facet = $ AND f.value = $", string(t.kind), lead.name, lead.value)
	}
	filters(b, t, q, lead)
	order := place(b, t, q, c, rank, id)
	tail := fmt.Sprintf(" ORDER BY %s LIMIT %d", order, q.Limit+1)
	if q.Activity == knowledge.AnyActivity && q.Order != knowledge.OrderID {
		// Active and retired documents are two ranges of the index: merge the first of each.
		all := "SELECT t.* FROM " + from + " WHERE " + b.conditions() + " AND "
		return "SELECT " + t.columns + " FROM ((" + all + t.inUse + tail + ") UNION ALL (" + all + t.retired + tail +
			")) t" + tail, b.args
	}
	return "SELECT " + t.columns + " FROM " + from + " WHERE " + b.conditions() + tail, b.args
}

// A facet is one value of a field with several values.
type facet struct{ name, value string }

// leadingFacet returns the facet whose index gives the list's order, or none.
func leadingFacet(q *knowledge.Query) facet {
	switch {
	case q.Activity != knowledge.ActiveOnly || q.Order != knowledge.OrderHouse:
		return facet{}
	case q.Tag != "":
		return facet{"tag", q.Tag}
	case q.Language != "":
		return facet{"language", q.Language}
	}
	return facet{}
}

// place adds the condition for the start of the page and returns the list's order.
func place(b *statement, t *table, q *knowledge.Query, c *knowledge.Cursor, rank, id string) string {
	at := "$" + t.cast("")
	switch q.Order {
	case knowledge.OrderUpdated:
		if c != nil {
			b.add("(t.updated_at, "+id+") < ($, "+at+")", c.Updated.Time, c.ID)
		}
		if !q.UpdatedSince.IsZero() {
			b.add("t.updated_at >= $", q.UpdatedSince.Time)
		}
		return "t.updated_at DESC, " + id + " DESC"
	case knowledge.OrderTitle:
		if c != nil {
			b.add("("+t.title+", "+id+") > ($, "+at+")", c.Title, c.ID)
		}
		return t.title + ", " + id
	case knowledge.OrderID:
		if c != nil {
			b.add(id+" > "+at, c.ID)
		}
		return id
	case knowledge.OrderHouse:
	}
	if c != nil {
		b.add("("+rank+", "+id+") > ($, "+at+")", c.Rank, c.ID)
	}
	return rank + ", " + id
}

// without leaves out the documents of the categories that are hidden, violations of their rules, and proposals of them.
func without(b *statement, t *table, q *knowledge.Query) {
	list := knowledge.Listed(q.Without)
	d := knowledge.Describe(t.kind)
	switch {
	case len(list) == 0:
	case d.HasCategory():
		b.add("t."+d.ParentField+" <> ALL ($)", list)
	case d.Parent != "" && knowledge.Describe(d.Parent).HasCategory():
		p := tableOf(d.Parent)
		b.add("NOT EXISTS (SELECT FROM "+p.name+" p WHERE p."+p.id+" = t."+d.ParentField+" AND p."+
			knowledge.Describe(d.Parent).ParentField+" = ANY ($))", list)
	case t.kind == knowledge.KindProposal:
		cond, args := "o -> 'document' ->> 'category' = ANY ($) OR o -> 'patch' ->> 'category' = ANY ($)", []any{list, list}
		for _, child := range knowledge.Children(knowledge.KindCategory) {
			p := tableOf(child.Kind)
			row := "(SELECT FROM " + p.name + " p WHERE p." + p.id + " = o ->> 'id'"
			// of a document that has left, its last text in the log tells, and of one that has none it is not known
			cond += " OR o ->> 'kind' = '" + string(child.Kind) + "' AND (EXISTS " + row + " AND p." + child.ParentField +
				" = ANY ($)) OR o ->> 'verb' <> 'put' AND NOT EXISTS " + row + ") AND coalesce((SELECT c.document ->> 'category' " +
				"FROM changes c WHERE c.kind = '" + string(child.Kind) + "' AND c.id = o ->> 'id' AND c.document IS NOT NULL " +
				"ORDER BY c.version DESC LIMIT 1) = ANY ($), true))"
			args = append(args, list, list)
		}
		b.add("NOT EXISTS (SELECT FROM jsonb_array_elements(t.ops) o WHERE "+cond+")", args...)
	}
}

// tierSize is the distance between two tiers in house order; see knowledge.Rank.
const tierSize = 1 << 32

// filters adds the conditions of a query except for its start.
func filters(b *statement, t *table, q *knowledge.Query, lead facet) {
	switch q.Activity {
	case knowledge.ActiveOnly:
		b.add(t.inUse)
	case knowledge.RetiredOnly:
		b.add(t.retired)
	case knowledge.AnyActivity:
	}
	without(b, t, q)
	d := knowledge.Describe(t.kind)
	for i := range d.Filters {
		f := &d.Filters[i]
		switch value := q.Filter(f.Name); {
		case value == "" || f.Field == "":
		case f.Field == d.TierField: // a range of the index in house order
			tier := int64(slices.Index(f.Values, value))
			b.add("t.rank >= $ AND t.rank < $", tier*tierSize, (tier+1)*tierSize)
		default:
			b.add("t."+f.Field+" = $", value)
		}
	}
	for _, f := range []struct {
		facet
		path string
	}{{facet{"tag", q.Tag}, "t.tags"}, {facet{"language", q.Language}, "t.scope -> 'languages'"}} {
		switch {
		case f.value == "" || f.facet == lead:
		case q.Activity == knowledge.ActiveOnly:
			b.add("EXISTS (SELECT FROM facets g WHERE g.kind = $ AND g.facet = $ AND g.value = $ AND g.rank = "+
				"t.rank AND g.id = t."+t.id+")",
				string(t.kind), f.name, f.value)
		default: // facets contain only active documents
			b.add("jsonb_exists("+f.path+", $)", f.value)
		}
	}
}
