package failover

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// retryEvery is how long the keeper waits after a failed look at the primary. The breaker decides when a failed primary
// is asked again; this only limits how often the breaker is asked.
const retryEvery = 100 * time.Millisecond

// A keeper follows the primary. It is used by one goroutine.
type keeper struct {
	o        *Options
	board    *board
	modes    *modes
	counts   *counts
	up       *upstream
	mirror   *mirror
	waits    *waitlist
	acks     *acks
	queue    *queue
	salvage  *salvage
	comparer *comparer
	journal  Journal

	accept atomic.Bool // a person has accepted a primary with another history
	check  atomic.Bool // a person has asked for a comparison

	// What follows belongs to the goroutine of run.
	wanted   <-chan struct{} // closed when something to do was posted since the current look began
	chain    [32]byte        // checksum chain of the last change that the mirror has applied
	timeline int64           // the primary's timeline when its history was last found to be the mirror's
	verified bool            // since the last failure the primary's history was found to be the mirror's
	checked  time.Time       // when mirror and primary were last compared
	outcome  chan outcome    // of the comparison under way, nil if there is none
	failures int             // mirror errors in a row
	built    time.Time       // when the mirror was last rebuilt because it failed
	laid     time.Time       // when hidden batches were last laid over it, or tried to be
}

// run looks at the primary again and again until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		k.step(ctx)
	}
	if k.outcome != nil {
		<-k.outcome
	}
}

// step looks at the primary once, and waits until the next look is due.
func (k *keeper) step(ctx context.Context) {
	k.wanted = k.board.next(lookWanted)
	k.modes.remind(k.waits.len())
	k.layHidden(ctx)
	if k.up.breaker.State() != gobreaker.StateClosed && !k.probe(ctx) {
		store.Pause(ctx, retryEvery)
		return
	}
	began := time.Now()
	level, err := k.look(ctx)
	switch _, here := errors.AsType[*diskError](err); {
	case errors.Is(err, errDiverged):
		k.await(ctx, k.o.Recovery)
		return
	case here && ctx.Err() == nil:
		k.failed(ctx, err)
		return
	}
	c := classify(ctx.Err(), err)
	k.modes.heard(readSaid, c, err, time.Since(began))
	k.up.report(c)
	if err != nil {
		k.verified = false
		if c == halted {
			k.modes.handle(input{kind: primaryUnusable, why: reasonOf(err)})
		}
		store.Pause(ctx, retryEvery)
		return
	}
	k.failures = 0
	if level {
		k.rest(ctx)
	}
}

// layHidden lays the batches over the mirror that it could not take, once every Soon, also while the primary is down: a
// full disk may have room again.
func (k *keeper) layHidden(ctx context.Context) {
	if !k.waits.hidden.Load() || time.Since(k.laid) < k.o.soon || !k.mirror.complete() {
		return
	}
	k.laid = time.Now()
	if err := k.queue.layHidden(ctx); err != nil {
		k.mirror.failed(ctx, err)
		return
	}
	k.mirror.well()
	k.board.invalidate(nil)
	k.o.Log.InfoContext(ctx, "mirror shows the waiting writes again")
}

// probe sends one call with its own deadline to a primary behind an open breaker, and reports whether the primary is
// back.
func (k *keeper) probe(ctx context.Context) bool {
	if !k.modes.probeDue() {
		return false
	}
	done, err := k.up.breaker.Allow()
	if err != nil {
		return false
	}
	k.modes.handle(input{kind: breakerMoved, breaker: gobreaker.StateHalfOpen})
	k.verified = false
	began := time.Now()
	if p := k.up.current(); p == nil {
		_, err = k.up.connect(ctx)
	} else {
		short, cancel := context.WithTimeout(ctx, k.o.readTimeout)
		_, err = p.Position(short)
		cancel()
	}
	c := classify(ctx.Err(), err)
	k.modes.heard(readSaid, c, err, time.Since(began))
	done(c.forBreaker())
	if c == halted {
		k.modes.handle(input{kind: primaryUnusable, why: reasonOf(err)})
	}
	return err == nil
}

// failed handles a mirror error. Errors that go on lead to a rebuild, but not to one after another: each reads the
// whole primary, and a full disk stays full.
func (k *keeper) failed(ctx context.Context, err error) {
	k.mirror.failed(ctx, err)
	k.failures++
	k.verified = false // the primary may have been replaced by another
	k.o.Log.ErrorContext(ctx, "mirror failed to follow the primary", "error", err.Error(), "failures", k.failures)
	store.Pause(ctx, min(retryEvery<<min(k.failures, 10), k.o.Recovery))
}

// broken reports whether the mirror has failed so often that it should be rebuilt.
func (k *keeper) broken() bool {
	return k.failures >= k.o.Failures && time.Since(k.built) > k.o.Recovery
}

// primary returns the primary, connected to where it is not yet.
func (k *keeper) primary(ctx context.Context) (Primary, error) {
	if p := k.up.current(); p != nil {
		return p, nil
	}
	return k.up.connect(ctx)
}

// look follows the primary for one page of changes, and reports whether the mirror is level with it.
func (k *keeper) look(ctx context.Context) (level bool, err error) {
	p, err := k.primary(ctx)
	if err != nil {
		return false, err
	}
	if !k.mirror.complete() {
		k.arrived()
		return false, k.rebuild(ctx, p, "there is no mirror yet", noMirror)
	}
	if k.broken() {
		k.built = time.Now()
		return false, k.rebuild(ctx, p, "it failed to apply the primary's changes", behind)
	}
	if !k.verified {
		if err := k.verify(ctx, p); err != nil {
			return false, err
		}
		k.verified = true
	}
	if rebuilt, err := k.mend(ctx, p); rebuilt || err != nil {
		return false, err
	}
	asked := time.Now()
	changes, err := k.next(ctx, p)
	switch {
	case errors.Is(err, store.ErrGone):
		return false, k.rebuild(ctx, p, "the mirror is older than the log", behind)
	case err != nil || !k.verified:
		return false, err
	}
	if len(changes) == 0 {
		if lacks, err := k.salvage.lacks(ctx, p, asked); err != nil {
			return false, err
		} else if lacks {
			return false, k.rebuild(ctx, p, "the primary lost a write that it had acknowledged", parted)
		}
	}
	if len(changes) > 0 {
		if other, err := k.changed(ctx, p); other || err != nil {
			k.verified = false
			return false, err
		}
	}
	k.arrived()
	if len(changes) > 0 {
		if err := k.replicate(ctx, changes); err != nil {
			return false, onDisk(err)
		}
		if len(changes) < knowledge.DefaultChanges-1 { // the page reached the end of the log as of asked
			k.mirror.asOf.Store(&asked)
		}
		return false, nil
	}
	k.mirror.asOf.Store(&asked)
	k.mirror.wasLevel.Store(true)
	k.acks.levelled(asked)
	k.levelled()
	k.mirror.well()
	return true, k.upkeep(ctx, p)
}

// mend looks for damage in a mirror that has failed as a damaged one does, at most once per Recovery, and rebuilds it
// if there is some. It does not wait until the mirror is level: with many writers that may take long, and until then
// an outage would find a mirror that can't answer.
func (k *keeper) mend(ctx context.Context, p Primary) (rebuilt bool, err error) {
	if !k.mirror.suspect.Load() || time.Since(k.built) <= k.o.Recovery {
		return false, nil
	}
	k.built = time.Now()
	if err := k.mirror.file.Check(ctx); err != nil && ctx.Err() == nil {
		return true, k.rebuild(ctx, p, err.Error(), behind)
	}
	k.mirror.trusted()
	k.check.Store(true) // what such a check does not see, a comparison does
	return false, ctx.Err()
}

// next reads the changes after the mirror's last one. It asks for the last one too: a primary that lacks it, or has
// another in its place, has been replaced by one with another history, even if that looks level or behind.
func (k *keeper) next(ctx context.Context, p Primary) ([]knowledge.Change, error) {
	at := knowledge.Seq(k.mirror.applied.Load())
	short, cancel := context.WithTimeout(ctx, k.o.readTimeout)
	defer cancel()
	changes, err := p.Changes(short, knowledge.ChangeQuery{After: max(at-1, 0)})
	if err != nil || at == 0 {
		return changes, err
	}
	if len(changes) == 0 || changes[0].Seq != at || changes[0].Chain != k.chain {
		k.verified = false
		return nil, nil
	}
	return changes[1:], nil
}

// outcomesKept is how long the journal remembers the outcome of a batch. The primary's ledger remembers it for good.
const outcomesKept = 30 * 24 * time.Hour

// upkeep maintains the local files from time to time.
func (k *keeper) upkeep(ctx context.Context, p Primary) error {
	if err := k.mirror.file.Present(); err != nil {
		k.built = time.Now()
		return k.rebuild(ctx, p, err.Error(), behind)
	}
	select {
	case o := <-k.outcome:
		k.outcome = nil
		return k.compared(ctx, p, &o)
	default:
	}
	if k.outcome != nil {
		return nil
	}
	asked := k.check.Swap(false)
	if k.checked.IsZero() {
		k.checked = time.Now()
	}
	if !asked && time.Since(k.checked) <= k.o.CheckEvery {
		return nil
	}
	k.checked = time.Now()
	if k.waits.any() {
		k.check.Store(asked) // later, when nothing waits
		return nil
	}
	if _, err := k.journal.Forget(ctx, knowledge.At(k.o.wall().Add(-outcomesKept))); err != nil {
		k.o.Log.ErrorContext(ctx, "journal failed to delete old outcomes", "error", err.Error())
	}
	if err := k.queue.sweep(ctx); err != nil {
		return onDisk(err)
	}
	k.outcome = make(chan outcome, 1)
	go func() {
		k.outcome <- k.comparer.compare(ctx, p, asked)
		k.board.post(lookWanted)
	}()
	return nil
}

// replicate applies changes to the mirror and wakes its followers.
func (k *keeper) replicate(ctx context.Context, changes []knowledge.Change) error {
	last := &changes[len(changes)-1]
	raise(&k.mirror.coming, last.Seq)
	if err := k.mirror.file.Replicate(ctx, changes); err != nil {
		return err
	}
	k.mirror.well()
	k.acks.followed(changes)
	k.chain = last.Chain
	k.mirror.applied.Store(int64(last.Seq))
	k.board.post(mirrorFollowed)
	return nil
}

// arrived notes that the primary answers, and that its history is the mirror's.
func (k *keeper) arrived() {
	k.waits.counted(func(n int) { k.modes.handle(input{kind: primaryAnswers, waiting: n}) })
}

// levelled notes that the mirror is level with the primary. If nothing waits, the mode becomes normal.
func (k *keeper) levelled() {
	k.accept.Store(false) // an acceptance holds only for the history that was there when it was given
	k.waits.counted(func(n int) { k.modes.handle(input{kind: mirrorLevel, waiting: n}) })
}

// rest waits until the primary has a new change, or this instance has something to do.
func (k *keeper) rest(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, k.o.pollFloor)
	defer cancel()
	stop := make(chan struct{})
	go func() { // work on this instance ends the wait too
		defer close(stop)
		select {
		case <-k.wanted:
			cancel()
		case <-short.Done():
		}
	}()
	if p := k.up.current(); p != nil {
		if err := p.Wait(short, knowledge.Seq(k.mirror.applied.Load())); err != nil && short.Err() == nil {
			store.Pause(short, k.o.pollFloor) // the primary's notifications fail; poll instead
		}
	}
	cancel()
	<-stop
}

// await waits until a person accepts the primary, for at most a given time. Journalled writes post lookWanted too, and
// are no reason for another look: each look reads the whole primary.
func (k *keeper) await(ctx context.Context, most time.Duration) {
	t := time.NewTimer(most)
	defer t.Stop()
	for {
		wanted := k.board.next(lookWanted)
		if k.accept.Load() {
			return
		}
		select {
		case <-wanted:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// verify compares the histories of mirror and primary, and rebuilds the mirror if they have parted.
func (k *keeper) verify(ctx context.Context, p Primary) error {
	ours, err := k.mirror.file.Position(ctx)
	if err != nil {
		return onDisk(fmt.Errorf("read the mirror's position: %w", err))
	}
	k.chain = ours.Chain
	k.mirror.applied.Store(int64(ours.Seq)) // the mirror may have applied changes and then returned an error
	promised := k.mirror.promised()
	short, cancel := context.WithTimeout(ctx, k.o.readTimeout)
	defer cancel()
	theirs, err := p.Position(short)
	if err != nil {
		return err
	}
	if why := foreign(&theirs, &ours); why != "" {
		return k.diverge(ctx, p, why)
	}
	if err := k.compareLogs(ctx, p, &theirs, &ours); err != nil {
		return err
	}
	k.mirror.renounce(promised, theirs.Seq)
	return k.identify(ctx, &theirs)
}

// compareLogs rebuilds the mirror if its history is not the primary's.
func (k *keeper) compareLogs(ctx context.Context, p Primary, theirs, ours *knowledge.Position) error {
	if ours.Seq == 0 {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, k.o.readTimeout)
	defer cancel()
	if theirs.Seq < ours.Seq {
		return k.rebuild(ctx, p, "the primary lacks changes that the mirror has", parted)
	}
	at, err := p.Changes(short, knowledge.ChangeQuery{After: ours.Seq - 1, Limit: 1})
	switch {
	case errors.Is(err, store.ErrGone):
		return k.rebuild(ctx, p, "the mirror is older than the log", behind)
	case err != nil:
		return err
	case len(at) == 0 || at[0].Seq != ours.Seq || at[0].Chain != ours.Chain:
		return k.rebuild(ctx, p, "the histories of primary and mirror have parted", parted)
	}
	return nil
}

// identify notes the primary's cluster and timeline, so that the mirror never follows an earlier timeline by itself.
func (k *keeper) identify(ctx context.Context, theirs *knowledge.Position) error {
	now, err := k.mirror.file.Position(ctx) // the mirror may have been rebuilt
	if err == nil && theirs.System != "" && (now.System != theirs.System || now.Timeline < theirs.Timeline) {
		err = k.mirror.file.SetIdentity(ctx, theirs.System, theirs.Timeline)
	}
	if err != nil {
		return onDisk(fmt.Errorf("note the cluster that the mirror follows: %w", err))
	}
	k.timeline = theirs.Timeline
	return nil
}

// changed reports whether the primary's timeline is another than the one whose history was found to be the mirror's.
// That can happen without any failed call: a connection pool reconnects by itself, and an old primary that comes back
// has the same log up to the mirror's position, followed by its own changes.
func (k *keeper) changed(ctx context.Context, p Primary) (bool, error) {
	short, cancel := context.WithTimeout(ctx, k.o.readTimeout)
	defer cancel()
	theirs, err := p.Position(short)
	return theirs.Timeline != k.timeline, err
}

// diverge stops following the primary until a person has decided.
func (k *keeper) diverge(ctx context.Context, p Primary, why string) error {
	if k.accept.Load() {
		return k.rebuild(ctx, p, why+", and it was accepted", parted)
	}
	k.modes.handle(input{
		kind: otherHistory,
		why: why + "; the mirror goes on answering, without the primary's changes, until the primary is accepted: " +
			"see tenet doctor mirror",
	})
	return errDiverged
}

// compared acts on the outcome of a comparison. It runs on the keeper's goroutine.
func (k *keeper) compared(ctx context.Context, p Primary, o *outcome) error {
	if old := o.of != k.counts.resyncs.Load(); old || o.err != nil {
		if o.err != nil {
			k.o.Log.WarnContext(ctx, "mirror was not compared with the primary", "error", o.err.Error())
		}
		if o.asked {
			k.check.Store(true)
		}
		return nil
	}
	if !o.At.IsZero() {
		k.mirror.compared(o.Comparison)
	}
	if o.why != "" {
		if o.asked && o.At.IsZero() {
			k.check.Store(true) // the rebuilt mirror is compared
		}
		return k.rebuild(ctx, p, o.why, behind)
	}
	k.mirror.well()
	k.o.Log.InfoContext(ctx, "mirror equals the primary", "seq", int64(o.Seq), "documents", o.Documents)
	return nil
}
