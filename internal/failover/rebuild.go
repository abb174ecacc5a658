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

// errShrunk says that a snapshot holds suspiciously few documents.
var errShrunk = errors.New("more than a fifth of the documents are missing")

// A reason says why a mirror is rebuilt, and with it which writes of the old mirror must be kept.
type reason int

const (
	noMirror reason = iota // there is no mirror, or it is damaged: nothing is kept
	behind                 // the mirror has the primary's history, as far as can be told, but can't follow it
	parted                 // the mirror's history has parted from the primary's
)

// A guard refuses the snapshot of a primary that may not be followed.
type guard struct {
	store.Sink
	ours *knowledge.Position // nil for any
}

// foreignError says that a snapshot comes from a primary that only a person may accept.
type foreignError struct{ why string }

func (e *foreignError) Error() string { return e.why }

// Begin implements [store.Sink].
func (g guard) Begin(at knowledge.Position) error {
	if g.ours != nil {
		if why := foreign(&at, g.ours); why != "" {
			return &foreignError{why}
		}
	}
	return g.Sink.Begin(at)
}

// rebuild makes the mirror again from a snapshot of the primary. Before the new mirror takes its place, the writes that
// the old one has and the primary lacks are parked. A snapshot that lacks more than a fifth of the documents is
// refused, unless a person has accepted the primary.
func (k *keeper) rebuild(ctx context.Context, p Primary, why string, because reason) error {
	began := time.Now()
	k.counts.resyncs.Add(1)
	k.copy.setBuilding(why)
	defer k.copy.setBuilding("")
	k.o.Log.WarnContext(ctx, "mirror is being built", "why", why)
	accepted := k.accept.Load()
	tee := &salvager{lost: map[knowledge.Key]fingerprint{}}
	if because != noMirror && k.copy.complete() {
		if err := k.salvage.remember(ctx, tee); err != nil {
			return err
		}
	}
	var failed error // an error of the primary or the guard
	watch := guard{Sink: tee}
	if ours, err := k.copy.mirror.Position(ctx); err == nil && !accepted {
		watch.ours = &ours
	}
	err := k.copy.mirror.Rebuild(ctx, func(sink store.Sink) error {
		tee.next = sink
		if err := p.Snapshot(ctx, k.o.Versions, watch); err != nil {
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
		raise(&k.copy.coming, tee.at.Seq)
		return failed
	})
	if errors.Is(failed, errShrunk) {
		return k.refuseShrunk(ctx, tee, why)
	}
	if foreign, ok := errors.AsType[*foreignError](failed); ok {
		return k.diverge(ctx, p, foreign.why)
	}
	if failed != nil {
		return failed
	}
	if err != nil {
		return onDisk(fmt.Errorf("build the mirror: %w", err))
	}
	return k.rebuilt(ctx, tee, began)
}

// refuseShrunk stops following a primary whose snapshot holds suspiciously few documents, until a person has decided.
func (k *keeper) refuseShrunk(ctx context.Context, tee *salvager, why string) error {
	where := ""
	if ours, err := k.copy.mirror.Position(ctx); err == nil {
		where = " (" + bothPositions(&tee.at, &ours) + ")"
	}
	k.modes.handle(input{kind: otherHistory, why: fmt.Sprintf("%s, and of %d documents it has only %d%s; "+
		"the mirror goes on answering, without the primary's changes, until the primary is accepted: see tenet doctor mirror",
		why, tee.had, tee.n, where)})
	return errDiverged
}

// rebuilt makes a complete new mirror the one that answers. began is when the rebuild began.
func (k *keeper) rebuilt(ctx context.Context, tee *salvager, began time.Time) error {
	k.accept.Store(false)
	k.acks.levelled(began)
	k.chain = tee.at.Chain
	k.copy.applied.Store(int64(tee.at.Seq))
	k.copy.asOf.Store(&began)
	if err := k.queue.layAll(ctx); err != nil {
		return err
	}
	k.copy.trusted()
	k.copy.well()
	k.o.Log.InfoContext(ctx, "mirror is complete", "documents", tee.n, "seq", int64(tee.at.Seq),
		"took", time.Since(began).Round(time.Millisecond).String())
	k.board.invalidate(nil)
	k.board.post(mirrorFollowed)
	return nil
}

// overlayPage is how many waiting batches are laid over a mirror in one transaction.
const overlayPage = 500
