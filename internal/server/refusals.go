package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A refusal is a call that was not let through, as an engine keeps it.
type refusal struct {
	at        knowledge.Time
	actor     string
	action    string
	key       string
	reason    string
	requestID string
}

// refusalKeeper is what an engine offers to keep refusals.
type refusalKeeper interface {
	refuse(ctx context.Context, list []refusal) error
}

// Bounds of keeping refusals.
const (
	refusalQueue   = 1024 // what comes while it is full is counted and logged, not kept: an attack must not fill the disk
	refusalBatch   = 200
	refusalTimeout = 5 * time.Second
	// refusalStrangers is how many calls without a valid token are kept and logged in a minute: anybody can make them.
	refusalStrangers = 120
)

// refusals keeps what was refused, beside the calls: nobody waits for it.
type refusals struct {
	engine refusalKeeper
	log    *slog.Logger
	queue  chan refusal
	lost   atomic.Int64

	strangers atomic.Int64 // calls without a valid token in this minute
	minute    atomic.Int64 // which that is
}

func newRefusals(engine refusalKeeper, log *slog.Logger) *refusals {
	return &refusals{engine: engine, log: log, queue: make(chan refusal, refusalQueue)}
}

// note takes in a call that was not let through.
func (r *refusals) note(ctx context.Context, from access.Refusal) {
	if from.Method == access.MethodAuthenticate && !r.strangerFits(time.Now()) {
		r.lost.Add(1)
		return
	}
	entry := refusal{at: knowledge.At(time.Now()), action: strings.ToLower(from.Method), reason: from.Reason, requestID: from.RequestID}
	if from.Caller != nil {
		entry.actor = from.Caller.ID
	}
	if from.Verb != "" {
		entry.action = string(from.Verb)
	}
	if from.Key != (knowledge.Key{}) {
		entry.key = from.Key.String()
	}
	r.log.LogAttrs(ctx, slog.LevelInfo, "call refused", slog.String("actor", entry.actor), slog.String("action", entry.action),
		slog.String("key", entry.key), slog.String("reason", entry.reason), slog.String("request_id", entry.requestID))
	select {
	case r.queue <- entry:
	default:
		r.lost.Add(1)
	}
}

// strangerFits reports whether one more call without a valid token is kept in this minute.
func (r *refusals) strangerFits(now time.Time) bool {
	if minute := now.Unix() / 60; r.minute.Swap(minute) != minute {
		r.strangers.Store(0)
	}
	return r.strangers.Add(1) <= refusalStrangers
}

// Run keeps what was refused until ctx ends.
func (r *refusals) Run(ctx context.Context) error {
	for {
		select {
		case first := <-r.queue:
			r.keep(ctx, r.take(first))
		case <-ctx.Done():
			return nil
		}
	}
}

// flush keeps what still waits.
func (r *refusals) flush(ctx context.Context) {
	select {
	case first := <-r.queue:
		r.keep(ctx, r.take(first))
	default:
	}
}

// take returns first and what waits behind it, as much as one write holds.
func (r *refusals) take(first refusal) []refusal {
	list := []refusal{first}
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

func (r *refusals) keep(ctx context.Context, list []refusal) {
	if lost := r.lost.Swap(0); lost > 0 {
		r.log.LogAttrs(ctx, slog.LevelWarn, "too many refusals at once: some were not kept", slog.Int64("lost", lost))
	}
	ctx, cancel := context.WithTimeout(ctx, refusalTimeout)
	defer cancel()
	if err := r.engine.refuse(ctx, list); err != nil && !errors.Is(err, store.ErrClosed) {
		r.log.LogAttrs(ctx, slog.LevelWarn, "refusals not kept: they are in this log only", slog.Int("count", len(list)), slog.Any("error", err))
	}
}
