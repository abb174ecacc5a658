package server

import (
	"context"
	"sync"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

func (e *embedded) effectBook() store.EffectBook { return sqlite.NewEffectBook(e.Store) }

func (d *dual) effectBook() store.EffectBook {
	return &dualEffects{copy: sqlite.NewEffectBook(d.instance), theirs: func() store.EffectBook {
		if p := d.primary.Load(); p != nil && d.Level().Mode == knowledge.ModeNormal {
			return postgres.NewEffectBook(p.Store)
		}
		return nil
	}}
}

// dualEffects keeps effects at the primary. What is counted while that is away waits in a file of this machine. A
// process that dies while it brings that to the primary may count it twice: better than not at all.
type dualEffects struct {
	theirs func() store.EffectBook // the primary's book; nil while it is away
	copy   store.EffectBook

	mu     sync.Mutex // held while what waits is brought
	asked  bool       // whether something waits was looked at since the start
	queued bool
}

// there returns the primary's book, or why there is none.
func (b *dualEffects) there() (store.EffectBook, error) {
	if f := b.theirs(); f != nil {
		return f, nil
	}
	return nil, &store.UnavailableError{
		Reason:     "PostgreSQL is down, and only it knows the effects of its documents",
		RetryAfter: primaryPatience, NotDone: true,
	}
}

// AddEffects implements [store.EffectBook].
func (b *dualEffects) AddEffects(ctx context.Context, list ...store.EffectDay) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	theirs, err := b.there()
	if err == nil {
		if err = b.bring(ctx, theirs); err == nil {
			err = theirs.AddEffects(ctx, list...)
		}
	}
	if err == nil || len(list) == 0 {
		return nil
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	b.queued = true
	return b.copy.AddEffects(keep, list...)
}

// bring adds what waits to the primary's counts.
func (b *dualEffects) bring(ctx context.Context, theirs store.EffectBook) error {
	if b.asked && !b.queued {
		return nil
	}
	var list []store.EffectDay
	err := b.copy.EffectDays(ctx, "", func(d store.EffectDay) error { list = append(list, d); return nil })
	if err == nil {
		err = theirs.AddEffects(ctx, list...)
	}
	if err == nil {
		err = b.copy.ForgetEffects(context.WithoutCancel(ctx), "9999-12-31")
	}
	if err == nil {
		b.asked, b.queued = true, false
	}
	return err
}

// EffectDays implements [store.EffectBook].
func (b *dualEffects) EffectDays(ctx context.Context, from string, fn func(store.EffectDay) error) error {
	theirs, err := b.there()
	if err != nil {
		return err
	}
	return theirs.EffectDays(ctx, from, fn)
}

// ForgetEffects implements [store.EffectBook].
func (b *dualEffects) ForgetEffects(ctx context.Context, before string) error {
	theirs, err := b.there()
	if err != nil {
		return err
	}
	return theirs.ForgetEffects(ctx, before)
}

// PutEffects implements [store.EffectBook].
func (b *dualEffects) PutEffects(ctx context.Context, list ...store.Effect) error {
	theirs, err := b.there()
	if err != nil {
		return err
	}
	return theirs.PutEffects(ctx, list...)
}

// Effects implements [store.EffectBook].
func (b *dualEffects) Effects(ctx context.Context, q store.EffectQuery) ([]store.Effect, error) {
	theirs, err := b.there()
	if err != nil {
		return nil, err
	}
	return theirs.Effects(ctx, q)
}
