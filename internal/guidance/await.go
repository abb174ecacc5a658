package guidance

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// awaitLongest is the longest time that a query waits until the index has what its caller has seen already.
const awaitLongest = 2 * time.Second

// nowhere is a key that nothing has. A read of it makes the store as current as its caller wishes.
var nowhere = knowledge.Key{Kind: knowledge.KindCategory, ID: "-"} //nolint:gochecknoglobals // never written

// await waits until the index has what the caller wishes for (see [store.Wish]), and what waits in the journal. It
// gives up in time: then the answer is as old as it says, or an error if the wish is required.
func (x *Index) await(ctx context.Context) error {
	marked := x.stale.marked.Load()
	least, err := x.least(ctx)
	if err != nil {
		return err
	}
	if x.reached(least, marked) == nil {
		return nil
	}
	t := time.NewTimer(awaitLongest)
	defer t.Stop()
	for {
		moved := x.reached(least, marked)
		if moved == nil {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			if !store.WishOf(ctx).Required {
				return nil
			}
			return &store.UnavailableError{
				Reason: "guidance has not followed the log so far: ask again soon", RetryAfter: time.Second,
				NotDone: true,
			}
		}
	}
}

// least returns the change that the index must have reached for the caller. The log itself may end before the change
// that the caller has seen, as after a restore: that is not waited for.
func (x *Index) least(ctx context.Context) (knowledge.Seq, error) {
	wish := store.WishOf(ctx)
	if s := x.snap.Load(); !wish.Fresh && !wish.Required && wish.MinSeq <= s.seq {
		return 0, nil
	}
	newest, err := x.newest(ctx)
	if err != nil && !wish.Required && ctx.Err() == nil {
		newest, err = 0, nil // the answer is as old as it says
	}
	if err != nil || wish.Fresh || wish.Required {
		return newest, err
	}
	return min(wish.MinSeq, newest), nil
}

// newest returns the last change of the log, once the store is as current as the caller wishes.
func (x *Index) newest(ctx context.Context) (knowledge.Seq, error) {
	if _, err := x.o.Store.Get(ctx, nowhere); err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	at, err := store.Newest(ctx, x.o.Feed)
	return at.Seq, err
}

// reached returns nil if the index has a change, and has read again as many documents as were marked; otherwise what is
// closed when it has moved on.
func (x *Index) reached(seq knowledge.Seq, marked uint64) <-chan struct{} {
	if s := x.snap.Load(); s.seq >= seq && x.stale.done.Load() >= marked {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.snap.Load().seq >= seq && x.stale.done.Load() >= marked {
		return nil
	}
	return x.moved
}

// step wakes those who wait for the index. The caller holds the lock.
func (x *Index) step() {
	close(x.moved)
	x.moved = make(chan struct{})
}
