package failover

import (
	"bytes"
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

// keptShare is the part of the mirror's documents that a primary must still have for the mirror to be made anew without a
// person's word.
const keptShare = 0.8

// errShrunk says that a snapshot holds suspiciously little.
var errShrunk = errors.New("more than a fifth of the documents are gone")

// rebuild makes the mirror anew from a snapshot of the primary. With guard, what the old mirror has and the snapshot has not
// is kept for a person, and a snapshot that lacks more than a fifth of the documents is refused.
func (s *Store) rebuild(ctx context.Context, p Primary, why string, guard bool) error {
	began := time.Now()
	s.counts.resyncs.Add(1)
	s.o.Log.WarnContext(ctx, "mirror is being built", "why", why)
	old, err := s.mirrored4salvage(ctx, guard)
	if err != nil {
		return err
	}
	accepted := s.accept.Swap(false)
	var tee *salvager
	err = s.mirror.Rebuild(ctx, func(sink store.Sink) error {
		tee = &salvager{next: sink, seen: map[knowledge.Key]fingerprint{}, track: guard}
		if err := p.Snapshot(ctx, s.o.Versions, tee); err != nil {
			return err
		}
		if guard && !accepted && float64(tee.n) < keptShare*float64(len(old)) {
			return errShrunk
		}
		return nil
	})
	if errors.Is(err, errShrunk) {
		s.move(knowledge.ModeDiverged, fmt.Sprintf("%s, and of %d documents it has only %d; the mirror goes on serving what it holds until "+
			"the primary is accepted: see tenet doctor mirror", why, len(old), tee.n))
		return errDiverged
	}
	if err != nil {
		return fmt.Errorf("build the mirror: %w", err)
	}
	if err := s.salvage(ctx, old, tee, why); err != nil {
		return err
	}
	s.recent.rebuilt(tee.at.At.Time)
	s.applied.Store(int64(tee.at.Seq))
	s.asOf.Store(began.UnixMicro())
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
	s.jmu.Lock() // what was journalled before there was a mirror has no overlay yet
	err = s.overlayAll(ctx)
	s.jmu.Unlock()
	if err != nil {
		return err
	}
	s.o.Log.InfoContext(ctx, "mirror is complete", "documents", tee.n, "seq", int64(tee.at.Seq), "took", time.Since(began).Round(time.Millisecond).String())
	s.tellSettled(nil)
	s.bell.ring()
	return nil
}

// overlayAll lays what waits over a new mirror.
func (s *Store) overlayAll(ctx context.Context) error {
	for after := int64(0); ; {
		entries, err := s.journal.Oldest(ctx, after, 500)
		if err != nil || len(entries) == 0 {
			return err
		}
		for i := range entries {
			after = entries[i].Seq
			if err := s.overlay(ctx, &entries[i]); err != nil {
				return err
			}
		}
	}
}

// A fingerprint tells two states of a document apart.
type fingerprint struct {
	version int64
	sum     [sha256.Size]byte
}

func fingerprintOf(r *knowledge.Record) fingerprint {
	return fingerprint{r.Version, sha256.Sum256(r.JSON)}
}

// A salvager hands a snapshot on and remembers what was in it.
type salvager struct {
	next  store.Sink
	at    knowledge.Position
	n     int
	track bool
	seen  map[knowledge.Key]fingerprint
}

// Begin implements [store.Sink].
func (t *salvager) Begin(at knowledge.Position) error {
	t.at = at
	return t.next.Begin(at)
}

// Record implements [store.Sink].
func (t *salvager) Record(r *knowledge.Record) error {
	t.n++
	if t.track {
		t.seen[r.Key] = fingerprintOf(r)
	}
	return t.next.Record(r)
}

// Change implements [store.Sink].
func (t *salvager) Change(c *knowledge.Change) error { return t.next.Change(c) }

// mirrored4salvage returns what the mirror holds of the primary, when it can be read and matters.
func (s *Store) mirrored4salvage(ctx context.Context, guard bool) (map[knowledge.Key]*knowledge.Record, error) {
	if !guard || !s.hasMirror() {
		return nil, nil //nolint:nilnil // there is nothing to save
	}
	old := map[knowledge.Key]*knowledge.Record{}
	err := s.mirror.Compare(ctx, func(r *knowledge.Record) error {
		old[r.Key] = r
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil {
		s.o.Log.ErrorContext(ctx, "mirror can't be read whole; what it alone holds is lost", "error", err.Error())
		return old, nil
	}
	return old, err
}

// salvage parks what the old mirror had and the primary has not: acknowledged writes that a failover of the primary lost.
func (s *Store) salvage(ctx context.Context, old map[knowledge.Key]*knowledge.Record, t *salvager, why string) error {
	for key, r := range old {
		now, there := t.seen[key]
		if there && (now.version > r.Version || now == fingerprintOf(r)) {
			continue
		}
		doc, err := r.Document()
		if err != nil {
			return err
		}
		b := knowledge.Batch{
			ID:    uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "salvage %s %d %x", key, r.Version, sha256.Sum256(r.JSON))),
			Actor: doc.Stamps().UpdatedBy, Ops: []knowledge.Op{knowledge.Put(doc, 0)},
		}
		sum, err := b.Fingerprint()
		if err != nil {
			return err
		}
		parked := store.Parked{
			Entry: store.Entry{
				Batch: b, Fingerprint: sum, Bases: []store.Base{{Version: r.Version - 1}}, At: knowledge.At(time.Now()),
				Left: []store.Left{{Key: key, Record: r}},
			},
			Why:   "the primary lost it: " + why,
			Found: now.version, Ours: json.RawMessage(r.JSON), ParkedAt: knowledge.At(time.Now()),
		}
		if err := s.journal.Append(ctx, parked.Entry); err != nil {
			return fmt.Errorf("keep %s, which the primary lost: %w", key, err)
		}
		if err := s.journal.Park(ctx, parked); err != nil {
			return fmt.Errorf("keep %s, which the primary lost: %w", key, err)
		}
		s.counts.parked.Add(1)
		s.o.Log.ErrorContext(ctx, "the primary lost a change that the mirror has; it is kept among the conflicts", "key", key.String(), "version", r.Version)
	}
	return nil
}

// A digest is an order-independent sum over documents.
type digest struct {
	n   int64
	sum [sha256.Size]byte
}

func (d *digest) add(r *knowledge.Record) {
	h := sha256.New()
	h.Write(fmt.Appendf(nil, "%s\n%d\n", r.Key, r.Version))
	h.Write(r.JSON)
	var one [sha256.Size]byte
	h.Sum(one[:0])
	carry := 0
	for i := range d.sum { // addition modulo 2^256: unlike xor, a document twice is not a document never
		carry += int(d.sum[i]) + int(one[i])
		d.sum[i] = byte(carry & 0xff)
		carry >>= 8
	}
	d.n++
}

// digestSink sums a snapshot up.
type digestSink struct {
	at knowledge.Position
	digest
}

// Begin implements [store.Sink].
func (d *digestSink) Begin(at knowledge.Position) error { d.at = at; return nil }

// Record implements [store.Sink].
func (d *digestSink) Record(r *knowledge.Record) error { d.add(r); return nil }

// Change implements [store.Sink].
func (d *digestSink) Change(*knowledge.Change) error { return nil }

// CheckMirror asks the keeper to compare the mirror with the primary at its next look.
func (s *Store) CheckMirror() {
	s.check.Store(true)
	s.ring()
}

// compare sums up the primary at one position and the mirror at the same one, and makes the mirror anew where they differ. It
// runs on the keeper, so that the mirror stands still meanwhile.
func (s *Store) compare(ctx context.Context, p Primary) error {
	s.mu.Lock()
	waits := len(s.waiting) > 0
	s.mu.Unlock()
	if waits {
		return nil // overlays make no difference, but what settles meanwhile would
	}
	var theirs digestSink
	if err := p.Snapshot(ctx, 0, &theirs); err != nil {
		return err
	}
	for knowledge.Seq(s.applied.Load()) < theirs.at.Seq {
		changes, err := p.Changes(ctx, knowledge.ChangeQuery{After: knowledge.Seq(s.applied.Load())})
		if err != nil {
			return err
		}
		for i := range changes {
			if changes[i].Seq > theirs.at.Seq {
				changes = changes[:i]
				break
			}
		}
		if len(changes) == 0 {
			return fmt.Errorf("compare mirror and primary: the log ends before change %d", theirs.at.Seq)
		}
		if err := s.replicate(ctx, changes); err != nil {
			return err
		}
	}
	var ours digest
	if err := s.mirror.Check(ctx); err != nil {
		return s.rebuild(ctx, p, "it is damaged: "+err.Error(), false)
	}
	err := s.mirror.Compare(ctx, func(r *knowledge.Record) error { ours.add(r); return ctx.Err() })
	if err != nil {
		return s.rebuild(ctx, p, "it can't be read whole: "+err.Error(), false)
	}
	s.mu.Lock()
	s.compared = Comparison{At: knowledge.At(time.Now()), Seq: theirs.at.Seq, Documents: theirs.n, Equal: ours == theirs.digest}
	s.mu.Unlock()
	if ours != theirs.digest {
		if s.foreseenAhead(ctx, p, theirs.at) {
			return nil
		}
		s.o.Log.ErrorContext(ctx, "mirror differs from the primary", "seq", int64(theirs.at.Seq), "documents", theirs.n, "mirrored", ours.n)
		return s.rebuild(ctx, p, "it differs from the primary", true)
	}
	s.o.Log.InfoContext(ctx, "mirror equals the primary", "seq", int64(theirs.at.Seq), "documents", theirs.n)
	return nil
}

// foreseenAhead reports whether the primary has moved on since the snapshot: then the mirror may hold acknowledged writes of
// this instance that came after it, and the comparison says nothing.
func (s *Store) foreseenAhead(ctx context.Context, p Primary, at knowledge.Position) bool {
	now, err := p.Position(ctx)
	return err != nil || now.Seq != at.Seq || !bytes.Equal(now.Chain[:], at.Chain[:])
}

// A Comparison is the outcome of comparing the mirror with the primary.
type Comparison struct {
	At        knowledge.Time `json:"at"`
	Seq       knowledge.Seq  `json:"seq"`
	Documents int64          `json:"documents"`
	Equal     bool           `json:"equal"`
}
