package guidance

import (
	"context"
	"errors"
	"sync"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Run keeps the index current until ctx ends. It returns the context's error.
func (x *Index) Run(ctx context.Context) error {
	var reading sync.WaitGroup
	reading.Go(func() { x.refresh(ctx) })
	defer reading.Wait()
	var asked knowledge.Time
	w := store.Watch{
		Name: "guidance", Feed: x.o.Feed, Log: x.o.Log,
		Begin: func(ctx context.Context, _ error) (store.Place, error) {
			at, err := store.Newest(ctx, x.o.Feed)
			if err != nil {
				return at, err
			}
			return at, x.load(ctx, at.Seq)
		},
		Changed: func(changes []knowledge.Change) error {
			x.learn(ctx, changes)
			return nil
		},
		Asking: func() { asked = x.o.AsOf() },
		Level: func() {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.level = asked
		},
	}
	if err := w.Run(ctx); errors.Is(err, store.ErrClosed) {
		<-ctx.Done()
	}
	return ctx.Err()
}

// AsOf returns when everything in memory was last known to be current, the zero time while it never was.
func (x *Index) AsOf() knowledge.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.level
}
