package failover

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A mirror is the mirror, how far it has followed the primary, and its faults. It answers every read, in every mode.
// Until it is complete for the first time, the seed documents answer.
type mirror struct {
	o      *Options
	life   *life
	board  *board
	modes  *modes
	counts *counts
	file   Mirror

	applied atomic.Int64 // the seq up to which the mirror has followed
	// foreseen is the newest seq that the mirror shows ahead of the feed. floor is the seq that the mirror must have
	// before it may answer: up to there a write was acknowledged, or an answer given, that the mirror does not have.
	foreseen, floor atomic.Int64
	// coming is the newest seq that the feed has brought. Readers may see its change before applied moves.
	coming atomic.Int64
	// asOf is when the mirror was last known to be level. Set by this process it has a monotonic clock reading.
	asOf     atomic.Pointer[time.Time]
	wasLevel atomic.Bool // the mirror was level at least once since this process started
	laying   atomic.Bool // the first mirror is complete, and the waiting batches are being laid over it
	suspect  atomic.Bool // the mirror has failed in a way that suggests damage
	sound    atomic.Bool // the last look for damage found none
	looking  atomic.Bool // a look for damage is under way, or damage was found

	mu         sync.Mutex // guards the fields below; no other lock is taken with it
	building   string     // why the mirror is being built; "" while it is not
	trouble    string     // the mirror's last error; "" once it works again
	comparison Comparison // the last one of mirror and primary
}

// await waits until the mirror has the log up to a seq.
func (c *mirror) await(ctx context.Context, least knowledge.Seq) error {
	for {
		rung := c.board.next(mirrorFollowed)
		if c.followedTo() >= least {
			return nil
		}
		select {
		case <-rung:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// followedTo returns the seq up to which the mirror has the log.
func (c *mirror) followedTo() knowledge.Seq { return knowledge.Seq(c.applied.Load()) }

// lag returns how long ago the mirror was last known to be level with the primary.
func (c *mirror) lag() time.Duration {
	asOf := c.asOf.Load()
	if asOf == nil {
		return time.Since(c.life.began)
	}
	return time.Since(*asOf)
}

// seq returns a seq that covers every answer given so far: a caller that asks another instance for at least this seq
// does not go back in time.
func (c *mirror) seq() knowledge.Seq {
	return knowledge.Seq(max(c.applied.Load(), c.foreseen.Load(), c.floor.Load(), c.coming.Load()))
}

// promised returns the highest seqs that were acknowledged or shown, for [mirror.renounce].
func (c *mirror) promised() [3]int64 {
	return [...]int64{c.foreseen.Load(), c.floor.Load(), c.coming.Load()}
}

// renounce lowers the promised seqs to the primary's newest one. before holds the promises made before the primary was
// asked: a seq that the primary lacks belongs to another history, and the mirror would wait for it forever.
func (c *mirror) renounce(before [3]int64, newest knowledge.Seq) {
	for i, at := range []*atomic.Int64{&c.foreseen, &c.floor, &c.coming} {
		if before[i] > int64(newest) {
			at.CompareAndSwap(before[i], int64(newest))
		}
	}
}

// raise raises a seq to at least another one.
func raise(at interface {
	Load() int64
	CompareAndSwap(before, after int64) bool
}, to knowledge.Seq,
) {
	for {
		now := at.Load()
		if now >= int64(to) || at.CompareAndSwap(now, int64(to)) {
			return
		}
	}
}

// get reads a document.
func (c *mirror) get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if !c.complete() {
		return c.seedGet(ctx, key)
	}
	r, err := c.file.Get(ctx, key)
	if isNotFound(err) {
		return nil, &store.NotFoundError{Key: key, Source: knowledge.SourceMirror}
	}
	return r, err
}

// complete reports whether the mirror was complete at least once.
func (c *mirror) complete() bool { return c.modes.now().complete }

// seedGet answers from the seed documents. A document that they lack is unavailable, never missing.
func (c *mirror) seedGet(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if c.o.Seed != nil {
		if r, err := c.o.Seed.Get(ctx, key); err == nil {
			return r.From(knowledge.SourceSeed), nil
		}
	}
	return nil, cold()
}

// list reads a list.
func (c *mirror) list(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if c.complete() {
		return c.file.List(ctx, q)
	}
	if c.o.Seed != nil {
		if page, err := c.o.Seed.List(ctx, q); err != nil || len(page.Records) > 0 {
			return seedPage(page), err
		}
	}
	return nil, cold()
}

func seedPage(p *knowledge.Page) *knowledge.Page {
	if p == nil {
		return nil
	}
	out := &knowledge.Page{
		Next: p.Next, Total: p.Total, Source: knowledge.SourceSeed,
		Records: make([]*knowledge.Record, len(p.Records)),
	}
	for i, r := range p.Records {
		out.Records[i] = r.From(knowledge.SourceSeed)
	}
	return out
}

// search answers a full-text search.
func (c *mirror) search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if c.complete() {
		return c.file.Search(ctx, q)
	}
	if c.o.Seed == nil {
		return nil, cold()
	}
	hits, err := c.o.Seed.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(hits.Hits) == 0 {
		return nil, cold()
	}
	head := hits.Head()
	out := &head
	out.Source, out.Hits = knowledge.SourceSeed, make([]knowledge.Hit, len(hits.Hits))
	for i, h := range hits.Hits {
		h.Record = h.Record.From(knowledge.SourceSeed)
		out.Hits[i] = h
	}
	return out, nil
}

// setBuilding notes why the mirror is being built, and "" when the build is over. A mirror that is being rebuilt is not
// level, so the mode is not normal.
func (c *mirror) setBuilding(why string) {
	c.mu.Lock()
	c.building = why
	c.mu.Unlock()
	if why != "" {
		c.modes.handle(input{kind: mirrorRebuilding, why: why})
	}
}

// failed handles a mirror error. An error that needs an operator (Halt) never passes by itself: it starts a look for
// damage.
func (c *mirror) failed(ctx context.Context, err error) {
	if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
		return
	}
	c.counts.mirrorErrors.Add(1)
	c.mu.Lock()
	c.trouble = err.Error()
	c.mu.Unlock()
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && u.Halt && !c.looking.Swap(true) {
		c.o.Log.ErrorContext(ctx, "mirror failed: checking it for damage, and rebuilding it if damaged",
			"error", err.Error())
		c.sound.Store(false)
		c.suspect.Store(true)
		c.life.work.Go(func() { c.checkForDamage(context.WithoutCancel(ctx)) })
		c.board.post(lookWanted)
	}
}

// damageCheckTime bounds one look for damage.
const damageCheckTime = 10 * time.Second

// checkForDamage finds out whether the mirror is damaged. While the primary is down nobody can rebuild a damaged
// mirror, and readiness must say so.
func (c *mirror) checkForDamage(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, damageCheckTime)
	defer cancel()
	err := c.file.Check(ctx)
	c.sound.Store(err == nil)
	// A check that did not finish has not found the mirror sound. Only damage that was found makes another check
	// needless.
	u, refused := errors.AsType[*store.UnavailableError](err)
	c.looking.Store(refused && u.Halt)
}

// well notes that the mirror works.
func (c *mirror) well() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.suspect.Load() {
		c.trouble = ""
	}
}

// compared keeps the outcome of a comparison.
func (c *mirror) compared(with Comparison) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.comparison = with
}

// trusted clears the suspicion of damage: the mirror was rebuilt, or the keeper is about to check it.
func (c *mirror) trusted() {
	c.suspect.Store(false)
	c.looking.Store(false)
}

// damaged reports whether the mirror has failed in a way that suggests damage, and no check has found it sound since.
func (c *mirror) damaged() bool { return c.suspect.Load() && !c.sound.Load() }

// tell fills in the mirror's part of a status.
func (c *mirror) tell(st *MirrorStatus) {
	st.Ready, st.Seq, st.Errors, st.Builds = c.complete(), c.followedTo(), c.counts.mirrorErrors.Load(),
		c.counts.resyncs.Load()
	if asOf := c.asOf.Load(); asOf != nil {
		st.Lag = max(0, time.Since(*asOf).Seconds())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Compared = c.comparison
	switch {
	case c.building != "":
		st.State, st.Why = MirrorBuilding, c.building
	case c.trouble != "":
		st.State, st.Why = MirrorFailing, c.trouble
	case !st.Ready:
		st.State = MirrorNone
	default:
		st.State = MirrorReady
	}
}

// foresee writes an acknowledged write to the mirror before its writer gets the receipt. If the mirror fails, the write
// still stands: the feed brings it, and until then the primary answers reads.
func (c *mirror) foresee(ctx context.Context, rec *knowledge.Receipt, ops []knowledge.Op) {
	if !c.complete() {
		raise(&c.floor, rec.Seq)
		return
	}
	raise(&c.foreseen, rec.Seq)
	if err := c.file.Foresee(context.WithoutCancel(ctx), leftBy(ops, rec)); err != nil {
		raise(&c.floor, rec.Seq)
		c.failed(ctx, err)
		c.o.Log.WarnContext(ctx, "mirror failed to show an acknowledged write; the feed will bring it",
			"batch", rec.Batch.String(), "error", err.Error())
	}
}
