package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// maxWait bounds a long poll, in seconds.
const maxWait = 30

// shortestPause is the least time between two looks of a long poll: a doorbell may ring for nothing, and often.
const shortestPause = 5 * time.Millisecond

type changesParams struct {
	After   string    `query:"after" doc:"Only changes after this position, or after the change with this seq; with newest: before it" default:"0" pattern:"^[0-9]{1,19}(-[0-9a-fA-F]{16,64})?$" example:"0"`
	Limit   int       `query:"limit" doc:"How many changes the answer holds; more where a transaction would be cut, unless filtered" minimum:"1" maximum:"2000" default:"500" example:"100"`
	Kind    string    `query:"kind" doc:"Only changes of documents of this kind" kinds:"all" example:"rule"`
	ID      string    `query:"id" doc:"Only changes of this document; wants kind" example:"SEC-001"`
	Version int64     `query:"version" doc:"Only the change that made this version; wants id" minimum:"1" example:"1"`
	Batch   uuid.UUID `query:"batch" doc:"Only changes of this batch" format:"uuid" example:"018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a70"`
	Newest  bool      `query:"newest" doc:"True turns the order round: the newest first" example:"true"`
	Wait    int       `query:"wait" doc:"How many seconds to wait for a change when there is none yet" minimum:"0" maximum:"30" default:"0" example:"1"`
}

func changeRoutes() []*route {
	return []*route{{
		method: http.MethodGet, path: "/api/v1/changes", id: "list-changes", tag: "changes",
		summary: "Read the log of changes",
		description: "The log holds every change in the order in which it became visible, numbered without gaps. To " +
			"follow it, ask " +
			"again with after set to position of the answer before, and with wait to get the next change at once. " +
			"Changes of one transaction come together; more says that the next change belongs to the same one. A " +
			"position names the " +
			"history that it belongs to: after a restore from a backup, or with a position beyond the end of the " +
			"log, the answer is 410.",
		handler:  collecting(listChanges),
		answers:  []answer{jsonAnswer[changePage](http.StatusOK, "A part of the log", exampleChangePage())},
		refusals: []int{http.StatusGone},
	}}
}

func (p *changesParams) query(f *faultList) (knowledge.ChangeQuery, knowledge.Mark) {
	at, err := knowledge.ParseMark(cmp.Or(p.After, "0"))
	if err != nil {
		f.add("/after", "%s", err)
	}
	q := knowledge.ChangeQuery{
		After: at.Seq, Limit: p.Limit, Version: p.Version, Batch: p.Batch, Newest: p.Newest,
		Bytes: knowledge.MaxPageBytes,
	}
	kind, err := knowledge.ParseKind(p.Kind)
	switch {
	case p.Kind != "" && err != nil:
		f.add("/kind", "%s", err)
	case p.ID != "" && p.Kind == "":
		f.add("/kind", "missing: an id is that of a document of some kind")
	case p.ID != "":
		q.Key = knowledge.Key{Kind: kind, ID: p.ID}
	case p.Kind != "":
		q.Kind = kind
	}
	if p.Version != 0 && p.ID == "" {
		f.add("/id", "missing: a version is that of a document")
	}
	if p.Wait < 0 || p.Wait > maxWait {
		f.add("/wait", "%d: want 0 to %d seconds", p.Wait, maxWait)
	}
	if p.Wait > 0 && p.Newest {
		f.add("/wait", "can't stand beside newest: what is new comes at the end of the log")
	}
	return q, at
}

func listChanges(c *call, p *changesParams, f faultList) error {
	q, at := p.query(&f)
	if len(f) > 0 {
		_, err := q.Check() // what else is wrong is told at once
		f.merge(err)
		return f.err(true)
	}
	if p.Wait > 0 {
		select {
		case c.h.waiting <- struct{}{}:
			defer func() { <-c.h.waiting }()
			waited, err := takeWaitingPlace(c)
			defer waited()
			if err != nil {
				return err
			}
		default:
			return busy("too many callers wait for changes")
		}
	}
	if !p.Newest {
		var err error
		if at, err = c.h.reach(c.limited(), at); err != nil {
			return err
		}
	}
	changes, next, err := c.h.await(c.limited(), q, at, time.Duration(p.Wait)*time.Second)
	if err != nil {
		return err
	}
	buf, done := c.buffer()
	defer done()
	b := appendChanges(*buf, changes)
	b = append(b, `,"next_after":`...)
	b = strconv.AppendInt(b, int64(next.Seq), 10)
	b = append(b, `,"position":"`...)
	*buf = append(next.Append(b), `"}`...)
	c.send(http.StatusOK, mediaJSON, *buf)
	return nil
}

// reach returns the mark of a position with its chain value, once the log has it. With PostgreSQL, an instance may have
// seen less of the log than another one. Only in normal mode does it know that a position does not belong to this log.
func (h *Handler) reach(ctx context.Context, m knowledge.Mark) (knowledge.Mark, error) {
	ctx = access.System(ctx) // the position may be a change that the caller may not see
	at, err := store.Find(ctx, h.o.Store, m)
	if err == nil && at.Seq < m.Seq && h.o.Fresh != nil {
		at, err = store.Find(h.o.Fresh(ctx), h.o.Store, m)
	}
	switch {
	case err != nil || at.Seq == m.Seq:
		return at, err
	case h.o.Level().Mode != knowledge.ModeNormal:
		return m, nil
	}
	return m, &store.GoneError{Other: true}
}

// await reads the log, again until there is something or the time is over, and returns where to go on.
func (h *Handler) await(ctx context.Context, q knowledge.ChangeQuery, at knowledge.Mark,
	wait time.Duration,
) ([]knowledge.Change, knowledge.Mark, error) {
	end := time.Now().Add(wait)
	for {
		seen := at
		if wait > 0 && q.Filtered() {
			// What the filter lets nothing of through is not waited for again. The end is asked for first: what comes
			// between the two questions is then in the answer or rings.
			end, err := store.End(ctx, h.o.Store)
			if err != nil {
				return nil, at, err
			}
			if end.Seq > seen.Seq {
				seen = end
			}
		}
		changes, err := h.o.Store.Changes(ctx, q)
		if err != nil {
			return nil, at, err
		}
		if n := len(changes); n > 0 {
			return changes, knowledge.MarkAt(changes[n-1].Seq, changes[n-1].Chain), nil
		}
		more, err := h.ring(ctx, seen.Seq, time.Until(end))
		if err != nil || !more {
			return nil, seen, err
		}
	}
}

// ring returns when there may be changes after seq, and reports whether there is time to look: not when the wait is
// over, or the handler is drained.
func (h *Handler) ring(ctx context.Context, after knowledge.Seq, wait time.Duration) (bool, error) {
	if wait <= 0 {
		return false, nil
	}
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	go func() {
		select {
		case <-h.drained:
			cancel()
		case <-short.Done():
		}
	}()
	if err := h.o.Store.Wait(short, after); err != nil && short.Err() == nil {
		return false, err
	}
	t := time.NewTimer(shortestPause)
	defer t.Stop()
	select {
	case <-t.C:
		return true, nil
	case <-short.Done():
		return false, ctx.Err()
	}
}

// change is an entry of the log.
type change struct {
	Seq      knowledge.Seq     `json:"seq" doc:"Its place in the log, from 1 without gaps" minimum:"1"`
	Batch    knowledge.BatchID `json:"batch" doc:"Its batch; zeros for a change by hand in the database" format:"uuid"`
	Verb     knowledge.Verb    `json:"verb" doc:"What was done" enum:"put,retire,restore,purge"`
	Kind     knowledge.Kind    `json:"kind" doc:"The document's kind"`
	ID       string            `json:"id" doc:"The document's id"`
	Version  int64             `json:"version" doc:"The document's version after it" minimum:"1"`
	Actor    string            `json:"actor" doc:"Who did it"`
	At       knowledge.Time    `json:"at" doc:"When"`
	By       string            `json:"entered_by,omitempty" doc:"Who entered it for another, or for another time"`
	Entered  knowledge.Time    `json:"entered_at,omitzero" doc:"When it was handed in: beside entered_by"`
	Message  string            `json:"message,omitempty" doc:"The message of its writer, or of its batch: why"`
	Hash     string            `json:"hash" doc:"SHA-256 of the document as it was stored" pattern:"^[0-9a-f]{64}$"`
	Chain    string            `json:"chain" doc:"SHA-256 of the change and all before it" pattern:"^[0-9a-f]{64}$"`
	Erased   string            `json:"erased,omitempty" doc:"The pseudonym of the person who was erased from it last; hash and chain are those of before"`
	More     bool              `json:"more,omitempty" doc:"True when the next change belongs to the same transaction"`
	Document any               `json:"document" doc:"The document after it; null after a purge"`
}

// changePage is a part of the log.
type changePage struct {
	Changes   []change      `json:"changes" doc:"Changes, the oldest first unless newest was asked for"`
	NextAfter knowledge.Seq `json:"next_after" doc:"The seq of the last change that was seen"`
	Position  string        `json:"position" doc:"What to ask on with as after: next_after with the first digits of the chain value there" example:"42-60303ae22b998861"`
}

func exampleChange(k knowledge.Kind) change {
	d := exampleStored(k)
	return change{
		Seq: 42, Batch: uuid.MustParse(exampleBatchID), Verb: knowledge.VerbPut, Kind: k, ID: d.Key().ID, Version: 1,
		Actor: "anna",
		At:    exampleTime(), Document: d,
		Hash:  strings.Repeat("5d1f8a2c", 8),
		Chain: strings.Repeat("c07be94d", 8),
	}
}

func exampleChangePage() any {
	return changePage{
		Changes: []change{exampleChange(knowledge.KindCategory)}, NextAfter: 42,
		Position: "42-60303ae22b998861",
	}
}
