package failover

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"tenet/internal/knowledge"
)

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
func (s *Store) compare(ctx context.Context, p Primary) (done bool, err error) {
	if s.anyWaiting() {
		return false, nil // overlays make no difference, but what settles meanwhile would
	}
	if err := s.sweep(ctx); err != nil {
		return false, local(err)
	}
	var theirs digestSink
	if err := p.Snapshot(ctx, 0, &theirs); err != nil {
		return false, err
	}
	for knowledge.Seq(s.applied.Load()) < theirs.at.Seq {
		changes, err := p.Changes(ctx, knowledge.ChangeQuery{After: knowledge.Seq(s.applied.Load())})
		if err != nil {
			return false, err
		}
		for i := range changes {
			if changes[i].Seq > theirs.at.Seq {
				changes = changes[:i]
				break
			}
		}
		if len(changes) == 0 {
			return false, fmt.Errorf("compare mirror and primary: the log ends before change %d", theirs.at.Seq)
		}
		if err := s.replicate(ctx, changes); err != nil {
			return false, local(err)
		}
	}
	var ours digest
	if err := s.mirror.Check(ctx); err != nil {
		return true, s.rebuild(ctx, p, "it is damaged: "+err.Error(), behind)
	}
	err = s.mirror.Compare(ctx, func(r *knowledge.Record) error { ours.add(r); return ctx.Err() })
	if err != nil {
		return true, s.rebuild(ctx, p, "it can't be read whole: "+err.Error(), behind)
	}
	if ours != theirs.digest && s.foreseenAhead(ctx, p, theirs.at) {
		return false, nil
	}
	s.mu.Lock()
	s.compared = Comparison{At: knowledge.At(time.Now()), Seq: theirs.at.Seq, Documents: theirs.n, Equal: ours == theirs.digest}
	s.mu.Unlock()
	if ours != theirs.digest {
		s.o.Log.ErrorContext(ctx, "mirror differs from the primary", "seq", int64(theirs.at.Seq), "documents", theirs.n, "mirrored", ours.n)
		return true, s.rebuild(ctx, p, "it differs from the primary", behind)
	}
	s.o.Log.InfoContext(ctx, "mirror equals the primary", "seq", int64(theirs.at.Seq), "documents", theirs.n)
	return true, nil
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
