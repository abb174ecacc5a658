package store

import "context"

type leavingKey struct{}

// WithLeaving returns a context whose answers leave the house: by an assistant, as files for one, or in an export. What
// is confidential stays behind, but for callers who may take it out.
func WithLeaving(ctx context.Context) context.Context {
	return context.WithValue(ctx, leavingKey{}, true)
}

// Leaving reports whether the answers of a context leave the house.
func Leaving(ctx context.Context) bool {
	is, _ := ctx.Value(leavingKey{}).(bool)
	return is
}
