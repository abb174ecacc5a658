package guidance_test

import (
	"context"
	"sync/atomic"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// overlaid is a reader that shows one document otherwise.
type overlaid struct {
	store.Reader
	rec atomic.Pointer[knowledge.Record]
}

// Get implements [store.Reader].
func (o *overlaid) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if rec := o.rec.Load(); rec != nil && rec.Key == key {
		return rec, nil
	}
	return o.Reader.Get(ctx, key)
}
