package store

import (
	"context"

	"tenet/internal/knowledge"
)

// A Wish says how current the reads of a context must be. The zero wish takes the nearest answer, however old.
type Wish struct {
	// Fresh asks for a current answer: one that holds every write that any instance acknowledged before the read began.
	// Such a read bypasses the caches, and waits until the mirror has the primary's newest change.
	Fresh bool
	// MinSeq asks for an answer that has the log up to this change: a caller that passes the last seq it saw never goes
	// back in time.
	MinSeq knowledge.Seq
	// Required makes the wish a condition: if it can't be met in time, the read is [ErrUnavailable] rather than an
	// older answer.
	Required bool
}

// wishKey is the key of a wish in a context.
type wishKey struct{}

// WithWish returns a context with a wish for its reads.
func WithWish(ctx context.Context, w Wish) context.Context {
	return context.WithValue(ctx, wishKey{}, w)
}

// WishOf returns the wish of a context.
func WishOf(ctx context.Context) Wish {
	w, _ := ctx.Value(wishKey{}).(Wish)
	return w
}

// WithFresh returns a context whose reads ask for a current answer.
func WithFresh(ctx context.Context) context.Context {
	w := WishOf(ctx)
	w.Fresh = true
	return WithWish(ctx, w)
}

// A Partial tells that an answer holds only a part of the log, because the whole log can't be asked now.
type Partial struct {
	Oldest knowledge.Seq // where the part begins; 0 if the answer is whole
}

// partialKey is the key of a Partial in a context.
type partialKey struct{}

// WithPartial returns a context that accepts a part of the log if the whole can't be asked; the Partial tells where the
// part begins. Without WithPartial such an answer is an error: a short list must not look complete.
func WithPartial(ctx context.Context) (context.Context, *Partial) {
	p := &Partial{}
	return context.WithValue(ctx, partialKey{}, p), p
}

// PartialOf returns the Partial to fill in; nil if the caller does not accept a part.
func PartialOf(ctx context.Context) *Partial {
	p, _ := ctx.Value(partialKey{}).(*Partial)
	return p
}
