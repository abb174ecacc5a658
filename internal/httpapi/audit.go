package httpapi

import (
	"net/http"
	"slices"
	"time"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const auditPath = "/api/v1/audit"

type auditParams struct {
	Before string `query:"before" doc:"Only what is older than this time: the at of the last entry seen leads to those before it" example:"2026-11-24T08:00:00Z"`
	Actor  string `query:"actor" doc:"Only those of one principal" maxLength:"128" example:"ada"`
	Limit  int    `query:"limit" doc:"How many at most" minimum:"1" maximum:"500" default:"100" example:"20"`
}

func auditRoute() *route {
	return &route{
		method: http.MethodGet, path: auditPath, id: "list-refusals", tag: "operations",
		summary: "List refused calls",
		description: "Who was refused what, when and from where, the newest first; who applied a proposal without its approvals; and who entered a write under another's name or another " +
			"time. What was done stands in the log of changes. Only admins may ask.",
		handler: with(func(c *call, p *auditParams) error { return listRefusals(c, p) }),
		answers: []answer{jsonAnswer[api.AuditList](http.StatusOK, "The refused calls", exampleAudit())},
	}
}

func listRefusals(c *call, p *auditParams) error {
	if no := access.Decide(c.request.Caller, access.Act{Verb: access.VerbOperate}); no != nil {
		return c.request.Caller.Deny(no)
	}
	const most, usual = 500, 100
	var f faultList
	switch {
	case p.Limit == 0:
		p.Limit = usual
	case p.Limit < 1 || p.Limit > most:
		f.add("/limit", "%d: want 1 to %d", p.Limit, most)
	}
	var before knowledge.Time
	if p.Before != "" {
		at, err := time.Parse(time.RFC3339Nano, p.Before)
		if err != nil {
			f.add("/before", "%q: want a time such as 2026-11-24T08:00:00Z", p.Before)
		}
		before = knowledge.At(at)
	}
	if len(f) > 0 {
		return f.err(true)
	}
	a := api.AuditList{Refusals: []store.Refusal{}}
	if c.h.o.Audit == nil {
		return c.json(http.StatusOK, a)
	}
	list, err := c.h.o.Audit.Refusals(c.limited(), before, p.Actor, p.Limit)
	if err != nil {
		return err
	}
	fillPage(&a, list, p.Limit)
	return c.json(http.StatusOK, a)
}

// fillPage fills in a page of at most limit refusals, and where the next one begins. Those of the last one's moment come on the next
// page, all together: a page begins at a moment.
func fillPage(a *api.AuditList, list []store.Refusal, limit int) {
	if len(list) == limit {
		last := list[limit-1].At
		if kept := slices.IndexFunc(list, func(r store.Refusal) bool { return r.At.Equal(last.Time) }); kept > 0 && limit > 1 {
			list = list[:kept]
			last = list[len(list)-1].At
		}
		a.Next = last.Format(knowledge.TimeLayout)
	}
	a.Refusals = append(a.Refusals, list...)
}

func exampleAudit() api.AuditList {
	at, _ := time.Parse(time.RFC3339, "2026-11-24T07:59:58Z")
	return api.AuditList{Refusals: []store.Refusal{{
		At: knowledge.At(at), Actor: "ada", Action: "put", Key: "rule/SEC-001", Peer: "192.0.2.7", RequestID: "9f86d081884c7d65",
		Reason: "put rule/SEC-001: this needs the role maintainer or admin",
	}}}
}
