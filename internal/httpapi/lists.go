package httpapi

import (
	"errors"

	"tenet/internal/knowledge"
)

// A lister is the parameters of a list.
type lister interface {
	// query returns the question without its kind, and notes what is wrong with it.
	query(f *faultList) knowledge.Query
}

// pageParams are those that every list has.
type pageParams struct {
	Active       string         `query:"active" doc:"Documents in use, retired ones, or both" enum:"true,false,any" default:"true" example:"any"`
	UpdatedSince knowledge.Time `query:"updated_since" doc:"Only what was changed at this time or later, the newest first" example:"2026-01-31T12:00:00Z"`
	Sort         string         `query:"sort" doc:"The order: what matters most first, the last changed first, by title, by id" enum:"house,updated,title,id" default:"house" example:"title"`
	Limit        int            `query:"limit" doc:"How many documents a page holds" minimum:"1" maximum:"200" default:"50" example:"20"`
	Cursor       string         `query:"cursor" doc:"Where the page begins: next of the page before, with the same filters"`
	knownHeader
}

func (p *pageParams) query(f *faultList) knowledge.Query {
	q := knowledge.Query{UpdatedSince: p.UpdatedSince, Order: knowledge.Order(p.Sort), Limit: p.Limit, Cursor: p.Cursor}
	switch p.Active {
	case "", "true":
	case "false":
		q.Activity = knowledge.RetiredOnly
	case "any":
		q.Activity = knowledge.AnyActivity
	default:
		f.add("/active", "%q: want true, false or any", p.Active)
	}
	return q
}

// commonFilters are those of rules, practices and templates.
type commonFilters struct {
	Category string `query:"category" doc:"The id of their category" example:"security"`
	Tag      string `query:"tag" doc:"A tag that they carry" example:"sql"`
	Language string `query:"language" doc:"A language of their scope" example:"go"`
}

func (p *commonFilters) into(q knowledge.Query) knowledge.Query {
	q.Category, q.Tag, q.Language = p.Category, p.Tag, p.Language
	return q
}

type listParams struct {
	commonFilters
	pageParams
}

func (p *listParams) query(f *faultList) knowledge.Query { return p.into(p.pageParams.query(f)) }

type listRulesParams struct {
	commonFilters
	Severity    string `query:"severity" doc:"How grave a violation is" enum:"CRITICAL,ERROR,WARNING,INFO" example:"CRITICAL"`
	Enforcement string `query:"enforcement" doc:"How strictly they hold" enum:"mandatory,recommended,optional" example:"mandatory"`
	Status      string `query:"status" doc:"Where they stand in their life" enum:"DRAFT,ACTIVE,DEPRECATED" example:"ACTIVE"`
	pageParams
}

func (p *listRulesParams) query(f *faultList) knowledge.Query {
	q := p.into(p.pageParams.query(f))
	q.Severity, q.Enforcement, q.Status = p.Severity, p.Enforcement, p.Status
	return q
}

type listViolationsParams struct {
	Rule       string `query:"rule" doc:"The id of the rule that was broken" example:"SEC-001"`
	Repository string `query:"repository" doc:"Where it was broken" example:"payments-api"`
	Severity   string `query:"severity" doc:"How grave they are" enum:"CRITICAL,ERROR,WARNING,INFO" example:"ERROR"`
	Status     string `query:"status" doc:"Where they stand" enum:"open,resolved,waived" example:"open"`
	pageParams
}

func (p *listViolationsParams) query(f *faultList) knowledge.Query {
	q := p.pageParams.query(f)
	q.Rule, q.Repository, q.Severity, q.Status = p.Rule, p.Repository, p.Severity, p.Status
	return q
}

type listPlainParams struct{ pageParams }

// lists makes the handler of a collection's list.
func (l *collection) lists() handler {
	switch l.kind {
	case knowledge.KindRule:
		return collecting(func(c *call, p *listRulesParams, f faultList) error { return l.list(c, p, f) })
	case knowledge.KindViolation:
		return collecting(func(c *call, p *listViolationsParams, f faultList) error { return l.list(c, p, f) })
	case knowledge.KindPractice, knowledge.KindTemplate:
		return collecting(func(c *call, p *listParams, f faultList) error { return l.list(c, p, f) })
	case knowledge.KindCategory, knowledge.KindPrincipal:
	}
	return collecting(func(c *call, p *listPlainParams, f faultList) error { return l.list(c, p, f) })
}

// merge adds the faults of an error, when it has any.
func (f *faultList) merge(err error) {
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		*f = append(*f, invalid.Faults...)
	}
}
