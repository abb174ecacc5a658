package httpapi

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const auditPath = "/api/v1/audit"

type auditParams struct {
	Below  int64  `query:"below" doc:"Only entries below this: next of the page before" minimum:"1" example:"1000"`
	Before string `query:"before" doc:"Only what is older than this time" example:"2026-11-24T08:00:00Z"`
	Since  string `query:"since" doc:"Only what is of this time or later" example:"2026-11-24T00:00:00Z"`
	Actor  string `query:"actor" doc:"Only those of one principal" maxLength:"128" example:"ada"`
	Key    string `query:"key" doc:"Only those of a document; or a kind: those of its lists" example:"rule/SEC-001"`
	Kind   string `query:"kind" doc:"Only those of one kind" enum:"refused,read,signed-in,entered,overridden,proposed,counted,erased,trimmed" example:"refused"`
	Limit  int    `query:"limit" doc:"How many at most" minimum:"1" maximum:"500" default:"100" example:"20"`
}

func auditRoute() *route {
	return &route{
		method: http.MethodGet, path: auditPath, id: "list-audit", tag: "operations",
		summary: "List who was refused and who read what",
		description: "Who was refused what, when and from where, the newest first; who applied a proposal without " +
			"its approvals; who entered a write " +
			"under another's name or another time; and, where reads are audited, who read what by which door. Each " +
			"entry is chained to the one before " +
			"it. What was written stands in the log of changes. Only admins may ask.",
		handler: with(func(c *call, p *auditParams) error { return listAudit(c, p) }),
		answers: []answer{jsonAnswer[api.AuditList](http.StatusOK, "The entries", exampleAudit())},
	}
}

// query returns what the parameters ask for.
func (p *auditParams) query() (store.AuditQuery, error) {
	const most, usual = 500, 100
	q := store.AuditQuery{Below: p.Below, Actor: p.Actor, Kind: p.Kind, Limit: orInt(p.Limit, usual)}
	var f faultList
	if p.Key != "" {
		var err error
		if q.Key, err = store.AuditAbout(p.Key); err != nil {
			f.add("/key", "%s", err)
		}
	}
	if q.Limit < 1 || q.Limit > most {
		f.add("/limit", "%d: want 1 to %d", q.Limit, most)
	}
	if p.Below < 0 {
		f.add("/below", "%d: want next of the page before", p.Below)
	}
	if p.Kind != "" && !slices.Contains(store.AuditKinds(), p.Kind) {
		f.add("/kind", "%q: want one of %s", p.Kind, strings.Join(store.AuditKinds(), ", "))
	}
	for _, at := range []struct {
		name, text string
		into       *knowledge.Time
	}{{"/before", p.Before, &q.Before}, {"/since", p.Since, &q.Since}} {
		if at.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, at.text)
		if err != nil {
			f.add(at.name, "%q: want a time such as 2026-11-24T08:00:00Z", at.text)
		}
		*at.into = knowledge.At(t)
	}
	return q, f.err(true)
}

func listAudit(c *call, p *auditParams) error {
	if no := access.Decide(c.request.Caller, access.Act{Verb: access.VerbOperate}); no != nil {
		return c.request.Caller.Deny(no)
	}
	q, err := p.query()
	if err != nil {
		return err
	}
	a := api.AuditList{Entries: []store.AuditEntry{}}
	if c.h.o.Audit == nil {
		return c.json(http.StatusOK, a)
	}
	limit := q.Limit
	q.Limit++
	list, err := c.h.o.Audit.Entries(c.limited(), q)
	if err != nil {
		return err
	}
	list, more := onePage(list, limit)
	a.Entries = append(a.Entries, list...)
	if more {
		a.Next = list[len(list)-1].Seq
	}
	c.h.o.Reads.Tell(c.request, access.Read{Action: access.ReadAudit, Question: c.r.URL.RawQuery, Count: len(list)})
	return c.json(http.StatusOK, a)
}

func exampleAudit() api.AuditList {
	at, _ := time.Parse(time.RFC3339, "2026-11-24T07:59:58Z")
	e := store.AuditEntry{
		Seq: 42, At: knowledge.At(at), Kind: store.AuditRefused, Actor: "ada", Door: "rest", Action: "put",
		Key:  "rule/SEC-001",
		Peer: "192.0.2.7", RequestID: "9f86d081884c7d65",
		Reason: "put rule/SEC-001: this needs the role maintainer or admin",
	}
	hash := e.Digest()
	chain := store.AuditChain([32]byte{}, e.Seq, hash)
	e.Hash, e.Chain = hex.EncodeToString(hash[:]), hex.EncodeToString(chain[:])
	return api.AuditList{Entries: []store.AuditEntry{e}}
}
