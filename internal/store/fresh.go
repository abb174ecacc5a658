package store

import "context"

// freshKey is the key of the wish for a fresh answer in a context.
type freshKey struct{}

// WithFresh returns a context whose reads go past every cache: the caller wants to hear the source itself, or reads so much
// that it would only push out what others need.
func WithFresh(ctx context.Context) context.Context {
	return context.WithValue(ctx, freshKey{}, true)
}

// Fresh reports whether reads should go past every cache.
func Fresh(ctx context.Context) bool {
	fresh, _ := ctx.Value(freshKey{}).(bool)
	return fresh
}
