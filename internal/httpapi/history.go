package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Bounds of a page of a document's history.
const (
	defaultHistory = 50
	maxHistory     = 200
)

type historyParams struct {
	documentPath
	Limit  int           `query:"limit" doc:"Changes to return" minimum:"1" maximum:"200" default:"50" example:"10"`
	Before knowledge.Seq `query:"before" doc:"Before this: next of the page before" minimum:"1" example:"1000"`
}

// history answers with the changes of a document, the newest first.
func (l *collection) history(c *call, p *historyParams) error {
	key, err := l.key(c)
	if err != nil {
		return err
	}
	var f faultList
	if p.Limit < 0 || p.Limit > maxHistory {
		f.add("/limit", "%d: want 1 to %d", p.Limit, maxHistory)
	}
	if p.Before < 0 {
		f.add("/before", "%d: want the seq of a change", p.Before)
	}
	if err := f.err(true); err != nil {
		return err
	}
	q := knowledge.ChangeQuery{
		Key: key, Newest: true, After: p.Before, Limit: orInt(p.Limit, defaultHistory),
		Bytes: knowledge.MaxPageBytes,
	}
	ctx, part := store.WithPartial(c.limited())
	changes, err := l.h.o.Store.Changes(ctx, q)
	if err != nil {
		return err
	}
	if len(changes) == 0 && p.Before == 0 {
		if _, err := l.h.o.Store.Get(c.ctx, key); err != nil {
			return err
		}
	}
	more := false
	if q.Full(changes) { // a page that is full may be the last
		next := knowledge.ChangeQuery{Key: key, Newest: true, After: changes[len(changes)-1].Seq, Limit: 1}
		before, err := l.h.o.Store.Changes(ctx, next)
		if err != nil {
			return err
		}
		more = len(before) > 0
	}
	buf, done := c.buffer()
	defer done()
	b := appendChanges(*buf, changes)
	if more {
		b = append(b, `,"next":`...)
		b = strconv.AppendInt(b, int64(changes[len(changes)-1].Seq), 10)
	}
	b = appendPartial(b, part)
	*buf = append(b, '}')
	c.send(http.StatusOK, mediaJSON, *buf)
	return nil
}

// appendPartial appends where a partial answer begins.
func appendPartial(b []byte, part *store.Partial) []byte {
	if part.Oldest == 0 {
		return b
	}
	b = append(b, `,"partial":true,"partial_from":`...)
	return strconv.AppendInt(b, int64(part.Oldest), 10)
}

type versionParams struct {
	documentPath
	knownHeader
	Version string `path:"version" doc:"A version, from 1" example:"1"`
}

// version answers with a document as it was.
func (l *collection) version(c *call, _ *versionParams) error {
	key, err := l.key(c)
	if err != nil {
		return err
	}
	text := c.r.PathValue("version")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return knowledge.BadQuery("version", "%q: want a version, from 1", text)
	}
	rec, err := l.at(c, key, n)
	if err != nil {
		return err
	}
	return c.answerRecord(rec)
}

// at returns a document as it was at a version.
func (l *collection) at(c *call, key knowledge.Key, version int64) (*knowledge.Record, error) {
	changes, err := l.h.o.Store.Changes(c.limited(), knowledge.ChangeQuery{Key: key, Version: version, Limit: 1})
	if err != nil && !errors.Is(err, store.ErrGone) {
		return nil, err
	}
	if len(changes) > 0 && changes[0].Record != nil {
		return changes[0].Record, nil
	}
	rec, err := l.h.o.Store.Get(c.ctx, key)
	switch {
	case err != nil && (len(changes) == 0 || !errors.Is(err, store.ErrNotFound)):
		return nil, err
	case len(changes) > 0:
		why := ", whose text was purged"
		if changes[0].Verb == knowledge.VerbArchive {
			why = ", by which it was archived"
		}
		return nil, &api.RefusedError{
			Err: store.ErrNotFound, Detail: key.String() + " had a version " + decimal(version) + why,
			Cause: &store.NotFoundError{Key: key},
		}
	case rec.Version == version:
		return rec, nil // the log no longer reaches back to when it was written
	}
	return nil, &api.RefusedError{
		Err: store.ErrNotFound, Detail: key.String() + " has no version " + decimal(version) + "; it is at " +
			decimal(rec.Version),
		Cause: &store.NotFoundError{Key: key},
	}
}

// historyPage is a part of a document's history.
type historyPage struct {
	Changes []change      `json:"changes" doc:"Changes, the newest first"`
	Next    knowledge.Seq `json:"next,omitempty" doc:"What to ask on with as before; left out at the end"`
	Partial bool          `json:"partial,omitempty" doc:"There is more, which can't be read now: PostgreSQL is down"`
	From    knowledge.Seq `json:"partial_from,omitempty" doc:"Of a part, the seq of the oldest change that is here"`
}

func exampleHistory(k knowledge.Kind) any { return historyPage{Changes: []change{exampleChange(k)}} }
