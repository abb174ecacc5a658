package live

import (
	"context"
	"errors"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Notice is something about this tenet that is not in the log. A notice with From or Breaker tells of a change of mode, one
// with Queued of a batch that the journal took.
type Notice struct {
	At      knowledge.Time
	Mode    knowledge.Mode     // how this tenet stands to its primary
	From    knowledge.Mode     // how it stood before
	Breaker string             // where the breaker before the primary stands now: closed, half-open or open
	Why     string             // in words
	Queued  *knowledge.BatchID // a batch that waits for the primary
}

// Bounds of announcements.
const (
	maxNotices = 4096            // notices that wait to be told
	maxWaiting = 100_000         // batches whose outcome is watched
	maxLooks   = 500             // batches that are looked at in one go
	lookEvery  = 1 * time.Second // between two looks at the mode and at batches that wait
)

// notices are what was announced and not yet told.
type notices struct {
	kick chan struct{} // holds one: a second notice is seen with the first

	mu   sync.Mutex // guards what follows
	list []Notice
}

func newNotices() notices { return notices{kick: make(chan struct{}, 1)} }

// Announce tells every subscriber. It never waits, and may be called with locks held. Where thousands of notices wait, the
// oldest is left out: the change itself comes with the log, and the mode with the next ping.
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

// announce turns notices into events until ctx ends, and watches what becomes of the batches that it has announced.
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
			h.settle(ctx, waiting)
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

// moved tells of a change of mode.
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
	h.publish([]*event{modeEvent(&modeMessage{Type: typeMode, Mode: n.Mode, From: from, Breaker: breaker, Why: n.Why, At: at}, time.Now())})
}

// noteMode tells of a change of mode that nobody announced.
func (h *Hub) noteMode() {
	if mode, before := h.o.Level().Mode, h.modeNow().Mode; mode != before {
		h.moved(&Notice{Mode: mode, From: before})
	}
}

// queued tells of a batch that waits in the journal, unless the log has brought it already.
func (h *Hub) queued(ctx context.Context, id knowledge.BatchID, waiting map[knowledge.BatchID]bool) {
	ctx, cancel := context.WithTimeout(ctx, h.o.ReadTimeout)
	defer cancel()
	entry, outcome, err := h.o.Queued(ctx, id)
	if err != nil {
		h.o.Log.WarnContext(ctx, "a batch that waits in the journal could not be announced", "batch", id.String(), "error", err.Error())
		return
	}
	if outcome.State != knowledge.BatchQueued || waiting[id] || len(waiting) >= maxWaiting {
		return
	}
	waiting[id] = true
	h.publishUnless(id, provisionalEvents(&entry, time.Now()))
}

// settle looks what has become of the batches that were announced: the log tells of those applied, and this of those parked.
func (h *Hub) settle(ctx context.Context, waiting map[knowledge.BatchID]bool) {
	if mode := h.modeNow().Mode; mode == knowledge.ModeDegraded || mode == knowledge.ModeCold {
		return // nothing moves before the primary is back
	}
	looks := 0
	for id := range waiting {
		if looks++; looks > maxLooks || ctx.Err() != nil {
			return
		}
		entry, outcome, err := h.outcome(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			delete(waiting, id) // the journal has forgotten it: it was applied long ago
			continue
		}
		if err != nil {
			return
		}
		if outcome.State == knowledge.BatchQueued {
			continue
		}
		delete(waiting, id)
		if outcome.State == knowledge.BatchParked {
			h.publish(parkedEvents(&entry, outcome.Why, time.Now()))
		}
	}
}

func (h *Hub) outcome(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, h.o.ReadTimeout)
	defer cancel()
	return h.o.Queued(ctx, id)
}

// publishUnless publishes what a batch will do, unless the ring shows that it has been done.
func (h *Hub) publishUnless(batch knowledge.BatchID, events []*event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ring.holds(batch) {
		h.publishLocked(events)
	}
}
