package httpapi

import (
	"encoding/json"
	"net/http"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const archivePath = "/api/v1/archive"

type archiveParams struct {
	Kind  string `query:"kind" doc:"Only documents of this kind" example:"rule"`
	ID    string `query:"id" doc:"Only the document with this id; needs a kind" maxLength:"128" example:"SEC-001"`
	After string `query:"after" doc:"Last kind and id of the page before" maxLength:"160" example:"rule/SEC-000"`
	Limit int    `query:"limit" doc:"How many at most" minimum:"1" maximum:"500" default:"100" example:"20"`
}

// archivedView is an archived document as it is shown.
type archivedView struct {
	Kind     string          `json:"kind" doc:"Its kind" example:"rule"`
	ID       string          `json:"id" doc:"Its id" example:"SEC-001"`
	Version  int64           `json:"version" doc:"Version in the archive: for If-Match of a restore" minimum:"1"`
	At       knowledge.Time  `json:"archived_at" doc:"When it was archived"`
	Document json.RawMessage `json:"document" doc:"The document as it was before"`
}

type archiveList struct {
	Documents []archivedView `json:"documents" doc:"What is archived, by kind and id"`
	Next      string         `json:"next,omitempty" doc:"The after of the next page; left out on the last"`
}

func archiveRoute() *route {
	return &route{
		method: http.MethodGet, path: archivePath, id: "list-archive", tag: "operations",
		summary: "List archived documents",
		description: "Documents that were retired long ago, by kind and id. No list, no search and no guidance has " +
			"them; their history stays. " +
			"Restoring one, as a retired document is restored, brings it back. While PostgreSQL is down it is " +
			"refused: the copies have no archive.",
		handler: with(listArchive),
		answers: []answer{jsonAnswer[archiveList](http.StatusOK, "The archived documents", exampleArchive())},
	}
}

// query checks what a caller asks of the archive.
func (p *archiveParams) query() (store.ArchiveQuery, error) {
	const usual = 100
	var f faultList
	q := store.ArchiveQuery{ID: p.ID, Limit: p.Limit}
	switch {
	case p.Limit == 0:
		q.Limit = usual
	case p.Limit < 1 || p.Limit > store.MaxArchived:
		f.add("/limit", "%d: want 1 to %d", p.Limit, store.MaxArchived)
	}
	var err error
	if p.Kind != "" {
		if q.Kind, err = knowledge.ParseKind(p.Kind); err != nil {
			f.add("/kind", "%s", err)
		}
	} else if p.ID != "" {
		f.add("/id", "stands without a kind")
	}
	if p.After != "" {
		if q.After, err = knowledge.ParseKey(p.After); err != nil {
			f.add("/after", "%s", err)
		}
	}
	if len(f) > 0 {
		return q, f.err(true)
	}
	return q, nil
}

func listArchive(c *call, p *archiveParams) error {
	q, err := p.query()
	if err != nil {
		return err
	}
	if no := access.Decide(c.request.Caller, access.Act{
		Verb: access.VerbRead,
		Key:  knowledge.Key{Kind: q.Kind},
	}); no != nil {
		return c.request.Caller.Deny(no)
	}
	a := archiveList{Documents: []archivedView{}}
	if c.h.o.Archive == nil {
		return c.json(http.StatusOK, a)
	}
	limit := q.Limit
	q.Limit++
	list, err := c.h.o.Archive.Archived(c.limited(), q)
	if err != nil {
		return err
	}
	list, more := onePage(list, limit)
	for i := range list {
		d := &list[i]
		a.Documents = append(a.Documents, archivedView{string(d.Key.Kind), d.Key.ID, d.Version, d.At, d.Record.JSON})
	}
	if more {
		a.Next = list[len(list)-1].Key.String()
	}
	c.h.o.Reads.Tell(c.request, access.Read{
		Action: access.ReadArchive, Key: knowledge.Key{Kind: q.Kind, ID: q.ID}, Question: c.r.URL.RawQuery,
		Count: len(list),
	})
	return c.json(http.StatusOK, a)
}

func exampleArchive() archiveList {
	rec, err := knowledge.NewRecord(exampleDocument(knowledge.KindRule))
	if err != nil {
		return archiveList{}
	}
	return archiveList{
		Documents: []archivedView{{string(rec.Key.Kind), rec.Key.ID, 4, exampleTime(), rec.JSON}},
		Next:      rec.Key.String(),
	}
}
