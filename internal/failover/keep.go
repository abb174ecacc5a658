package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

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
	if k.outcome != nil {
		<-k.outcome
	}
	return ctx.Err()
}

// A keeper follows the primary. It is used by one goroutine.
type keeper struct {
	s        *Store
	verified bool         // the primary's history was found to be the mirror's since the last failure
	checked  time.Time    // when mirror and primary were last compared
	outcome  chan outcome // of the comparison under way, nil when there is none
	failures int          // of the mirror in a row
	built    time.Time    // when the mirror was last built because it failed
}

// A localError is a failure of this machine's files. It says nothing about the primary.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// local marks an error as one of this machine's files.
func local(err error) error {
	if err == nil {
		return nil
	}
	return &localError{err}
}

// step looks at the primary once, and waits until the next look is due.
func (k *keeper) step(ctx context.Context) {
	s := k.s
	if s.breaker.State() != gobreaker.StateClosed && !k.probe(ctx) {
		pause(ctx, retryEvery)
		return
	}
	began := time.Now()
	level, err := k.look(ctx)
	switch _, here := errors.AsType[*localError](err); {
	case errors.Is(err, errDiverged):
		k.await(ctx, s.o.Recovery)
		return
	case here && ctx.Err() == nil:
		k.failed(ctx, err)
		return
	}
	c := classify(ctx.Err(), err)
	s.noteRead(c, err, time.Since(began))
	s.report(c)
	if err != nil {
		k.verified = false
		if c == halted {
			s.lost()
		}
		pause(ctx, retryEvery)
		return
	}
	k.failures = 0
	if level {
		k.rest(ctx)
	}
}

// report tells the breaker what became of a look.
func (s *Store) report(c class) {
	if done, err := s.breaker.Allow(); err == nil {
		done(c.told())
	}
}

// probe asks a primary behind an open breaker whether it is back: one call, with a deadline of its own. It reports whether it
// is.
func (k *keeper) probe(ctx context.Context) bool {
	s := k.s
	if !s.probeDue() {
		return false
	}
	done, err := s.breaker.Allow()
	if err != nil {
		return false
	}
	s.mu.Lock()
	s.breakerAtLocked(gobreaker.StateHalfOpen)
	s.mu.Unlock()
	k.verified = false
	began := time.Now()
	if p := s.now(); p == nil {
		_, err = s.connect(ctx)
	} else {
		short, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
		_, err = p.Position(short)
		cancel()
	}
	c := classify(ctx.Err(), err)
	s.noteRead(c, err, time.Since(began))
	done(c.told())
	if c == halted {
		s.lost()
	}
	return err == nil
}

// failed bears a failure of the mirror. One that goes on is met with a new mirror, but not over and over: that would read the
// whole primary each time, and a full disk stays full.
func (k *keeper) failed(ctx context.Context, err error) {
	s := k.s
	s.mirrorFailed(ctx, err)
	k.failures++
	k.verified = false // it may be the primary that has become another
	s.o.Log.ErrorContext(ctx, "mirror can't follow the primary", "error", err.Error(), "failures", k.failures)
	pause(ctx, min(retryEvery<<min(k.failures, 10), s.o.Recovery))
}

// broken reports whether the mirror should be built anew because it has failed too often.
func (k *keeper) broken() bool {
	return k.failures >= k.s.o.Failures && time.Since(k.built) > k.s.o.Recovery
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
		return false, s.rebuild(ctx, p, "there was no mirror yet", fresh)
	}
	if k.broken() {
		k.built = time.Now()
		return false, s.rebuild(ctx, p, "it did not take the primary's changes", behind)
	}
	if !k.verified {
		if err := k.verify(ctx, p); err != nil {
			return false, err
		}
		k.verified = true
	}
	asked := time.Now()
	changes, err := k.next(ctx, p)
	switch {
	case errors.Is(err, store.ErrGone):
		return false, s.rebuild(ctx, p, "the mirror is older than the log", behind)
	case err != nil || !k.verified:
		return false, err
	}
	if len(changes) == 0 {
		if lacks, err := s.lacks(ctx, p, asked); err != nil {
			return false, err
		} else if lacks {
			return false, s.rebuild(ctx, p, "the primary lacks what it had acknowledged", parted)
		}
	}
	s.arrived()
	if len(changes) > 0 {
		if err := s.replicate(ctx, changes); err != nil {
			return false, local(err)
		}
		return false, nil
	}
	s.asOf.Store(&asked)
	s.wasLevel.Store(true)
	s.recent.levelled(asked)
	s.levelled()
	s.mirrorWell()
	return true, k.upkeep(ctx, p)
}

// next reads what comes after the mirror's last change. It asks for that change too: a primary that does not have it, or has
// another in its place, has been replaced by one with another history, which may look level or behind.
func (k *keeper) next(ctx context.Context, p Primary) ([]knowledge.Change, error) {
	s := k.s
	at := knowledge.Seq(s.applied.Load())
	short, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
	defer cancel()
	changes, err := p.Changes(short, knowledge.ChangeQuery{After: max(at-1, 0)})
	if err != nil || at == 0 {
		return changes, err
	}
	if len(changes) == 0 || changes[0].Seq != at || changes[0].Chain != s.chain {
		k.verified = false
		return nil, nil
	}
	return changes[1:], nil
}

// settledFor is how long the journal remembers what became of a batch. The primary's ledger remembers it for good.
const settledFor = 30 * 24 * time.Hour

// upkeep does from time to time what keeps the local files right.
func (k *keeper) upkeep(ctx context.Context, p Primary) error {
	s := k.s
	if err := s.mirror.Present(); err != nil {
		k.built = time.Now()
		return s.rebuild(ctx, p, err.Error(), behind)
	}
	select {
	case o := <-k.outcome:
		k.outcome = nil
		return s.compared(ctx, p, &o)
	default:
	}
	if k.outcome != nil {
		return nil
	}
	asked := s.check.Swap(false)
	if s.suspect.Load() && time.Since(k.built) > s.o.Recovery { // but not over and over, as in broken
		k.built, asked = time.Now(), true
		s.suspect.Store(false)
		if err := s.mirror.Check(ctx); err != nil && ctx.Err() == nil {
			return s.rebuild(ctx, p, err.Error(), behind)
		}
	}
	if k.checked.IsZero() {
		k.checked = time.Now()
	}
	if !asked && time.Since(k.checked) <= s.o.CheckEvery {
		return nil
	}
	k.checked = time.Now()
	if s.anyWaiting() {
		s.check.Store(asked) // it waits for a quieter moment
		return nil
	}
	if _, err := s.journal.Forget(ctx, knowledge.At(s.o.Wall().Add(-settledFor))); err != nil {
		s.o.Log.ErrorContext(ctx, "journal did not forget what is settled", "error", err.Error())
	}
	if err := s.sweep(ctx); err != nil {
		return local(err)
	}
	k.outcome = make(chan outcome, 1)
	go func() {
		k.outcome <- s.compare(ctx, p, asked)
		s.ring()
	}()
	return nil
}

// replicate applies changes to the mirror and tells everybody who follows it.
func (s *Store) replicate(ctx context.Context, changes []knowledge.Change) error {
	s.touched.Add(1)
	if err := s.mirror.Replicate(ctx, changes); err != nil {
		return err
	}
	s.mirrorWell()
	s.recent.followed(changes)
	last := &changes[len(changes)-1]
	s.chain = last.Chain
	s.applied.Store(int64(last.Seq))
	s.bell.ring()
	return nil
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

// whyBuilding is why a store without a mirror is in its mode; it stops being so when the mirror is level.
const whyBuilding = "the primary answers; the mirror is being built"

// arrived notes that the primary answers.
func (s *Store) arrived() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.mode {
	case knowledge.ModeDegraded, knowledge.ModeCold, knowledge.ModeDiverged:
		if !s.ready && len(s.pending) == 0 {
			s.moveLocked(knowledge.ModeNormal, whyBuilding)
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
	s.accept.Store(false) // a person's word is for the history that was there when it was given
	if s.mode == knowledge.ModeRecovering && len(s.waiting) == 0 {
		s.moveLocked(knowledge.ModeNormal, "the journal is empty and the mirror is level")
	}
	if s.why == whyBuilding {
		s.why = "the primary answers, and the mirror is level"
	}
}

// lost notes that the primary answers and is of no use: its schema or its rights are wrong.
func (s *Store) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == knowledge.ModeNormal || s.mode == knowledge.ModeRecovering {
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

// await waits until a person accepts the primary, at most for a time. Each write that is journalled rings too, and is no reason to
// look again: that reads the whole primary.
func (k *keeper) await(ctx context.Context, most time.Duration) {
	t := time.NewTimer(most)
	defer t.Stop()
	for !k.s.accept.Load() {
		select {
		case <-k.s.kick:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
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
		return local(fmt.Errorf("read the mirror's position: %w", err))
	}
	s.chain = ours.Chain
	s.applied.Store(int64(ours.Seq)) // it may have taken changes and failed to say so
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
		return s.rebuild(ctx, p, "the primary lacks changes that the mirror has", parted)
	}
	at, err := p.Changes(short, knowledge.ChangeQuery{After: ours.Seq - 1, Limit: 1})
	switch {
	case errors.Is(err, store.ErrGone):
		return s.rebuild(ctx, p, "the mirror is older than the log", behind)
	case err != nil:
		return err
	case len(at) == 0 || at[0].Seq != ours.Seq || at[0].Chain != ours.Chain:
		return s.rebuild(ctx, p, "the histories of primary and mirror have parted", parted)
	}
	return nil
}

// diverge stops following until a person has decided.
func (s *Store) diverge(ctx context.Context, p Primary, why string) error {
	if s.accept.Load() {
		return s.rebuild(ctx, p, why+", and a person has accepted it", parted)
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
