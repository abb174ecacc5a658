package failover

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"tenet/internal/knowledge"
)

// comparePage is how many documents of the mirror are read at once to be compared: a longer read would keep the mirror's
// write-ahead log from being emptied.
const comparePage = 500

// A comparison walks along a snapshot of the primary and along the mirror, side by side, while the mirror goes on following. So
// a difference counts only when no change of that document explains it.
type comparison struct {
	s      *Store
	ctx    context.Context //nolint:containedctx // a sink's methods take none, and a comparison lives as long as one call
	at     knowledge.Position
	from   knowledge.Seq       // both sides held what came up to here
	n      int64               // documents of the primary
	page   []*knowledge.Record // of the mirror, not yet met
	last   knowledge.Key       // of the mirror's documents read so far
	differ map[knowledge.Key]bool
}

// Begin implements [store.Sink].
func (c *comparison) Begin(at knowledge.Position) error {
	c.at, c.from = at, min(at.Seq, knowledge.Seq(c.s.applied.Load()))
	return nil
}

// Record implements [store.Sink].
func (c *comparison) Record(r *knowledge.Record) error {
	c.n++
	for {
		ours, err := c.peek()
		if err != nil {
			return err
		}
		order := -1
		if ours != nil {
			order = compareKeys(r.Key, ours.Key)
		}
		if order >= 0 {
			c.page = c.page[1:]
		}
		switch {
		case order > 0:
			c.differ[ours.Key] = true // the mirror alone has it
			continue
		case order < 0 || ours.Version != r.Version || !bytes.Equal(ours.JSON, r.JSON):
			c.differ[r.Key] = true
		}
		return nil
	}
}

// Change implements [store.Sink].
func (c *comparison) Change(*knowledge.Change) error { return nil }

// rest notes what the mirror alone has behind the primary's last document.
func (c *comparison) rest() error {
	for {
		ours, err := c.peek()
		if err != nil || ours == nil {
			return err
		}
		c.differ[ours.Key] = true
		c.page = c.page[1:]
	}
}

// peek returns the mirror's next document, nil behind the last.
func (c *comparison) peek() (*knowledge.Record, error) {
	if len(c.page) == 0 {
		page, err := c.s.mirror.Documents(c.ctx, c.last, comparePage)
		if err != nil || len(page) == 0 {
			return nil, local(err)
		}
		c.page, c.last = page, page[len(page)-1].Key
	}
	return c.page[0], nil
}

// compareKeys orders keys as a snapshot does.
func compareKeys(a, b knowledge.Key) int {
	kinds := knowledge.Kinds()
	return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.ID, b.ID))
}

// explain strikes out the differences that changes explain that one side had already and the other had not, up to now: the
// mirror may also hold acknowledged writes of this instance that the feed has yet to bring.
func (c *comparison) explain(p Primary) error {
	short, cancel := context.WithTimeout(c.ctx, c.s.o.ReadTimeout)
	defer cancel()
	now, err := p.Position(short)
	for at := c.from; err == nil && at < now.Seq && len(c.differ) > 0; {
		var changes []knowledge.Change
		if changes, err = c.changes(p, at); len(changes) == 0 {
			break
		}
		for i := range changes {
			delete(c.differ, changes[i].Key)
		}
		at = changes[len(changes)-1].Seq
	}
	return err
}

func (c *comparison) changes(p Primary, after knowledge.Seq) ([]knowledge.Change, error) {
	short, cancel := context.WithTimeout(c.ctx, c.s.o.ReadTimeout)
	defer cancel()
	return p.Changes(short, knowledge.ChangeQuery{After: after})
}

// An outcome is what came of a comparison.
type outcome struct {
	Comparison
	why   string // why the mirror must be made anew; empty when it need not
	err   error  // of the primary: nothing was compared
	of    int64  // which of the mirrors of this process was compared
	asked bool   // by a person
}

// CheckMirror asks the keeper to compare the mirror with the primary at its next look.
func (s *Store) CheckMirror() {
	s.check.Store(true)
	s.ring()
}

// compare compares the mirror with the primary.
func (s *Store) compare(ctx context.Context, p Primary, asked bool) outcome {
	o := outcome{of: s.counts.resyncs.Load(), asked: asked}
	if err := s.mirror.Check(ctx); err != nil {
		o.why = err.Error()
		return o
	}
	c := &comparison{s: s, ctx: ctx, differ: map[knowledge.Key]bool{}}
	err := p.Snapshot(ctx, 0, c)
	if err == nil {
		err = c.rest()
	}
	if _, here := errors.AsType[*localError](err); here {
		o.why = "it can't be read whole: " + err.Error()
		return o
	}
	if err == nil {
		err = c.explain(p)
	}
	if err != nil {
		o.err = err
		return o
	}
	o.Comparison = Comparison{At: knowledge.At(s.o.Wall()), Seq: c.at.Seq, Documents: c.n, Equal: len(c.differ) == 0}
	if !o.Equal {
		o.why = "it differs from the primary"
		s.o.Log.ErrorContext(ctx, "mirror differs from the primary", "seq", int64(o.Seq), "documents", o.Documents, "different", len(c.differ))
	}
	return o
}

// compared takes note of what came of a comparison. It runs on the keeper.
func (s *Store) compared(ctx context.Context, p Primary, o *outcome) error {
	if old := o.of != s.counts.resyncs.Load(); old || o.err != nil {
		if o.err != nil {
			s.o.Log.WarnContext(ctx, "mirror was not compared with the primary", "error", o.err.Error())
		}
		if o.asked {
			s.check.Store(true)
		}
		return nil
	}
	if !o.At.IsZero() {
		s.mu.Lock()
		s.comparison = o.Comparison
		s.mu.Unlock()
	}
	if o.why != "" {
		if o.asked && o.At.IsZero() {
			s.check.Store(true) // the new one is compared
		}
		return s.rebuild(ctx, p, o.why, behind)
	}
	s.mirrorWell()
	s.o.Log.InfoContext(ctx, "mirror equals the primary", "seq", int64(o.Seq), "documents", o.Documents)
	return nil
}

// A Comparison is the outcome of comparing the mirror with the primary.
type Comparison struct {
	At        knowledge.Time `json:"at"`
	Seq       knowledge.Seq  `json:"seq"`
	Documents int64          `json:"documents"`
	Equal     bool           `json:"equal"`
}
