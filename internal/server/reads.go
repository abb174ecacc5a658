package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/access"
	"tenet/internal/check"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Bounds of keeping reads.
const (
	readsRoom    = 8 << 20 // bytes that wait to be written; what comes while they are full is counted
	readsEvery   = time.Second
	readsBatch   = 500
	readsTimeout = 10 * time.Second
	visitorsMost = 10_000 // principals, with their doors and addresses, that are told apart in a day
)

// reads keeps who read what, beside the calls: nobody waits for it. What waits in memory is lost when the process is
// killed.
type reads struct {
	book store.AuditBook
	log  *slog.Logger
	wake chan struct{} // holds one when half of the room is taken
	lost atomic.Int64  // reads that were only counted since the start

	mu       sync.Mutex // guards the fields below
	pending  []store.AuditEntry
	room     int
	counted  int64 // reads that came while there was no room, since the last flush
	day      int64
	visitors map[visitor]struct{} // who has called on that day

	writing sync.Mutex // held by a flush
}

// A visitor is a principal at a door, from an address.
type visitor struct{ actor, door, peer string }

func newReads(book store.AuditBook, log *slog.Logger) *reads {
	return &reads{book: book, log: log, wake: make(chan struct{}, 1), room: readsRoom, visitors: map[visitor]struct{}{}}
}

// note takes in a read.
func (r *reads) note(_ context.Context, from access.Read) {
	e := store.AuditEntry{
		At: knowledge.At(time.Now()), Kind: store.AuditRead, Actor: from.Caller.ID, Door: from.Door,
		Action: from.Action,
		Key:    keyText(from.Key), Question: from.Question, Count: int64(from.Count), RequestID: from.RequestID,
		Peer: from.Peer,
	}
	e.Trim()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.visits(&e) {
		first := e
		first.Kind, first.Action, first.Key, first.Question, first.Count = store.AuditSignedIn, "enter", "", "", 1
		r.add(first)
	}
	if from.Action != access.Wrote {
		r.add(e)
	}
}

// visits reports whether a call is the first of its day. It needs the lock.
func (r *reads) visits(e *store.AuditEntry) bool {
	if day := e.At.Unix() / int64(day/time.Second); day != r.day || len(r.visitors) >= visitorsMost {
		clear(r.visitors)
		r.day = day
	}
	who := visitor{e.Actor, e.Door, e.Peer}
	_, known := r.visitors[who]
	r.visitors[who] = struct{}{}
	return !known
}

// add keeps an entry where there is room. It needs the lock.
func (r *reads) add(e store.AuditEntry) {
	size := e.Size()
	if size > r.room {
		r.counted++
		r.lost.Add(1)
		return
	}
	r.room -= size
	r.pending = append(r.pending, e)
	if r.room < readsRoom/2 && r.room+size >= readsRoom/2 {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// Run writes what waits until ctx ends.
func (r *reads) Run(ctx context.Context) error {
	tick := time.NewTicker(readsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.wake:
		case <-ctx.Done():
			return nil
		}
		r.flush(ctx)
	}
}

// flush writes what waits. What can't be written waits for the next time.
func (r *reads) flush(ctx context.Context) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	list, counted := r.pending, r.counted
	r.pending, r.counted = nil, 0
	r.mu.Unlock()
	freed := 0
	if counted > 0 {
		list = append(list, store.AuditEntry{
			At: knowledge.At(time.Now()), Kind: store.AuditCounted, Action: store.AuditRead, Count: counted,
			Reason: strconv.FormatInt(counted, 10) +
				" more reads than there was room for, which were counted and not kept one by one",
		})
		r.log.LogAttrs(ctx, slog.LevelWarn, "too many reads at once: some are only counted in the audit",
			slog.Int64("count", counted))
	}
	for len(list) > 0 {
		n := min(len(list), readsBatch)
		if err := r.write(ctx, list[:n]); err != nil {
			if !errors.Is(err, store.ErrClosed) {
				r.log.LogAttrs(ctx, slog.LevelWarn, "reads not written to the audit yet",
					slog.Int("count", len(list)), slog.Any("error", err))
			}
			break
		}
		for i := range list[:n] {
			freed += list[i].Size()
		}
		list = list[n:]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.room = min(r.room+freed, readsRoom) // the entry of what was counted took none
	r.pending = append(list, r.pending...)
}

func (r *reads) write(ctx context.Context, list []store.AuditEntry) error {
	ctx, cancel := context.WithTimeout(ctx, readsTimeout)
	defer cancel()
	return r.book.Add(ctx, list...)
}

// auditedLabels tells of lists and searches at labels, which no store of the chain sees.
type auditedLabels struct {
	next store.LabelReader
	tell access.Reads
}

// ListAt implements [store.LabelReader].
func (l auditedLabels) ListAt(ctx context.Context, at *knowledge.Label, q knowledge.Query) (*knowledge.Page, error) {
	page, err := l.next.ListAt(ctx, at, q)
	if err == nil {
		l.tell.Tell(ctx, access.ListRead(&q, at.LabelID, len(page.Records)))
	}
	return page, err
}

// SearchAt implements [store.LabelReader].
func (l auditedLabels) SearchAt(ctx context.Context, at *knowledge.Label,
	q knowledge.SearchQuery,
) (*knowledge.Hits, error) {
	hits, err := l.next.SearchAt(ctx, at, q)
	if err == nil {
		l.tell.Tell(ctx, access.SearchRead(&q, at.LabelID, len(hits.Hits)))
	}
	return hits, err
}

// labelled returns what lists and searches at labels.
func (p *parts) labelled() store.LabelReader {
	labels := p.policy.Confidential.Labelled(p.engine, p.labels)
	if p.told == nil {
		return labels
	}
	return auditedLabels{labels, p.told}
}

// check checks files, and tells that rules were read for it.
func (p *parts) check(ctx context.Context, q *check.Question) (*check.Result, error) {
	result, err := p.checks.Check(ctx, q)
	if err == nil {
		p.told.Tell(ctx, access.Read{
			Action: access.ReadCheck, Key: knowledge.Key{Kind: knowledge.KindRule}, Question: "repository=" +
				q.Repository,
			Count: result.Rules,
		})
	}
	return result, err
}

// skills returns the documents that a model may take up as skills.
func (p *parts) skills(ctx context.Context) ([]guidance.Left, error) {
	left, err := p.guidance.LeftToModel(ctx)
	if hidden := p.policy.Confidential.Hidden(ctx); len(hidden) > 0 {
		left = slices.DeleteFunc(left, func(l guidance.Left) bool { return slices.Contains(hidden, l.Category) })
	}
	if err == nil {
		p.told.Tell(ctx, access.Read{Action: access.ReadSkills, Count: len(left)})
	}
	return left, err
}

// guidanceRead returns the read of guidance.
func guidanceRead(q *guidance.Query, count int) access.Read {
	return access.Read{
		Action: access.ReadGuidance, Count: count,
		Question: "path=" + strings.Join(q.Paths, ",") + "&task=" + q.Task + "&repository=" + q.Repository +
			"&label=" + q.Label,
	}
}
