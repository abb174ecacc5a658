package failover

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Every read is answered by this instance's mirror, in every mode. If the caller asks for more than the mirror has,
// [reader.reach] waits for it. The primary answers only while the mirror can't: [pass].

// A reader answers reads.
type reader struct {
	o      *Options
	life   *life
	counts *counts
	up     *upstream
	mirror *mirror
	waits  *waitlist
	view   *view
}

// A question is a read, as the mirror and the primary answer it.
type question[T any] struct {
	mirror  func(context.Context) (T, error)
	primary func(context.Context, Primary) (T, error)
	kept    func() bool  // batches wait here that the answer has to show, which the primary does not have
	shows   func(T) bool // the mirror's answer shows what waits, whatever else it lacks
}

// answer answers a read from the mirror, or from the primary where the mirror can't.
func answer[T any](ctx context.Context, rd *reader, q *question[T]) (T, error) {
	var none T
	if err := rd.life.checkOpen(); err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	p, err := rd.reach(ctx)
	if err != nil {
		return none, err
	}
	if p != nil && q.kept() {
		if v, whole, err := torn(ctx, rd, q); whole || err != nil {
			return v, err
		}
	}
	if p != nil {
		v, err := pass(ctx, rd, p, q.primary)
		if c := classify(ctx.Err(), err); c == fine || c == disconnected || store.WishOf(ctx).Required {
			return v, err
		}
		rd.counts.fellBack.Add(1)
		v, failed := q.mirror(ctx)
		if errors.Is(failed, store.ErrUnavailable) {
			return v, err // neither answers: the primary's error is the one to act on
		}
		return v, failed
	}
	v, err := q.mirror(ctx)
	if p = rd.up.reachable(); p != nil && errors.Is(err, store.ErrUnavailable) {
		if err := rd.awaitReplay(ctx, q.kept, err, rd.o.readWait); err != nil {
			return none, err
		}
		if v, failed := pass(ctx, rd, p, q.primary); classify(ctx.Err(), failed) == fine {
			return v, failed
		}
	}
	return v, err
}

// torn answers a read while the mirror lacks something of the primary's, and the primary something that waits here.
// The mirror's answer is whole if it shows what waits. If it does not, what waited was just decided, and what the
// mirror has below it may be older than what was shown before: once nothing waits the primary is to answer, and torn
// returns false. What goes on waiting only the mirror shows.
func torn[T any](ctx context.Context, rd *reader, q *question[T]) (v T, whole bool, err error) {
	v, err = q.mirror(ctx)
	if err == nil && q.shows(v) {
		return v, true, nil
	}
	failed := errors.Is(err, store.ErrUnavailable)
	long := drainTime
	if failed {
		long = rd.o.readWait
	}
	switch waits := rd.awaitReplay(ctx, q.kept, err, long); {
	case waits == nil:
		return v, false, nil
	case failed || ctx.Err() != nil:
		return v, false, waits
	case store.WishOf(ctx).Required:
		return v, false, unreached(err)
	}
	return v, true, err
}

// awaitReplay waits until the primary has the waiting batches that an answer has to show, as the mirror can't show
// them. If they still wait after long, the answer would lack what its caller was told is written: it is refused.
func (rd *reader) awaitReplay(ctx context.Context, kept func() bool, mirror error, long time.Duration) error {
	t := time.NewTimer(long)
	defer t.Stop()
	for {
		rung := rd.mirror.board.next(batchFinished)
		if !kept() {
			return nil
		}
		select {
		case <-rung:
		case <-t.C:
			return &store.UnavailableError{
				Reason: "writes wait on this instance for the primary, and its mirror, which shows them, can't answer " +
					"now: ask again soon",
				RetryAfter: time.Second, NotDone: true, Err: mirror,
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reach waits until the mirror has what the caller asks for. It returns the primary if the primary must answer instead,
// and nil if it need not or can't. Missing the wish in time is an error only if the wish is required.
func (rd *reader) reach(ctx context.Context) (Primary, error) {
	p, wish := rd.up.reachable(), store.WishOf(ctx)
	if !rd.mirror.complete() {
		if p == nil && wish.Required {
			return nil, cold()
		}
		return p, nil
	}
	if p != nil && (knowledge.Seq(rd.mirror.floor.Load()) > rd.mirror.followedTo() || rd.mirror.lag() > rd.o.MirrorMaxLag) {
		return p, nil
	}
	fresh := wish.Fresh || wish.Required || rd.o.FreshReads
	if !fresh && wish.MinSeq <= rd.mirror.followedTo() {
		return nil, nil
	}
	err := unreached(nil)
	if p != nil {
		err = rd.catchUp(ctx, p, wish.MinSeq, fresh)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case wish.Required:
		return nil, unreached(err)
	}
	return nil, nil
}

// catchUp waits until the mirror has the log up to a seq; if fresh is set, up to the primary's newest. A seq that the
// primary itself lacks comes from another history: catchUp does not wait for it.
func (rd *reader) catchUp(ctx context.Context, p Primary, least knowledge.Seq, fresh bool) error {
	short, cancel := context.WithTimeout(ctx, rd.o.readWait)
	defer cancel()
	newest, err := rd.up.newest(short, p)
	if err != nil {
		return err
	}
	if fresh {
		least = newest
	}
	return rd.mirror.await(short, min(least, newest))
}

// pass lets the primary answer a read, and raises the floor to the newest seq that the answer may show.
func pass[T any](
	ctx context.Context, rd *reader, p Primary, read func(context.Context, Primary) (T, error),
) (T, error) {
	own, cancel := context.WithTimeout(ctx, rd.o.readTimeout)
	defer cancel()
	rd.counts.passed.Add(1)
	v, err := read(own, p)
	if classify(ctx.Err(), err) != fine {
		return v, inTime(ctx, err)
	}
	seq, failed := rd.up.newest(own, p)
	if failed != nil {
		return v, inTime(ctx, failed)
	}
	raise(&rd.mirror.floor, seq)
	return v, err
}

// inTime returns the error of a call whose deadline was not the caller's: what the caller hears is that the primary did
// not answer, and when to ask again.
func inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return &store.UnavailableError{
		Reason: "the primary did not answer in time", RetryAfter: 5 * time.Second, NotDone: true, Err: err,
	}
}

// get implements [store.Reader].
func (rd *reader) get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	q := &question[*knowledge.Record]{
		mirror:  func(ctx context.Context) (*knowledge.Record, error) { return rd.view.get(ctx, key) },
		primary: func(ctx context.Context, p Primary) (*knowledge.Record, error) { return p.Get(ctx, key) },
		kept:    func() bool { return rd.waits.on(key) },
		shows:   func(r *knowledge.Record) bool { return r.Pending != knowledge.BatchID{} },
	}
	r, err := answer(ctx, rd, q)
	// A batch for the key may have been journalled meanwhile, and a session must go on seeing its own write.
	if err == nil && r.Source == knowledge.SourcePrimary && rd.waits.on(key) {
		return answer(ctx, rd, q)
	}
	return r, err
}

// listing is the question of a list or a search. Which waiting batches its answer shows can't be told.
func listing[T any](rd *reader, mirror func(context.Context) (*T, error),
	primary func(context.Context, Primary) (*T, error),
) *question[*T] {
	return &question[*T]{
		mirror: mirror, primary: primary,
		kept:  func() bool { return rd.mirror.complete() && rd.waits.any() },
		shows: func(*T) bool { return false },
	}
}

// list implements [store.Reader].
func (rd *reader) list(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	return answer(ctx, rd, listing(rd,
		func(ctx context.Context) (*knowledge.Page, error) { return rd.mirror.list(ctx, q) },
		func(ctx context.Context, p Primary) (*knowledge.Page, error) { return p.List(ctx, q) }))
}

// search implements [store.Reader].
func (rd *reader) search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	return answer(ctx, rd, listing(rd,
		func(ctx context.Context) (*knowledge.Hits, error) { return rd.mirror.search(ctx, q) },
		func(ctx context.Context, p Primary) (*knowledge.Hits, error) { return p.Search(ctx, q) }))
}

// changes answers from the mirror's part of the log if that has all that is asked for, and otherwise from the primary.
// While the primary can't be asked, only a caller that takes a part gets one.
func (rd *reader) changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	q, err := q.Check()
	if err != nil {
		return nil, errors.Join(rd.life.checkOpen(), err)
	}
	rd.awaitForeseen(ctx)
	changes, err := answer(ctx, rd, &question[[]knowledge.Change]{
		mirror:  func(ctx context.Context) ([]knowledge.Change, error) { return rd.mirror.changes(ctx, &q, nil) },
		primary: func(ctx context.Context, p Primary) ([]knowledge.Change, error) { return p.Changes(ctx, q) },
		kept:    func() bool { return false },
	})
	part, begins := store.PartialOf(ctx), (*store.GoneError)(nil)
	if part != nil && errors.As(err, &begins) && begins.Mirror && q.Filtered() {
		return rd.mirror.changes(ctx, &q, part)
	}
	return changes, err
}

// awaitForeseen waits until the feed has brought the writes acknowledged here: the mirror's documents show them
// already, but its log does not.
func (rd *reader) awaitForeseen(ctx context.Context) {
	least := knowledge.Seq(rd.mirror.foreseen.Load())
	if rd.mirror.followedTo() >= least || rd.up.reachable() == nil {
		return
	}
	short, cancel := context.WithTimeout(ctx, rd.o.readWait)
	defer cancel()
	if rd.mirror.await(short, least) != nil {
		raise(&rd.mirror.floor, least) // so that the primary answers
	}
}
