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
	now atomic.Pointer[postgres.Standbys]
}

// watch looks from time to time, until ctx ends.
func (s *standbys) watch(ctx context.Context, d *dual) {
	tick := time.NewTicker(standbysEvery)
	defer tick.Stop()
	for {
		s.now.Store(d.lookAtStandbys(ctx))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// lookAtStandbys returns what streams from the primary; nil while it is away.
func (d *dual) lookAtStandbys(ctx context.Context) *postgres.Standbys {
	p := d.primary.Load()
	if mode := d.Level().Mode; p == nil || mode != knowledge.ModeNormal && mode != knowledge.ModeRecovering {
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
