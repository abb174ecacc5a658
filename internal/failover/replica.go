package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// replicaPoll is the time between two questions to a replica that is behind: nothing tells when a standby has caught
// up.
const replicaPoll = 100 * time.Millisecond

// buildFromReplica builds a mirror from the replica, as [keeper.build] does from the primary. The replica has
// ConnectTimeout to open and to catch up with the primary. After an error that is no [diskError] the primary should be
// read instead.
func (k *keeper) buildFromReplica(ctx context.Context, p Primary, why string, because reason) (_ *salvager, err error) {
	theirs, err := k.position(ctx, p)
	if err != nil {
		return nil, err
	}
	short, cancel := context.WithTimeout(ctx, k.o.connectTimeout)
	defer cancel()
	r, err := k.o.Replica(short)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := awaitSeq(short, r, theirs.Seq); err != nil {
		return nil, err
	}
	return k.build(ctx, p, r, func(sink store.Sink) store.Sink {
		return &sameHistory{Sink: k.guarded(ctx, sink), ctx: ctx, k: k, p: p, theirs: theirs}
	}, why, because)
}

// position asks the primary where it stands.
func (k *keeper) position(ctx context.Context, p Primary) (knowledge.Position, error) {
	short, cancel := context.WithTimeout(ctx, k.o.readTimeout)
	defer cancel()
	return p.Position(short)
}

// awaitSeq waits until a replica has the log up to a seq. Its error says how far the replica came, if it said so at
// all.
func awaitSeq(ctx context.Context, r Replica, least knowledge.Seq) error {
	for behind := error(nil); ; {
		seq, err := r.Newest(ctx)
		switch {
		case ctx.Err() != nil && behind != nil:
			return behind
		case err != nil:
			return err
		case seq >= least:
			return nil
		}
		behind = fmt.Errorf("the replica has the log up to change %d, and the primary up to %d", seq, least)
		store.Pause(ctx, replicaPoll)
	}
}

// sameHistory refuses the snapshot of a replica that is of another cluster than the primary, that has another log, or
// that is older than the primary was when the build began.
type sameHistory struct {
	store.Sink
	ctx    context.Context // of the build; a sink's methods take none
	k      *keeper
	p      Primary
	theirs knowledge.Position
}

// Begin implements [store.Sink]. The position is that of the snapshot itself.
func (s *sameHistory) Begin(at knowledge.Position) error {
	if at.System != s.theirs.System {
		return fmt.Errorf("the replica is of cluster %s, and the primary of %s", at.System, s.theirs.System)
	}
	if at.Seq < s.theirs.Seq {
		return fmt.Errorf("the replica has the log up to change %d, and the primary up to %d", at.Seq, s.theirs.Seq)
	}
	if at.Seq > 0 {
		short, cancel := context.WithTimeout(s.ctx, s.k.o.readTimeout)
		defer cancel()
		same, err := s.p.Changes(short, knowledge.ChangeQuery{After: at.Seq - 1, Limit: 1})
		if err != nil {
			return err
		}
		if len(same) == 0 || same[0].Seq != at.Seq || same[0].Chain != at.Chain {
			return fmt.Errorf("the replica has another log than the primary at change %d", at.Seq)
		}
	}
	at.Timeline = s.theirs.Timeline // a standby knows it from its last checkpoint only
	return s.Sink.Begin(at)
}
