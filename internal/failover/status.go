package failover

import (
	"context"
	"time"

	"tenet/internal/knowledge"
)

// Status tells everything about how an instance stands to its primary.
type Status struct {
	Mode      knowledge.Mode `json:"mode"`
	Since     knowledge.Time `json:"since"`
	Why       string         `json:"why"`
	AsOf      knowledge.Time `json:"as_of"`
	Breaker   string         `json:"breaker"`       // closed, open or half-open
	Swings    int64          `json:"breaker_moves"` // how often it has moved
	Errors    []string       `json:"errors"`        // the primary's last errors, the newest last
	Halt      string         `json:"halt,omitempty"`
	Mirror    MirrorStatus   `json:"mirror"`
	Journal   JournalStatus  `json:"journal"`
	Hedged    int64          `json:"hedged"`      // reads that the mirror answered first
	FellBack  int64          `json:"fell_back"`   // reads that the mirror answered because the primary failed
	Saturated int64          `json:"saturated"`   // reads that found no slot at the primary
	Moves     int64          `json:"transitions"` // changes of mode
}

// MirrorStatus tells how the mirror stands.
type MirrorStatus struct {
	Ready    bool          `json:"ready"`
	State    string        `json:"state"`         // [MirrorNone], [MirrorBuilding], [MirrorFailing] or [MirrorReady]
	Why      string        `json:"why,omitempty"` // why it is being built, or what it fails with
	Seq      knowledge.Seq `json:"seq"`
	Lag      float64       `json:"lag_seconds"` // since it was last known to be level
	Errors   int64         `json:"errors"`
	Builds   int64         `json:"builds"`
	Compared Comparison    `json:"compared"`
}

// States of a mirror.
const (
	MirrorNone     = "none"     // it was never complete
	MirrorBuilding = "building" // it is being made, or made anew
	MirrorFailing  = "failing"  // it did not do what it was asked last: its file is damaged, or its disk is full
	MirrorReady    = "ready"    // it answers, as of its lag ago
)

// mirrorStateLocked returns a mirror's state, and why it is in it. It needs s.mu.
func (s *Store) mirrorStateLocked() (state, why string) {
	switch {
	case s.building != "":
		return MirrorBuilding, s.building
	case s.trouble != "":
		return MirrorFailing, s.trouble
	case !s.ready:
		return MirrorNone, ""
	}
	return MirrorReady, ""
}

// JournalStatus tells what waits.
type JournalStatus struct {
	Depth    int64   `json:"depth"`
	Bytes    int64   `json:"bytes"`
	Limit    int64   `json:"limit_bytes"`
	Oldest   float64 `json:"oldest_seconds"` // age of the oldest batch that waits
	Queued   int64   `json:"queued"`         // taken since the start
	Replayed int64   `json:"replayed"`       // applied since the start
	Parked   int64   `json:"parked"`         // waiting for a person
	Done     int64   `json:"replay_done"`    // batches that the replay under way has brought to the primary so far, of those and depth
	Rate     float64 `json:"replay_rate"`    // batches a second of the replay under way, 0 when none is
}

// Status returns how the instance stands.
func (s *Store) Status(ctx context.Context) (Status, error) {
	depth, err := s.journal.Depth(ctx)
	if err != nil {
		return Status{}, err
	}
	level := s.Level()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Mode: s.mode, Since: knowledge.At(s.since), Why: s.why, AsOf: level.AsOf, Breaker: s.breakerAt.String(), Swings: s.counts.breakerMoves.Load(),
		Errors: append([]string{}, s.errs...),
		Mirror: MirrorStatus{
			Ready: s.ready, Seq: knowledge.Seq(s.applied.Load()), Errors: s.counts.mirrorErrors.Load(), Builds: s.counts.resyncs.Load(),
			Compared: s.comparison,
		},
		Journal: JournalStatus{
			Depth: depth.Entries, Bytes: depth.Bytes, Limit: depth.Limit, Queued: s.counts.queued.Load(),
			Replayed: s.counts.replayed.Load(), Parked: depth.Parked,
		},
		Hedged: s.counts.hedged.Load(), FellBack: s.counts.fellBack.Load(), Saturated: s.counts.noSlot.Load(), Moves: s.counts.transitions.Load(),
	}
	st.Halt = s.halted()
	st.Mirror.State, st.Mirror.Why = s.mirrorStateLocked()
	if asOf := s.asOf.Load(); asOf != nil {
		st.Mirror.Lag = max(0, time.Since(*asOf).Seconds())
	}
	if !depth.Oldest.IsZero() {
		st.Journal.Oldest = max(0, s.o.Wall().Sub(depth.Oldest.Time).Seconds())
	}
	if began := s.replayBegan; !began.IsZero() {
		st.Journal.Done = s.counts.replayed.Load() - s.replayedBefore
		st.Journal.Rate = float64(st.Journal.Done) / max(time.Since(began).Seconds(), 0.001)
	}
	return st, nil
}
