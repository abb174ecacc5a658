package server

import (
	"context"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
)

const (
	// standbysEvery is how often an instance looks at what streams from its PostgreSQL.
	standbysEvery = 5 * time.Second
	// standbysTimeout bounds a look.
	standbysTimeout = 2 * time.Second
)

// standbys keeps what the last look at the standbys of a PostgreSQL has found; nil while that is not known.
type standbys struct {
	now     atomic.Pointer[postgres.Standbys]
	replica atomic.Pointer[Replica]
}

// A Replica is what the last look at the standby that mirrors are built from has found.
type Replica struct {
	Age   float64 `json:"heartbeat_age_seconds"` // of the newest heartbeat that was ever seen there; -1 for none
	Error string  `json:"error,omitempty"`       // why it could not be asked

	beat time.Time
}

// watch looks from time to time, until ctx ends.
func (s *standbys) watch(ctx context.Context, d *dual) {
	tick := time.NewTicker(standbysEvery)
	defer tick.Stop()
	for {
		s.now.Store(d.lookAtStandbys(ctx))
		s.replica.Store(lookAtReplica(ctx, d, s.replica.Load()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// answering returns the primary while it answers, else nil.
func answering(d *dual) *primary {
	if mode := d.Level().Mode; mode != knowledge.ModeNormal && mode != knowledge.ModeRecovering {
		return nil
	}
	return d.primary.Load()
}

// lookAtStandbys returns what streams from the primary; nil while it is away.
func (d *dual) lookAtStandbys(ctx context.Context) *postgres.Standbys {
	p := answering(d)
	if p == nil {
		return nil
	}
	own, cancel := context.WithTimeout(ctx, standbysTimeout)
	defer cancel()
	n, err := postgres.StandbysOf(own, p.Store)
	if err != nil {
		return nil
	}
	return &n
}

// lookAtReplica keeps the primary's heartbeat going and compares it with that of the replica. It returns nil where
// there is no replica, and while the primary is down.
func lookAtReplica(ctx context.Context, d *dual, last *Replica) *Replica {
	own, cancel := context.WithTimeout(ctx, standbysTimeout)
	defer cancel()
	p := answering(d)
	if p == nil {
		return nil
	}
	now, err := postgres.Beat(own, p.Store)
	if err != nil || d.o.ReplicaURL == "" {
		return nil
	}
	state := &Replica{Age: -1}
	a := postgres.Address{URL: d.o.ReplicaURL, AllowUnverifiedTLS: d.o.AllowUnverifiedTLS}
	if state.beat, err = postgres.HeartbeatAt(own, a); err != nil {
		state.Error = err.Error()
		if last != nil {
			state.beat = last.beat
		}
	}
	if !state.beat.IsZero() {
		state.Age = max(0, now.Sub(state.beat).Round(time.Second).Seconds())
	}
	return state
}

// age tells the age of the replica's heartbeat, -1 while that is not known.
func (s *standbys) age() float64 {
	if r := s.replica.Load(); r != nil {
		return r.Age
	}
	return -1
}

// notes returns warnings about the standbys, for the operator of a server that can answer.
func (s *standbys) notes() []string {
	n := s.now.Load()
	if n == nil || !n.Wanted || n.Synchronous > 0 || n.Hidden {
		return nil
	}
	return []string{"no synchronous standby is present: commits of PostgreSQL wait for one"}
}

// count tells a number of the last look, -1 while it is not known.
func (s *standbys) count(of func(*postgres.Standbys) int) func() float64 {
	return func() float64 {
		n := s.now.Load()
		if n == nil || n.Hidden {
			return -1
		}
		return float64(of(n))
	}
}
