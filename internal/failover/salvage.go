package failover

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A fingerprint identifies one state of a document.
type fingerprint struct {
	version int64
	sum     [sha256.Size]byte
}

func fingerprintOf(r *knowledge.Record) fingerprint {
	return fingerprint{r.Version, sha256.Sum256(r.JSON)}
}

// A salvager passes a snapshot on, and removes from lost the documents that the snapshot has as well.
type salvager struct {
	next store.Sink
	at   knowledge.Position
	n    int                           // documents of the snapshot
	had  int                           // documents of the old mirror
	lost map[knowledge.Key]fingerprint // documents of the old mirror that the snapshot lacks, or has older or different
	seen map[knowledge.Key]int64       // for keys in lost: the version in the snapshot
}

// Begin implements [store.Sink].
func (t *salvager) Begin(at knowledge.Position) error {
	t.at, t.seen = at, map[knowledge.Key]int64{}
	return onDisk(t.next.Begin(at))
}

// Record implements [store.Sink].
func (t *salvager) Record(r *knowledge.Record) error {
	t.n++
	if old, had := t.lost[r.Key]; had {
		if r.Version > old.version || r.Version == old.version && fingerprintOf(r) == old {
			delete(t.lost, r.Key)
		} else {
			t.seen[r.Key] = r.Version
		}
	}
	return onDisk(t.next.Record(r))
}

// Change implements [store.Sink].
func (t *salvager) Change(c *knowledge.Change) error { return onDisk(t.next.Change(c)) }

// A salvage parks the writes that the primary has lost and that the mirror or this process still has.
type salvage struct {
	o       *Options
	counts  *counts
	up      *upstream
	mirror  *mirror
	acks    *acks
	journal Journal
}

// remember notes the documents of the old mirror. Documents that a damaged mirror can't read are lost.
func (v *salvage) remember(ctx context.Context, t *salvager) error {
	err := v.mirror.file.Compare(ctx, func(r *knowledge.Record) error {
		t.lost[r.Key] = fingerprintOf(r)
		return ctx.Err()
	})
	t.had = len(t.lost)
	if err != nil && ctx.Err() == nil {
		v.o.Log.ErrorContext(ctx, "part of the mirror can't be read; writes that only it holds are lost",
			"error", err.Error())
		return nil
	}
	return err
}

// run parks the writes that the old mirror has and the primary lacks: acknowledged writes that a failover of the
// primary lost. For parted histories these are the batches after the fork in the mirror's log, and, beyond the log's
// reach, the documents that are older or different at the primary. A document that the primary simply lacks may have
// been purged there: it counts as lost only if the histories have parted.
func (v *salvage) run(ctx context.Context, p Primary, t *salvager, why string, because reason) error {
	told := map[knowledge.Key]bool{}
	var fork knowledge.Seq
	var err error
	if because == parted {
		if fork, err = v.fork(ctx, p, t.at.Seq); err != nil {
			return err
		}
		if err := v.log(ctx, p, fork, why, told); err != nil {
			return err
		}
		if err := v.acknowledged(ctx, p, t, why, told); err != nil {
			return err
		}
	}
	for key, old := range t.lost {
		_, there := t.seen[key]
		common := !there // the primary may have purged it
		if because == parted {
			if common, err = v.before(ctx, key, old.version, fork); err != nil {
				return err
			}
		}
		if told[key] || common {
			delete(t.lost, key)
		}
	}
	if len(t.lost) == 0 {
		return nil
	}
	return onDisk(v.mirror.file.Compare(ctx, func(r *knowledge.Record) error {
		if t.lost[r.Key] != fingerprintOf(r) {
			return nil
		}
		doc, err := r.Document()
		if err != nil {
			return err
		}
		return v.keep(ctx, fmt.Appendf(nil, "salvage %s %d %x", r.Key, r.Version, sha256.Sum256(r.JSON)),
			knowledge.BatchID{}, "the primary lost it: "+why,
			doc.Stamps().UpdatedBy, []lostOp{{r.Key, r, r.Version, t.seen[r.Key]}})
	}))
}

// A lostOp is a document's state that only the mirror has.
type lostOp struct {
	key    knowledge.Key
	record *knowledge.Record // nil for a purge
	was    int64             // its version in the mirror
	found  int64             // its version at the primary
}

// log parks the batches of the mirror's log after the fork.
func (v *salvage) log(
	ctx context.Context, p Primary, after knowledge.Seq, why string, told map[knowledge.Key]bool,
) error {
	for {
		changes, err := v.mirror.file.Changes(ctx, knowledge.ChangeQuery{After: after})
		if err != nil {
			return onDisk(err)
		}
		if len(changes) == 0 {
			return nil
		}
		for len(changes) > 0 {
			n := 1
			for n < len(changes) && changes[n].Batch == changes[0].Batch && changes[0].Batch != (knowledge.BatchID{}) {
				n++
			}
			if err := v.batch(ctx, p, changes[:n], why, told); err != nil {
				return err
			}
			after, changes = changes[n-1].Seq, changes[n:]
		}
	}
}

// batch parks one batch of the mirror's history, unless the primary has the batch too.
func (v *salvage) batch(
	ctx context.Context, p Primary, changes []knowledge.Change, why string, told map[knowledge.Key]bool,
) error {
	first := &changes[0]
	if first.Batch != (knowledge.BatchID{}) {
		short, cancel := context.WithTimeout(ctx, v.o.readTimeout)
		there, err := p.Changes(short, knowledge.ChangeQuery{Batch: first.Batch, Limit: 1})
		cancel()
		if err != nil {
			return err
		}
		if len(there) > 0 {
			return nil
		}
	}
	ops := make([]lostOp, 0, len(changes))
	for i := range changes {
		c := &changes[i]
		told[c.Key] = true
		if c.Record == nil && c.Verb != knowledge.VerbPurge {
			continue // a later purge has emptied it, or a job archives it again
		}
		short, cancel := context.WithTimeout(ctx, v.o.readTimeout)
		now, err := p.Get(short, c.Key)
		cancel()
		if err != nil && !isNotFound(err) {
			return err
		}
		op := lostOp{key: c.Key, record: c.Record, was: c.Version}
		if err == nil {
			op.found = now.Version
		}
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return nil
	}
	return v.keep(ctx, fmt.Appendf(nil, "salvage %s %d %x", first.Batch, first.Seq, first.Chain), first.Batch,
		fmt.Sprintf("the primary lost it (batch %s, change %d): %s", first.Batch, first.Seq, why), first.Actor, ops)
}

// acknowledged parks the batches that were acknowledged too late to reach the mirror's log. The new primary may have
// written their documents again since, so versions can't tell.
func (v *salvage) acknowledged(
	ctx context.Context, p Primary, t *salvager, why string, told map[knowledge.Key]bool,
) error {
	for _, was := range v.acks.before(time.Now()) {
		if lost, err := v.unlogged(ctx, p, &was); err != nil {
			return err
		} else if !lost {
			continue
		}
		ops := make([]lostOp, 0, len(was.batch.Ops))
		for i := range was.batch.Ops {
			if was.receipt.Left(i) {
				continue
			}
			key := was.batch.Ops[i].Key
			op := lostOp{key: key}
			if r := was.receipt.Records[i]; r != nil {
				op.record, op.was = r, r.Version
				told[key] = told[key] || t.lost[key] == fingerprintOf(r)
			}
			ops = append(ops, op)
		}
		name := fmt.Appendf(nil, "salvage %s %d", was.batch.ID, was.receipt.Seq)
		if err := v.keep(ctx, name, was.batch.ID,
			fmt.Sprintf("the primary lost it (batch %s): %s", was.batch.ID, why), was.batch.Actor, ops); err != nil {
			return err
		}
	}
	return nil
}

// lacks reports whether the primary has lost a batch that it had acknowledged before asked, the time of a look that
// found the mirror level. The feed never brought that batch, so the histories look the same; only the remembered
// acknowledgements tell.
func (v *salvage) lacks(ctx context.Context, p Primary, asked time.Time) (bool, error) {
	for _, was := range v.acks.before(asked) {
		if lost, err := v.unlogged(ctx, p, &was); lost || err != nil {
			return lost, err
		}
	}
	return false, nil
}

// unlogged reports whether an acknowledged batch is in neither the mirror's log nor the primary's. If the primary's log
// does not reach back that far, the batch counts as logged.
func (v *salvage) unlogged(ctx context.Context, p Primary, was *acknowledged) (bool, error) {
	if was.receipt.Seq == 0 {
		return false, nil // it was sent again after the log was trimmed
	}
	q := knowledge.ChangeQuery{Batch: was.batch.ID, Limit: 1}
	if ours, err := v.mirror.file.Changes(ctx, q); len(ours) > 0 || err != nil {
		return false, onDisk(err)
	}
	short, cancel := context.WithTimeout(ctx, v.o.readTimeout)
	defer cancel()
	if theirs, err := p.Changes(short, q); len(theirs) > 0 || err != nil {
		return false, err
	}
	_, err := p.Changes(short, knowledge.ChangeQuery{After: was.receipt.Seq - 1, Limit: 1})
	if errors.Is(err, store.ErrGone) {
		return false, nil
	}
	return err == nil, err
}

// fork returns the last change that mirror and primary have in common, as far as their logs reach back.
func (v *salvage) fork(ctx context.Context, p Primary, theirs knowledge.Seq) (knowledge.Seq, error) {
	low, high := knowledge.Seq(0), min(theirs, knowledge.Seq(v.mirror.applied.Load()))
	for low < high { // the histories are the same up to low, and may differ after high
		mid := low + (high-low+1)/2
		same, err := v.same(ctx, p, mid)
		if err != nil {
			return 0, err
		}
		if same {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low, nil
}

// before reports whether the mirror's log has a version of a document at or before upTo.
func (v *salvage) before(ctx context.Context, key knowledge.Key, version int64, upTo knowledge.Seq) (bool, error) {
	list, err := v.mirror.file.Changes(ctx, knowledge.ChangeQuery{Key: key, Version: version, Limit: 1})
	return len(list) == 1 && list[0].Seq <= upTo, onDisk(err)
}

// same reports whether mirror and primary have the same change at a seq. Beyond a log's reach they count as the same.
func (v *salvage) same(ctx context.Context, p Primary, at knowledge.Seq) (bool, error) {
	q := knowledge.ChangeQuery{After: at - 1, Limit: 1}
	ours, err := v.mirror.file.Changes(ctx, q)
	switch {
	case errors.Is(err, store.ErrGone):
		return true, nil
	case err != nil:
		return false, onDisk(err)
	}
	short, cancel := context.WithTimeout(ctx, v.o.readTimeout)
	defer cancel()
	theirs, err := p.Changes(short, q)
	switch {
	case errors.Is(err, store.ErrGone):
		return true, nil
	case err != nil:
		return false, err
	}
	return len(ours) > 0 && len(theirs) > 0 && ours[0].Seq == theirs[0].Seq && ours[0].Chain == theirs[0].Chain, nil
}

// keep parks a write that the primary has lost. The id follows from the content, so a rebuild that starts again parks
// it once.
func (v *salvage) keep(
	ctx context.Context, name []byte, batch knowledge.BatchID, why, actor string, lost []lostOp,
) error {
	b := knowledge.Batch{ID: uuid.NewSHA1(uuid.NameSpaceOID, name), Actor: actor}
	e := store.Entry{Caller: actor, At: knowledge.At(v.o.wall())}
	for _, l := range lost {
		op := knowledge.Op{Verb: knowledge.VerbPurge, Key: l.key}
		if l.record != nil {
			doc, err := l.record.Document()
			if err != nil {
				return err
			}
			op = knowledge.Put(doc, 0)
		}
		b.Ops = append(b.Ops, op)
		e.Bases = append(e.Bases, store.Base{Version: max(l.was-1, 0)})
		e.Left = append(e.Left, store.Left{Key: l.key, Record: l.record})
	}
	sum, err := b.Fingerprint()
	if err != nil {
		return err
	}
	e.Batch, e.Fingerprint = b, sum
	parked := store.Parked{Entry: e, Why: why, Found: lost[0].found, ParkedAt: knowledge.At(v.o.wall()), Lost: batch}
	if lost[0].record != nil {
		parked.Ours = json.RawMessage(lost[0].record.JSON)
	}
	if p := v.up.current(); p != nil && lost[0].found > 0 {
		short, cancel := context.WithTimeout(ctx, v.o.readTimeout)
		defer cancel()
		theirs, err := p.Get(short, lost[0].key)
		if err != nil && !isNotFound(err) {
			return err
		}
		if err == nil {
			parked.Theirs, parked.Found = json.RawMessage(theirs.JSON), theirs.Version
		}
	}
	if err := v.journal.Park(ctx, parked); err != nil {
		return onDisk(fmt.Errorf("keep %s, which the primary lost: %w", lost[0].key, err))
	}
	v.counts.parked.Add(1)
	v.o.Log.ErrorContext(ctx, "the primary lost a write that the mirror has; it is kept as a conflict",
		"batch", b.ID.String(), "key", lost[0].key.String(), "why", why)
	return nil
}
