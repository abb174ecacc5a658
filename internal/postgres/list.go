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

// A statement is built of conditions and their parameters.
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
	records := make([]*knowledge.Record, 0, q.Limit+1)
	err = s.query(ctx, t.listName, sql, args, func(r pgx.Rows) error {
		rec, err := t.record(r)
		records = append(records, rec)
		return err
	})
	if err != nil {
		return nil, err
	}
	page := &knowledge.Page{Records: records, Source: knowledge.SourcePrimary}
	if len(records) > q.Limit {
		page.Records = records[:q.Limit:q.Limit]
		last := page.Records[q.Limit-1]
		title := ""
		if q.Order == knowledge.OrderTitle {
			doc, err := last.Document()
			if err != nil {
				return nil, &scanError{err}
			}
			title = doc.Text().Title
			if q.Kind == knowledge.KindViolation {
				title = cutRunes(title, knowledge.MaxTitle)
			}
		}
		page.Next = q.NextCursor(last, title)
	}
	return page, nil
}

// cutRunes returns the first n characters of s.
func cutRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// listSQL returns the statement of a list. Each shape is the range of an index; the test of the plans names which.
func listSQL(t *table, q *knowledge.Query, c *knowledge.Cursor) (string, []any) {
	b := &statement{}
	id, rank := "t."+t.id, "t.rank"
	from := t.name + " t"
	facet, value := "tag", q.Tag
	if value == "" {
		facet, value = "language", q.Language
	}
	byFacet := value != "" && q.Activity == knowledge.ActiveOnly && q.Order == knowledge.OrderHouse
	if byFacet { // the facet's own index is in house order: it leads, the documents follow
		from = "facets f JOIN " + t.name + " t ON t." + t.id + " = f.id"
		id, rank = "f.id", "f.rank"
		b.add("f.kind = $ AND f.facet = $ AND f.value = $", string(t.kind), facet, value)
	}
	filters(b, t, q, byFacet, facet)
	order := fmt.Sprintf("%s, %s", rank, id)
	switch q.Order {
	case knowledge.OrderHouse:
		if c != nil {
			b.add(fmt.Sprintf("(%s, %s) > ($, $)", rank, id), c.Rank, c.ID)
		}
	case knowledge.OrderUpdated:
		order = "t.updated_at DESC, t." + t.id + " DESC"
		if c != nil {
			b.add("(t.updated_at, t."+t.id+") < ($, $)", c.Updated.Time, c.ID)
		}
		if !q.UpdatedSince.IsZero() {
			b.add("t.updated_at >= $", q.UpdatedSince.Time)
		}
	case knowledge.OrderTitle:
		order = t.title + ", t." + t.id
		if c != nil {
			b.add("("+t.title+", t."+t.id+") > ($, $)", c.Title, c.ID)
		}
	case knowledge.OrderID:
		order = "t." + t.id
		if c != nil {
			b.add("t."+t.id+" > $", c.ID)
		}
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %d", t.columns, from, b.conditions(), order, q.Limit+1)
	return sql, b.args
}

// tierSize is the distance of two tiers in house order; see knowledge.Rank.
const tierSize = 1 << 32

// filters adds the conditions of a query but for its place.
func filters(b *statement, t *table, q *knowledge.Query, byFacet bool, facet string) {
	switch q.Activity {
	case knowledge.ActiveOnly:
		b.add("t." + t.active)
	case knowledge.RetiredOnly:
		b.add("NOT t." + t.active)
	case knowledge.AnyActivity:
	}
	if q.Category != "" {
		b.add("t.category = $", q.Category)
	}
	if q.Severity != "" {
		if t.kind == knowledge.KindRule { // the severity is the tier of the rank: a range of the index in house order
			tier := int64(slices.Index(knowledge.Severities(), q.Severity))
			b.add("t.rank >= $ AND t.rank < $", tier*tierSize, (tier+1)*tierSize)
		} else {
			b.add("t.severity = $", q.Severity)
		}
	}
	for _, f := range []struct{ column, value string }{
		{"enforcement", q.Enforcement}, {"status", q.Status}, {"rule_id", q.Rule}, {"repository", q.Repository},
	} {
		if f.value != "" {
			b.add("t."+f.column+" = $", f.value)
		}
	}
	for _, f := range []struct{ facet, value, path string }{{"tag", q.Tag, "t.tags"}, {"language", q.Language, "t.scope -> 'languages'"}} {
		switch {
		case f.value == "" || byFacet && f.facet == facet:
		case q.Activity == knowledge.ActiveOnly:
			b.add("EXISTS (SELECT FROM facets g WHERE g.kind = $ AND g.facet = $ AND g.value = $ AND g.rank = t.rank AND g.id = t."+t.id+")",
				string(t.kind), f.facet, f.value)
		default:
			b.add("jsonb_exists("+f.path+", $)", f.value)
		}
	}
}
