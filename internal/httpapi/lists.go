package httpapi

import "tenet/internal/knowledge"

// viewParams select the fields of each document in a list.
type viewParams struct {
	View   string   `query:"view" doc:"How much of each document: all of it, or what is enough to choose among them; a summary lacks fields that the schema requires" enum:"full,summary" default:"full" example:"summary"`
	Fields []string `query:"fields" doc:"The fields of each document to send and no others, also of those that the schema requires; repeated or separated by commas" example:"version"`
}

// wanted returns the fields of a kind's documents to send; none for whole documents.
func (p *viewParams) wanted(kind knowledge.Kind, f *faultList) []string {
	switch p.View {
	case "", "full", "summary":
	default:
		f.add("/view", "%q: want full or summary", p.View)
	}
	for _, name := range p.Fields {
		if err := knowledge.CheckField(kind, name); err != nil {
			f.add("/fields", "%s", err)
		}
	}
	switch {
	case p.View != "" && len(p.Fields) > 0:
		f.add("/fields", "a view says already which fields are sent: leave out view or fields")
	case p.View == "summary":
		return knowledge.SummaryFields(kind)
	}
	return p.Fields
}

// pageParams are those that every list has.
type pageParams struct {
	Active       string         `query:"active" doc:"Active documents, retired ones, or both" enum:"true,false,any" default:"true" example:"any"`
	UpdatedSince knowledge.Time `query:"updated_since" doc:"Only what was changed at this time or later, the newest first" example:"2026-01-31T12:00:00Z"`
	Sort         string         `query:"sort" doc:"The order: what matters most first, the last changed first, by title, by id" enum:"house,updated,title,id" default:"house" example:"title"`
	Limit        int            `query:"limit" doc:"Documents on a page" minimum:"1" maximum:"200" default:"50" example:"20"`
	Cursor       string         `query:"cursor" doc:"Next of the page before, with the same filters"`
	Total        bool           `query:"total" doc:"True also counts the documents of all pages together" example:"true"`
	viewParams
	knownHeader
}

func (p *pageParams) query(f *faultList) knowledge.Query {
	q := knowledge.Query{
		UpdatedSince: p.UpdatedSince, Order: knowledge.Order(p.Sort), Limit: p.Limit,
		Cursor: p.Cursor, Total: p.Total,
	}
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

// listParams are the parameters of every list. A list has only the filters in the description of its kind, which also
// gives their meaning and values.
type listParams struct {
	Category    string `query:"category" filter:"true"`
	Tag         string `query:"tag" filter:"true"`
	Language    string `query:"language" filter:"true"`
	Severity    string `query:"severity" filter:"true"`
	Enforcement string `query:"enforcement" filter:"true"`
	Status      string `query:"status" filter:"true"`
	Rule        string `query:"rule" filter:"true"`
	Repository  string `query:"repository" filter:"true"`
	pageParams
}

func (p *listParams) query(f *faultList) knowledge.Query {
	q := p.pageParams.query(f)
	q.Category, q.Tag, q.Language, q.Severity = p.Category, p.Tag, p.Language, p.Severity
	q.Enforcement, q.Status, q.Rule, q.Repository = p.Enforcement, p.Status, p.Rule, p.Repository
	return q
}
