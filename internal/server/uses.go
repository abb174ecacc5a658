package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// useCounter is what an engine keeps of how often templates are rendered.
type useCounter interface {
	AddUses(ctx context.Context, counts map[string]int64) error
	Uses(ctx context.Context, ids []string) (map[string]int64, error)
}

// Times of the uses counter.
const (
	usesEvery   = 5 * time.Second // how often it writes
	usesTimeout = 5 * time.Second // how long one write may take
)

// uses counts in memory how often templates are rendered, and adds the counts to the engine's in one statement from
// time to time. What was not written yet is lost when the process is killed; a count is not worth a write for every
// rendering.
type uses struct {
	engine useCounter
	log    *slog.Logger

	mu      sync.Mutex       // guards the fields below
	pending map[string]int64 // bounded by the number of templates
	writing map[string]int64 // on its way to the engine
}

func newUses(engine useCounter, log *slog.Logger) *uses {
	return &uses{engine: engine, log: log, pending: map[string]int64{}}
}

// Use counts one rendering. It does not wait.
func (u *uses) Use(template string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pending[template]++
}

// Uses returns how often each of some templates was rendered.
func (u *uses) Uses(ctx context.Context, ids []string) (map[string]int64, error) {
	counts, err := u.engine.Uses(ctx, ids)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range ids {
		if n := u.pending[id] + u.writing[id]; n > 0 {
			counts[id] += n
		}
	}
	return counts, nil
}

// Run writes the counts from time to time until ctx ends.
func (u *uses) Run(ctx context.Context) error {
	t := time.NewTicker(usesEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			u.flush(ctx)
			if kept, ok := u.engine.(interface{ FlushUses(context.Context) error }); ok {
				kept.FlushUses(ctx) //nolint:errcheck // the next time will do
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// flush writes the counts. What can't be written waits for the next time.
func (u *uses) flush(ctx context.Context) {
	u.mu.Lock()
	counts := u.pending
	if len(counts) == 0 || u.writing != nil {
		u.mu.Unlock()
		return
	}
	u.pending, u.writing = map[string]int64{}, counts
	u.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, usesTimeout)
	defer cancel()
	err := u.engine.AddUses(ctx, counts)

	u.mu.Lock()
	defer u.mu.Unlock()
	u.writing = nil
	if err == nil {
		return
	}
	for id, n := range counts {
		u.pending[id] += n
	}
	u.log.LogAttrs(ctx, slog.LevelWarn, "uses of templates not written", slog.Int("templates", len(counts)),
		slog.Any("error", err))
}
