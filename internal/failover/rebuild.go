package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// keptShare is the share of the mirror's documents that a primary must have for a rebuild without a person's
// acceptance.
const keptShare = 0.8

// rebuild makes the mirror again from a snapshot of the primary, or of its replica if there is one. Before the new
// mirror takes its place, the writes that the old one has and the primary lacks are parked. A snapshot that lacks more
// than a fifth of the documents is refused, unless a person has accepted the primary.
func (k *keeper) rebuild(ctx context.Context, p Primary, why string, because reason) error {
	began := time.Now()
	k.counts.resyncs.Add(1)
	k.mirror.setBuilding(why)
	defer k.mirror.setBuilding("")
	k.o.Log.WarnContext(ctx, "mirror is being built", "why", why)
	if k.o.Replica != nil && because != parted {
		tee, err := k.buildFromReplica(ctx, p, why, because)
		if err == nil {
			return k.rebuilt(ctx, tee, began, "replica")
		}
		if _, here := errors.AsType[*diskError](err); here || ctx.Err() != nil {
			return err
		}
		k.o.Log.WarnContext(ctx, "mirror can't be built from the replica: the primary is read instead", "error",
			err.Error())
		began = time.Now()
	}
	tee, err := k.build(ctx, p, p, func(sink store.Sink) store.Sink { return k.guarded(ctx, sink) }, why, because)
	if errors.Is(err, errShrunk) {
		return k.refuseShrunk(ctx, tee, why)
	}
	if foreign, ok := errors.AsType[*foreignError](err); ok {
		return k.diverge(ctx, p, foreign.why)
	}
	if err != nil {
		return err
	}
	return k.rebuilt(ctx, tee, began, "primary")
}

// guarded returns a sink that refuses the snapshot of a primary that only a person may accept, if nobody has.
func (k *keeper) guarded(ctx context.Context, sink store.Sink) store.Sink {
	watch := guard{Sink: sink}
	if ours, err := k.mirror.file.Position(ctx); err == nil && !k.accept.Load() {
		watch.ours = &ours
	}
	return watch
}

// A source is what a mirror is built from: the primary or its replica.
type source interface {
	Snapshot(ctx context.Context, versions int, sink store.Sink) error
}

// build makes a new mirror from a snapshot of a source, which check may refuse, and puts it in the place of the old
// one. An error that is no [diskError] is one of the source, of check, or of the primary.
func (k *keeper) build(
	ctx context.Context, p Primary, from source, check func(store.Sink) store.Sink, why string, because reason,
) (*salvager, error) {
	tee := &salvager{lost: map[knowledge.Key]fingerprint{}}
	if because != noMirror && k.mirror.complete() {
		if err := k.salvage.remember(ctx, tee); err != nil {
			return tee, err
		}
	}
	accepted, began := k.accept.Load(), time.Now() // what was acknowledged before, the snapshot has
	var failed error                               // of another than this instance's files
	err := k.mirror.file.Rebuild(ctx, func(sink store.Sink) error {
		tee.next = sink
		if err := from.Snapshot(ctx, k.o.Versions, check(tee)); err != nil {
			if _, here := errors.AsType[*diskError](err); !here {
				failed = err
			}
			return err
		}
		if !accepted && float64(tee.n) < keptShare*float64(tee.had) {
			failed = errShrunk
			return failed
		}
		failed = k.salvage.run(ctx, p, tee, why, because)
		raise(&k.mirror.coming, tee.at.Seq)
		return failed
	}, func() []store.Left {
		newer, missing := k.acks.since(began)
		if missing > tee.at.Seq {
			raise(&k.mirror.floor, missing)
		}
		return newer
	})
	switch {
	case failed != nil:
		return tee, failed
	case err != nil:
		return tee, onDisk(fmt.Errorf("build the mirror: %w", err))
	}
	return tee, nil
}

// refuseShrunk stops following a primary whose snapshot holds suspiciously few documents, until a person has decided.
func (k *keeper) refuseShrunk(ctx context.Context, tee *salvager, why string) error {
	where := ""
	if ours, err := k.mirror.file.Position(ctx); err == nil {
		where = " (" + bothPositions(&tee.at, &ours) + ")"
	}
	k.modes.handle(input{kind: otherHistory, why: fmt.Sprintf("%s, and of %s it has only %d%s; "+
		"the mirror goes on answering, without the primary's changes, until the primary is accepted: see tenet "+
		"doctor mirror",
		why, knowledge.Count(tee.had, "document", "documents"), tee.n, where)})
	return errDiverged
}

// rebuilt makes a complete new mirror the one that answers. began is when the reading of its source, named by from,
// began.
func (k *keeper) rebuilt(ctx context.Context, tee *salvager, began time.Time, from string) error {
	k.accept.Store(false)
	k.acks.levelled(began)
	k.chain = tee.at.Chain
	k.mirror.applied.Store(int64(tee.at.Seq))
	k.mirror.asOf.Store(&began)
	if err := k.queue.layAll(ctx); err != nil {
		return err
	}
	k.mirror.trusted()
	k.mirror.well()
	k.o.Log.InfoContext(ctx, "mirror is complete", "from", from, "documents", tee.n, "seq", int64(tee.at.Seq),
		"took", time.Since(began).Round(time.Millisecond).String())
	k.board.invalidate(nil)
	k.board.post(mirrorFollowed)
	return nil
}

// overlayPage is how many waiting batches are laid over a mirror in one transaction.
const overlayPage = 500
