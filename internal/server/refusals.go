package server

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Bounds of keeping refusals.
const (
	// what comes while it is full is counted and logged, not kept: an attack must not fill the disk.
	refusalQueue   = 1024
	refusalBatch   = 200
	refusalTimeout = 5 * time.Second
	// refusalsEach is how many are kept and logged in a minute of one principal, or of one address where no principal
	// is known; of the rest the number is kept. Nobody crowds out anybody else, and nobody fills the disk.
	refusalsEach = 60
	// refusalPeers is how many addresses of strangers are told apart in a minute; the rest count as one.
	refusalPeers = 1024
)

// refusals keeps what was refused, beside the calls: nobody waits for it.
type refusals struct {
	book      store.AuditBook
	log       *slog.Logger
	queue     chan store.AuditEntry
	lost      atomic.Int64
	overrides atomic.Int64 // proposals that were applied without their approvals

	mu     sync.Mutex
	minute int64 // the one that is counted
	counts map[asker]int
	peers  int // of strangers among them
}

// An asker is who was refused: a principal, or an address where none is known.
type asker struct{ actor, peer string }

func newRefusals(book store.AuditBook, log *slog.Logger) *refusals {
	return &refusals{book: book, log: log, queue: make(chan store.AuditEntry, refusalQueue), counts: map[asker]int{}}
}

// note takes in a call that was not let through.
func (r *refusals) note(ctx context.Context, from access.Refusal) {
	now := time.Now()
	entry := store.AuditEntry{
		At: knowledge.At(now), Kind: store.AuditRefused, Action: strings.ToLower(from.Method), Key: keyText(from.Key),
		Count: 1, Reason: from.Reason, RequestID: from.RequestID, Peer: from.Peer, Door: from.Door,
	}
	if from.Caller != nil {
		entry.Actor = from.Caller.ID
	}
	if from.Method == access.MethodEnter { // no refusal: it is kept in any case
		entry.Kind, entry.Action = store.AuditEntered, "entered"
		r.put(entry)
		return
	}
	if from.Method == access.MethodPropose {
		entry.Kind, entry.Action = store.AuditProposed, "proposed"
		r.put(entry)
		return
	}
	if from.Method == access.MethodOverride { // neither
		entry.Kind, entry.Action = store.AuditOverridden, "overridden"
		r.overrides.Add(1)
		r.log.LogAttrs(ctx, slog.LevelWarn, "proposal applied without its approvals",
			slog.String("actor", entry.Actor), slog.String("key", entry.Key),
			slog.String("reason", entry.Reason), slog.String("request_id", entry.RequestID),
			slog.String("peer", entry.Peer))
		r.put(entry)
		return
	}
	if !r.fits(now, asker{entry.Actor, entry.Peer}) {
		return
	}
	if from.Verb != "" {
		entry.Action = string(from.Verb)
	}
	r.log.LogAttrs(ctx, slog.LevelInfo, "call refused", slog.String("actor", entry.Actor),
		slog.String("action", entry.Action),
		slog.String("key", entry.Key), slog.String("reason", entry.Reason), slog.String("request_id", entry.RequestID),
		slog.String("peer", entry.Peer))
	r.put(entry)
}

// keyText returns a document as the audit names it, or only the kind; "" for none.
func keyText(key knowledge.Key) string {
	if key.ID == "" {
		return string(key.Kind)
	}
	return key.String()
}

func (r *refusals) put(entry store.AuditEntry) {
	entry.Trim()
	select {
	case r.queue <- entry:
	default:
		r.lost.Add(1)
	}
}

// fits counts a refusal, and reports whether it is one of those that are kept one by one.
func (r *refusals) fits(now time.Time, who asker) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	if who.actor != "" {
		who.peer = "" // a principal is one, wherever it calls from
	} else if _, known := r.counts[who]; !known {
		if r.peers >= refusalPeers {
			who.peer = otherPeers
		} else {
			r.peers++
		}
	}
	r.counts[who]++
	return r.counts[who] <= refusalsEach
}

// otherPeers stands for the addresses that are not told apart.
const otherPeers = "others"

// turn begins a new minute, and notes how many refusals of the last one were only counted.
func (r *refusals) turn(now time.Time) {
	minute := now.Unix() / 60
	if minute == r.minute {
		return
	}
	for who, n := range r.counts {
		if n > refusalsEach {
			r.put(store.AuditEntry{
				At: knowledge.At(time.Unix(r.minute*60+59, 0)), Actor: who.actor, Peer: who.peer,
				Kind: store.AuditCounted, Action: "counted", Count: int64(n - refusalsEach),
				Reason: strconv.Itoa(n-refusalsEach) +
					" more refusals in this minute, which were counted and not kept one by one",
			})
		}
	}
	clear(r.counts)
	r.minute, r.peers = minute, 0
}

// Run keeps what was refused until ctx ends.
func (r *refusals) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case first := <-r.queue:
			r.keep(ctx, r.take(first))
		case now := <-tick.C:
			r.mu.Lock()
			r.turn(now)
			r.mu.Unlock()
		case <-ctx.Done():
			return nil
		}
	}
}

// flush keeps what still waits.
func (r *refusals) flush(ctx context.Context) {
	r.mu.Lock()
	r.turn(time.Now().Add(time.Minute)) // what was counted so far
	r.mu.Unlock()
	for {
		select {
		case first := <-r.queue:
			r.keep(ctx, r.take(first))
		default:
			return
		}
	}
}

// take returns first and what waits behind it, as much as one write holds.
func (r *refusals) take(first store.AuditEntry) []store.AuditEntry {
	list := []store.AuditEntry{first}
	for len(list) < refusalBatch {
		select {
		case next := <-r.queue:
			list = append(list, next)
		default:
			return list
		}
	}
	return list
}

// keep writes a list, also when the server is being stopped: then ctx may be over.
func (r *refusals) keep(ctx context.Context, list []store.AuditEntry) {
	if lost := r.lost.Swap(0); lost > 0 {
		r.log.LogAttrs(ctx, slog.LevelWarn, "too many refusals at once: some were not kept", slog.Int64("lost", lost))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalTimeout)
	defer cancel()
	if err := r.book.Add(ctx, list...); err != nil && !errors.Is(err, store.ErrClosed) {
		r.log.LogAttrs(ctx, slog.LevelWarn, "refusals not kept: they are in this log only",
			slog.Int("count", len(list)), slog.Any("error", err))
	}
}
