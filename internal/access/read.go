package access

import (
	"context"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
)

// Actions of a [Read].
const (
	ReadGet       = "get"
	ReadList      = "list"
	ReadSearch    = "search"
	ReadHistory   = "history" // of one document
	ReadChanges   = "changes" // of many
	ReadGuidance  = "guidance"
	ReadCheck     = "check"
	ReadSkills    = "skills"
	ReadFollow    = "follow" // a stream of changes began
	ReadConflicts = "conflicts"
	ReadAudit     = "audit"
	ReadArchive   = "archive"
	// Wrote is no read: the caller has written, which the log of changes tells of. It counts as a call of the day.
	Wrote = "write"
)

// A Read is an answered read, for the audit.
type Read struct {
	Caller    *Caller
	Action    string
	Key       knowledge.Key // only the kind for a list, empty for several kinds
	Question  string        // of a list, a search, and so on
	Count     int           // how many documents were handed out
	RequestID string
	Door      string // "" if unknown
	Peer      string // the remote address; "" if unknown
}

// Reads is called for each answered read. May be nil.
type Reads func(ctx context.Context, r Read)

// Tell tells of a read, adding who reads and from where. Reads by the program itself are left out.
func (tell Reads) Tell(ctx context.Context, r Read) {
	if tell == nil || unrecorded(ctx) {
		return
	}
	if r.Caller = CallerFrom(ctx); r.Caller == nil || r.Caller.ID == SystemID {
		return
	}
	q := RequestFrom(ctx)
	r.RequestID = RequestID(ctx)
	if q != nil { // which an assistant's context may have without its id
		r.RequestID = q.RequestID()
	}
	r.Door, r.Peer = q.place()
	tell(ctx, r)
}

// RequestFrom returns the request of a context; nil for none.
func RequestFrom(ctx context.Context) *Request {
	q, _ := ctx.Value(wholeKey).(*Request)
	return q
}

// WithRequest returns a context of the same request, for who answers it elsewhere.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, wholeKey, r)
}

// A question is written as in an address: name=value and name=value.
type question struct{ strings.Builder }

func (b *question) add(name, value string) {
	if value == "" {
		return
	}
	if b.Len() > 0 {
		b.WriteByte('&')
	}
	b.WriteString(name + "=" + value)
}

// ListRead returns the read of a list.
func ListRead(q *knowledge.Query, label string, count int) Read {
	var b question
	for _, name := range knowledge.Filters() {
		b.add(name, q.Filter(name))
	}
	b.add("active", string(q.Activity))
	b.add("label", label)
	if q.Cursor != "" {
		b.add("page", "next")
	}
	return Read{Action: ReadList, Key: knowledge.Key{Kind: q.Kind}, Question: b.String(), Count: count}
}

// SearchRead returns the read of a search.
func SearchRead(q *knowledge.SearchQuery, label string, count int) Read {
	var b question
	b.add("q", knowledge.CleanQuestion(q.Text))
	for _, kind := range q.Kinds {
		b.add("kind", string(kind))
	}
	b.add("category", q.Category)
	b.add("tag", q.Tag)
	b.add("language", q.Language)
	b.add("severity", q.Severity)
	b.add("label", label)
	if q.Cursor != "" {
		b.add("page", "next")
	}
	r := Read{Action: ReadSearch, Question: b.String(), Count: count}
	if len(q.Kinds) == 1 {
		r.Key.Kind = q.Kinds[0]
	}
	return r
}

// changesRead returns the read of a part of the log.
func changesRead(q *knowledge.ChangeQuery, count int) Read {
	var b question
	if q.Version != 0 {
		b.add("version", strconv.FormatInt(q.Version, 10))
	}
	if q.Batch != (knowledge.BatchID{}) {
		b.add("batch", q.Batch.String())
	}
	if q.After != 0 {
		b.add("after", strconv.FormatInt(int64(q.After), 10))
	}
	r := Read{Action: ReadChanges, Key: knowledge.Key{Kind: q.Kind}, Question: b.String(), Count: count}
	if q.Key.ID != "" {
		r.Action, r.Key = ReadHistory, q.Key
	}
	return r
}
