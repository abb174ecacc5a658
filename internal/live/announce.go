package live

import (
	"context"
	"errors"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Notice is a change of this instance that is not in the log: a change of mode if From or Breaker is set, a batch put
// in the journal if Queued is.
type Notice struct {
	At      knowledge.Time
	Mode    knowledge.Mode     // the instance's mode
	From    knowledge.Mode     // the mode before
	Breaker string             // the breaker's new state: closed, half-open or open
	Why     string             // in words
	Queued  *knowledge.BatchID // a batch that waits for the primary
}

// Limits of announcements.
const (
	maxNotices = 4096            // notices that wait to be published
	maxWaiting = 100_000         // batches whose outcome is watched
	maxLooks   = 500             // batches checked at a time
	lookEvery  = 1 * time.Second // between two checks of the mode and of waiting batches
)

// notices holds the notices that are not yet published.
type notices struct {
	kick chan struct{} // holds one signal, for any number of notices

	mu   sync.Mutex // guards the fields below
	list []Notice
}

func newNotices() notices { return notices{kick: make(chan struct{}, 1)} }

// Announce publishes a notice to every subscriber. It never blocks, and may be called with locks held. If maxNotices
// wait, the oldest is dropped: its change still comes with the log, and its mode with the next ping.
func (h *Hub) Announce(n Notice) {
	h.notices.mu.Lock()
	if len(h.notices.list) == maxNotices {
		h.notices.list = h.notices.list[1:]
	}
	h.notices.list = append(h.notices.list, n)
	h.notices.mu.Unlock()
	select {
	case h.notices.kick <- struct{}{}:
	default:
	}
}

func (n *notices) take() []Notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.list
	n.list = nil
	return list
}

// announce turns notices into events until ctx ends, and watches the batches that it has announced.
func (h *Hub) announce(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	waiting := map[knowledge.BatchID]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.notices.kick:
		case <-look.C:
			h.checkWaiting(ctx, waiting)
		}
		for _, n := range h.notices.take() {
			if n.From != "" || n.Breaker != "" {
				h.moved(&n)
			}
			if n.Queued != nil && h.o.Queued != nil {
				h.queued(ctx, *n.Queued, waiting)
			}
		}
		h.noteMode()
	}
}

// moved publishes a change of mode.
func (h *Hub) moved(n *Notice) {
	m := h.modeNow()
	breaker := n.Breaker
	if breaker == "" {
		breaker = m.Breaker
	}
	if m.Mode == n.Mode && m.Breaker == breaker {
		return
	}
	at := n.At
	if at.IsZero() {
		at = knowledge.At(time.Now())
	}
	from := n.From
	if from == "" && m.Mode != n.Mode {
		from = m.Mode
	}
	h.publish([]*event{modeEvent(&modeMessage{
		Type: typeMode, Mode: n.Mode, From: from, Breaker: breaker, Why: n.Why,
		At: at,
	}, time.Now())})
}

// noteMode publishes a change of mode that was not announced.
func (h *Hub) noteMode() {
	if mode, before := h.o.Level().Mode, h.modeNow().Mode; mode != before {
		h.moved(&Notice{Mode: mode, From: before})
	}
}

// queued publishes a batch that waits in the journal, unless the log already has it.
func (h *Hub) queued(ctx context.Context, id knowledge.BatchID, waiting map[knowledge.BatchID]bool) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	entry, outcome, err := h.o.Queued(ctx, id)
	if err != nil {
		h.o.Log.WarnContext(ctx, "a batch in the journal could not be announced",
			"batch", id.String(), "error", err.Error())
		return
	}
	if outcome.State != knowledge.BatchQueued || waiting[id] || len(waiting) >= maxWaiting {
		return
	}
	events := provisionalEvents(&entry, time.Now())
	if err := h.classify(ctx, &entry, events); err != nil {
		h.o.Log.WarnContext(ctx, "a batch in the journal could not be announced",
			"batch", id.String(), "error", err.Error())
		return
	}
	waiting[id] = true
	h.publishUnless(id, events)
}

// classify notes which confidential categories the events of a batch in the journal tell of.
func (h *Hub) classify(ctx context.Context, entry *store.Entry, events []*event) (err error) {
	for i, e := range events {
		c := &knowledge.Change{Key: e.key}
		for _, l := range entry.Left {
			if l.Key == e.key {
				c.Record = l.Record
			}
		}
		if events[i].tells, err = h.o.Tells(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// checkWaiting checks the announced batches: the log publishes those that were applied, checkWaiting those that were
// parked.
func (h *Hub) checkWaiting(ctx context.Context, waiting map[knowledge.BatchID]bool) {
	if mode := h.modeNow().Mode; mode == knowledge.ModeDegraded || mode == knowledge.ModeCold {
		return // nothing is replayed before the primary is back
	}
	looks := 0
	for id := range waiting {
		if looks++; looks > maxLooks || ctx.Err() != nil {
			return
		}
		entry, outcome, err := h.outcome(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			delete(waiting, id) // the journal has deleted its outcome: it was applied long ago
			continue
		}
		if err != nil {
			return
		}
		if outcome.State == knowledge.BatchQueued {
			continue
		}
		if outcome.State == knowledge.BatchParked {
			events := parkedEvents(&entry, outcome.Why, time.Now())
			if err := h.classify(ctx, &entry, events); err != nil {
				return
			}
			h.publish(events)
		}
		delete(waiting, id)
	}
}

func (h *Hub) outcome(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return h.o.Queued(ctx, id)
}

// publishUnless publishes the provisional changes of a batch, unless the ring has its final ones.
func (h *Hub) publishUnless(batch knowledge.BatchID, events []*event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ring.holds(batch) {
		h.publishLocked(events)
	}
}
