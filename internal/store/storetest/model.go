package storetest

import (
	"cmp"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// expected returns the ids that a list must hold, in order: the model that every engine's SQL is compared with.
func expected(s *suite, docs []*knowledge.Record, q knowledge.Query) []string {
	s.Helper()
	type row struct {
		rec   *knowledge.Record
		title string
	}
	var rows []row
	for _, rec := range docs {
		if rec.Key.Kind != q.Kind {
			continue
		}
		d, err := rec.Document()
		if err != nil {
			s.Fatal(err)
		}
		if matches(rec, d, q) {
			rows = append(rows, row{rec, d.Text().Title})
		}
	}
	order := q.Order
	if order == "" && !q.UpdatedSince.IsZero() {
		order = knowledge.OrderUpdated
	}
	slices.SortFunc(rows, func(a, b row) int {
		byID := strings.Compare(a.rec.Key.ID, b.rec.Key.ID)
		switch order {
		case knowledge.OrderUpdated:
			return cmp.Or(b.rec.Updated.Compare(a.rec.Updated.Time), -byID)
		case knowledge.OrderTitle:
			return cmp.Or(strings.Compare(a.title, b.title), byID)
		case knowledge.OrderID:
			return byID
		default:
			return cmp.Or(cmp.Compare(a.rec.Rank, b.rec.Rank), byID)
		}
	})
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.rec.Key.ID
	}
	return ids
}

func matches(rec *knowledge.Record, d knowledge.Document, q knowledge.Query) bool {
	if rec.Active && q.Activity == knowledge.RetiredOnly || !rec.Active && q.Activity == knowledge.ActiveOnly {
		return false
	}
	if !q.UpdatedSince.IsZero() && rec.Updated.Before(q.UpdatedSince.Time) {
		return false
	}
	if q.Category != "" && d.CategoryID() != q.Category {
		return false
	}
	is := func(want, got string) bool { return want == "" || want == got }
	var c knowledge.Common
	switch d := d.(type) {
	case *knowledge.Rule:
		if !is(q.Severity, d.Severity) || !is(q.Enforcement, d.Enforcement) || !is(q.Status, d.Status) {
			return false
		}
		c = d.Common
	case *knowledge.Practice:
		c = d.Common
	case *knowledge.Template:
		c = d.Common
	case *knowledge.Violation:
		return is(q.Severity, d.Severity) && is(q.Status, d.Status) && is(q.Rule, d.RuleID) &&
			is(q.Repository, d.Repository)
	case *knowledge.Proposal:
		return is(q.Status, d.State)
	case *knowledge.Category, *knowledge.Principal, *knowledge.Pack, *knowledge.Repository, *knowledge.Label:
		return true
	}
	return (q.Tag == "" || slices.Contains(c.Tags, q.Tag)) && (q.Language == "" ||
		slices.Contains(c.Scope.Languages, q.Language))
}

func idsOf(list []*knowledge.Record) []string {
	ids := make([]string, len(list))
	for i, rec := range list {
		ids[i] = rec.Key.ID
	}
	return ids
}

// equal compares lists and says where they part.
func (s *suite) equal(what string, want, got []string) {
	s.Helper()
	if slices.Equal(want, got) {
		return
	}
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	rest := func(l []string) []string { return l[min(i, len(l)):min(i+5, len(l))] }
	s.Errorf("%s: want %d, got %d; they part at %d: want %v…, got %v…", what, len(want), len(got), i, rest(want),
		rest(got))
}

// page reads one page that must be readable.
func (s *suite) page(q knowledge.Query) *knowledge.Page {
	s.Helper()
	page, err := s.s.List(s.ctx, q)
	if err != nil {
		s.Fatalf("List(%+v): %v", q, err)
	}
	if page == nil {
		s.Fatalf("List(%+v) is nil without an error", q)
	}
	for _, rec := range page.Records {
		s.checkRecord(rec)
	}
	if page.Source == "" {
		s.Errorf("List(%+v) does not say where it came from", q)
	}
	return page
}

// pages reads a list to its end, page by page.
func (s *suite) pages(q knowledge.Query) []*knowledge.Record {
	s.Helper()
	all, total := []*knowledge.Record{}, 0
	for {
		page := s.page(q)
		if q.Cursor == "" {
			total = page.Total
		} else if page.Total != total {
			s.Fatalf("List(%+v): %d in all on a later page, %d on the first", q, page.Total, total)
		}
		limit := q.Limit
		if limit == 0 {
			limit = knowledge.DefaultLimit
		}
		if len(page.Records) > limit || page.Next != "" && len(page.Records) < limit {
			s.Fatalf("List(%+v): %d records and next %q", q, len(page.Records), page.Next)
		}
		all = append(all, page.Records...)
		if len(all) > 10_000 {
			s.Fatalf("List(%+v) does not end", q)
		}
		if page.Next == "" {
			if want := len(all); q.Total && total != want || !q.Total && total != 0 {
				s.Fatalf("List(%+v): said to hold %d in all, and holds %d", q, total, want)
			}
			return all
		}
		q.Cursor = page.Next
	}
}
