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

// A fingerprint tells two states of a document apart.
type fingerprint struct {
	version int64
	sum     [sha256.Size]byte
}

func fingerprintOf(r *knowledge.Record) fingerprint {
	return fingerprint{r.Version, sha256.Sum256(r.JSON)}
}

// A salvager hands a snapshot on, and strikes out what of the old mirror is in it.
type salvager struct {
	next store.Sink
	at   knowledge.Position
	n    int                           // documents of the snapshot
	had  int                           // documents of the old mirror
	lost map[knowledge.Key]fingerprint // of the old mirror, what the snapshot has not, or older, or otherwise
	seen map[knowledge.Key]int64       // of what is still lost, the version that the snapshot has
}

// Begin implements [store.Sink].
func (t *salvager) Begin(at knowledge.Position) error {
	t.at, t.seen = at, map[knowledge.Key]int64{}
	return local(t.next.Begin(at))
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
	return local(t.next.Record(r))
}

// Change implements [store.Sink].
func (t *salvager) Change(c *knowledge.Change) error { return local(t.next.Change(c)) }

// remember notes what the mirror holds of the primary. What can't be read of a damaged one is lost.
func (s *Store) remember(ctx context.Context, t *salvager) error {
	err := s.mirror.Compare(ctx, func(r *knowledge.Record) error {
		t.lost[r.Key] = fingerprintOf(r)
		return ctx.Err()
	})
	t.had = len(t.lost)
	if err != nil && ctx.Err() == nil {
		s.o.Log.ErrorContext(ctx, "mirror can't be read whole; what it alone holds is lost", "error", err.Error())
		return nil
	}
	return err
}

// salvage parks what the old mirror had and the primary has not: acknowledged writes that a failover of the primary lost. Of
// parted histories it is what the log says; of documents beyond the log, or never in it, what is older or otherwise at the
// primary. A document that the primary merely no longer has may have been purged there: it counts as lost only where the
// histories have parted.
func (s *Store) salvage(ctx context.Context, p Primary, t *salvager, why string, because reason) error {
	told := map[knowledge.Key]bool{}
	var fork knowledge.Seq
	var err error
	if because == parted {
		if fork, err = s.fork(ctx, p, t.at.Seq); err != nil {
			return err
		}
		if err := s.salvageLog(ctx, p, fork, why, told); err != nil {
			return err
		}
		if err := s.salvageAcknowledged(ctx, p, t, why, told); err != nil {
			return err
		}
	}
	for key, old := range t.lost {
		_, there := t.seen[key]
		common := !there // it may have been purged there
		if because == parted {
			if common, err = s.before(ctx, key, old.version, fork); err != nil {
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
	return local(s.mirror.Compare(ctx, func(r *knowledge.Record) error {
		if t.lost[r.Key] != fingerprintOf(r) {
			return nil
		}
		doc, err := r.Document()
		if err != nil {
			return err
		}
		return s.keep(ctx, fmt.Appendf(nil, "salvage %s %d %x", r.Key, r.Version, sha256.Sum256(r.JSON)), "the primary lost it: "+why,
			doc.Stamps().UpdatedBy, []lostOp{{r.Key, r, r.Version, t.seen[r.Key]}})
	}))
}

// A lostOp is what the mirror alone has of a document.
type lostOp struct {
	key    knowledge.Key
	record *knowledge.Record // nil for a purge
	was    int64             // the version that it got
	found  int64             // the version at the primary
}

// salvageLog parks the batches of the mirror's log from where it has parted from the primary's.
func (s *Store) salvageLog(ctx context.Context, p Primary, after knowledge.Seq, why string, told map[knowledge.Key]bool) error {
	for {
		changes, err := s.mirror.Changes(ctx, knowledge.ChangeQuery{After: after})
		if err != nil {
			return local(err)
		}
		if len(changes) == 0 {
			return nil
		}
		for len(changes) > 0 {
			n := 1
			for n < len(changes) && changes[n].Batch == changes[0].Batch && changes[0].Batch != (knowledge.BatchID{}) {
				n++
			}
			if err := s.salvageBatch(ctx, p, changes[:n], why, told); err != nil {
				return err
			}
			after, changes = changes[n-1].Seq, changes[n:]
		}
	}
}

// salvageBatch parks what one batch did in the mirror's history, unless the primary has the batch too.
func (s *Store) salvageBatch(ctx context.Context, p Primary, changes []knowledge.Change, why string, told map[knowledge.Key]bool) error {
	first := &changes[0]
	if first.Batch != (knowledge.BatchID{}) {
		short, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
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
			continue // emptied by a purge that came later
		}
		short, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
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
	return s.keep(ctx, fmt.Appendf(nil, "salvage %s %d %x", first.Batch, first.Seq, first.Chain),
		fmt.Sprintf("the primary lost it (batch %s, change %d): %s", first.Batch, first.Seq, why), first.Actor, ops)
}

// salvageAcknowledged parks what was acknowledged so late that the log of the mirror does not have it. Its documents may have
// been written again since, at the primary as it is now, so that the versions tell nothing.
func (s *Store) salvageAcknowledged(ctx context.Context, p Primary, t *salvager, why string, told map[knowledge.Key]bool) error {
	for _, was := range s.recent.acknowledgements(time.Now()) {
		if lost, err := s.unlogged(ctx, p, &was); err != nil {
			return err
		} else if !lost {
			continue
		}
		ops := make([]lostOp, len(was.batch.Ops))
		for i := range was.batch.Ops {
			key := was.batch.Ops[i].Key
			ops[i] = lostOp{key: key}
			if r := was.receipt.Records[i]; r != nil {
				ops[i].record, ops[i].was = r, r.Version
				told[key] = told[key] || t.lost[key] == fingerprintOf(r)
			}
		}
		name := fmt.Appendf(nil, "salvage %s %d", was.batch.ID, was.receipt.Seq)
		if err := s.keep(ctx, name, fmt.Sprintf("the primary lost it (batch %s): %s", was.batch.ID, why), was.batch.Actor, ops); err != nil {
			return err
		}
	}
	return nil
}

// lacks reports whether the primary has lost something that it had acknowledged before a question that found the mirror level. The
// feed has not brought it, and so the histories look the same: only what is remembered here tells.
func (s *Store) lacks(ctx context.Context, p Primary, asked time.Time) (bool, error) {
	for _, was := range s.recent.acknowledgements(asked) {
		if lost, err := s.unlogged(ctx, p, &was); lost || err != nil {
			return lost, err
		}
	}
	return false, nil
}

// unlogged reports whether neither the mirror's log nor the primary's has a batch that was acknowledged. Where the log no longer
// reaches back so far, it is taken to have had it.
func (s *Store) unlogged(ctx context.Context, p Primary, was *acknowledged) (bool, error) {
	if was.receipt.Seq == 0 {
		return false, nil // sent again after the log had forgotten it
	}
	q := knowledge.ChangeQuery{Batch: was.batch.ID, Limit: 1}
	if ours, err := s.mirror.Changes(ctx, q); len(ours) > 0 || err != nil {
		return false, local(err)
	}
	short, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
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
func (s *Store) fork(ctx context.Context, p Primary, theirs knowledge.Seq) (knowledge.Seq, error) {
	low, high := knowledge.Seq(0), min(theirs, knowledge.Seq(s.applied.Load()))
	for low < high { // the histories are the same up to low, and for all that is known not beyond high
		mid := low + (high-low+1)/2
		same, err := s.same(ctx, p, mid)
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

// before reports whether the mirror's log has a version of a document up to a place.
func (s *Store) before(ctx context.Context, key knowledge.Key, version int64, upTo knowledge.Seq) (bool, error) {
	list, err := s.mirror.Changes(ctx, knowledge.ChangeQuery{Key: key, Version: version, Limit: 1})
	return len(list) == 1 && list[0].Seq <= upTo, local(err)
}

// same reports whether mirror and primary have the same change at a place. Where a log does not reach back that far they are
// taken to have.
func (s *Store) same(ctx context.Context, p Primary, at knowledge.Seq) (bool, error) {
	q := knowledge.ChangeQuery{After: at - 1, Limit: 1}
	ours, err := s.mirror.Changes(ctx, q)
	switch {
	case errors.Is(err, store.ErrGone):
		return true, nil
	case err != nil:
		return false, local(err)
	}
	short, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
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

// keep parks what the primary has lost. The id follows from the content, so that a build that is begun again keeps it once.
func (s *Store) keep(ctx context.Context, name []byte, why, actor string, lost []lostOp) error {
	b := knowledge.Batch{ID: uuid.NewSHA1(uuid.NameSpaceOID, name), Actor: actor}
	e := store.Entry{Caller: actor, At: knowledge.At(s.o.Wall())}
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
	parked := store.Parked{Entry: e, Why: why, Found: lost[0].found, ParkedAt: knowledge.At(s.o.Wall())}
	if lost[0].record != nil {
		parked.Ours = json.RawMessage(lost[0].record.JSON)
	}
	if p := s.now(); p != nil && lost[0].found > 0 {
		short, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
		defer cancel()
		theirs, err := p.Get(short, lost[0].key)
		if err != nil && !isNotFound(err) {
			return err
		}
		if err == nil {
			parked.Theirs, parked.Found = json.RawMessage(theirs.JSON), theirs.Version
		}
	}
	if err := s.journal.Park(ctx, parked); err != nil {
		return local(fmt.Errorf("keep %s, which the primary lost: %w", lost[0].key, err))
	}
	s.counts.parked.Add(1)
	s.o.Log.ErrorContext(ctx, "the primary lost a write that the mirror has; it is kept among the conflicts", "batch", b.ID.String(), "key", lost[0].key.String(), "why", why)
	return nil
}
