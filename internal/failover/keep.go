package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// retryEvery is how long the keeper waits after a failed look at the primary. The breaker decides when a failed primary is
// asked again at all; this only bounds how often the breaker is asked.
const retryEvery = 100 * time.Millisecond

// Run keeps the store going until ctx ends: it connects to the primary, keeps the mirror level with it, replays the journal,
// and moves between the modes. It returns the context's error.
func (s *Store) Run(ctx context.Context) error {
	replayer := make(chan struct{})
	go func() {
		defer close(replayer)
		s.replayLoop(ctx)
	}()
	defer func() { <-replayer }()
	k := &keeper{s: s}
	for ctx.Err() == nil {
		k.step(ctx)
	}
	return ctx.Err()
}

// A keeper follows the primary. It is used by one goroutine.
type keeper struct {
	s        *Store
	verified bool      // the primary's history was found to be the mirror's since the last failure
	checked  time.Time // when mirror and primary were last compared
}

// step looks at the primary once, and waits until the next look is due.
func (k *keeper) step(ctx context.Context) {
	s := k.s
	done, err := s.breaker.Allow()
	if err != nil {
		pause(ctx, retryEvery)
		return
	}
	level, err := k.look(ctx)
	if errors.Is(err, errDiverged) {
		done(nil)
		pause(ctx, s.o.PollFloor)
		return
	}
	c := classify(ctx.Err(), err)
	if err != nil {
		k.verified = false
	}
	s.noteError(c, err)
	done(c.told())
	if err != nil {
		if c == infra || c == halted {
			s.lost(c)
		}
		pause(ctx, retryEvery)
		return
	}
	if level {
		k.rest(ctx)
	}
}

// look follows the primary as far as one page goes, and reports whether the mirror is level with it.
func (k *keeper) look(ctx context.Context) (level bool, err error) {
	s := k.s
	p := s.now()
	if p == nil {
		if p, err = s.connect(ctx); err != nil {
			return false, err
		}
	}
	if !s.hasMirror() {
		s.arrived()
		return false, s.rebuild(ctx, p, "there was no mirror yet", false)
	}
	if !k.verified {
		if err := k.verify(ctx, p); err != nil {
			return false, err
		}
		k.verified = true
	}
	asked := time.Now()
	short, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
	changes, err := p.Changes(short, knowledge.ChangeQuery{After: knowledge.Seq(s.applied.Load())})
	cancel()
	switch {
	case errors.Is(err, store.ErrGone):
		return false, s.rebuild(ctx, p, "the mirror is older than the log", true)
	case err != nil:
		return false, err
	}
	s.arrived()
	if len(changes) > 0 {
		if err := s.replicate(ctx, changes); err != nil {
			return false, s.mirrorFailed(ctx, p, err)
		}
		s.counts.mirrorErrors.Store(0)
		return false, nil
	}
	s.asOf.Store(asked.UnixMicro())
	s.levelled()
	if asked := s.check.Swap(false); asked || time.Since(k.checked) > s.o.CheckEvery {
		if asked || !k.checked.IsZero() {
			if err := s.compare(ctx, p); err != nil {
				return false, err
			}
		}
		k.checked = time.Now()
	}
	return true, nil
}

// replicate applies changes to the mirror and tells everybody who follows it.
func (s *Store) replicate(ctx context.Context, changes []knowledge.Change) error {
	if err := s.mirror.Replicate(ctx, changes); err != nil {
		return err
	}
	s.recent.followed(changes)
	s.applied.Store(int64(changes[len(changes)-1].Seq))
	s.bell.ring()
	return nil
}

// mirrorFailed rebuilds a mirror that does not take the primary's changes: it is damaged, or its history is another one. The
// error is nil when it was rebuilt.
func (s *Store) mirrorFailed(ctx context.Context, p Primary, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.counts.mirrorErrors.Add(1)
	s.o.Log.ErrorContext(ctx, "mirror did not take the primary's changes", "error", err.Error())
	if s.counts.mirrorErrors.Load() < int64(s.o.Failures) {
		return nil // a full disk, a moment's fault: look again
	}
	return s.rebuild(ctx, p, "it did not take the primary's changes: "+err.Error(), true)
}

// connect opens the primary for the first time.
func (s *Store) connect(ctx context.Context) (Primary, error) {
	short, cancel := context.WithTimeout(ctx, s.o.ConnectTimeout)
	defer cancel()
	p, err := s.o.Connect(short)
	if err != nil {
		return nil, err
	}
	s.primary.Store(&p)
	return p, nil
}

// arrived notes that the primary answers.
func (s *Store) arrived() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.mode {
	case knowledge.ModeDegraded, knowledge.ModeCold, knowledge.ModeDiverged:
		if !s.ready && len(s.pending) == 0 {
			s.moveLocked(knowledge.ModeNormal, "the primary answers; the mirror is being built")
			return
		}
		s.moveLocked(knowledge.ModeRecovering, "the primary answers again")
	case knowledge.ModeNormal, knowledge.ModeRecovering:
	}
}

// levelled returns to normal when nothing waits.
func (s *Store) levelled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == knowledge.ModeRecovering && len(s.waiting) == 0 {
		s.moveLocked(knowledge.ModeNormal, "the journal is empty and the mirror is level")
	}
}

// lost notes that the primary could not be asked when the store was not yet or no longer in touch with it.
func (s *Store) lost(c class) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c == halted && s.mode == knowledge.ModeNormal {
		s.moveLocked(s.awayLocked(), "the primary's schema or rights are wrong")
	}
}

// rest waits for the doorbell of the primary, or of this instance.
func (k *keeper) rest(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, k.s.o.PollFloor)
	defer cancel()
	stop := make(chan struct{})
	go func() { // a ring of this instance ends the wait too
		defer close(stop)
		select {
		case <-k.s.kick:
			cancel()
		case <-short.Done():
		}
	}()
	if p := k.s.now(); p != nil {
		if err := p.Wait(short, knowledge.Seq(k.s.applied.Load())); err != nil && short.Err() == nil {
			pause(short, k.s.o.PollFloor) // the doorbell is broken; the floor is not
		}
	}
	cancel()
	<-stop
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// errDiverged says that the primary's history is not the mirror's, and that a person must decide.
var errDiverged = errors.New("the primary is another history than the mirror")

// verify compares the histories of mirror and primary, and makes the mirror anew where they have parted.
func (k *keeper) verify(ctx context.Context, p Primary) error {
	s := k.s
	ours, err := s.mirror.Position(ctx)
	if err != nil {
		return fmt.Errorf("read the mirror's position: %w", err)
	}
	short, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
	defer cancel()
	theirs, err := p.Position(short)
	if err != nil {
		return err
	}
	if ours.System != "" && theirs.System != "" && ours.System != theirs.System {
		return s.diverge(ctx, p, "the primary is another database cluster than the one mirrored")
	}
	if ours.Seq == 0 {
		return nil
	}
	if theirs.Seq < ours.Seq {
		return s.rebuild(ctx, p, "the primary lacks changes that the mirror has", true)
	}
	at, err := p.Changes(short, knowledge.ChangeQuery{After: ours.Seq - 1, Limit: 1})
	switch {
	case errors.Is(err, store.ErrGone):
		return s.rebuild(ctx, p, "the mirror is older than the log", true)
	case err != nil:
		return err
	case len(at) == 0 || at[0].Seq != ours.Seq || at[0].Chain != ours.Chain:
		return s.rebuild(ctx, p, "the histories of primary and mirror have parted", true)
	}
	return nil
}

// diverge stops following until a person has decided.
func (s *Store) diverge(ctx context.Context, p Primary, why string) error {
	if s.accept.Swap(false) {
		return s.rebuild(ctx, p, why+", and a person has accepted it", false)
	}
	s.move(knowledge.ModeDiverged, why+"; the mirror goes on serving what it holds until the primary is accepted: see tenet doctor mirror")
	return errDiverged
}

// AcceptPrimary lets the mirror be made anew from a primary that is another history, which a program alone must not decide.
// What the mirror has and the primary has not is kept among the conflicts.
func (s *Store) AcceptPrimary() {
	s.accept.Store(true)
	s.ring()
}
