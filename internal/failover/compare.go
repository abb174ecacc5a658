package failover

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"tenet/internal/knowledge"
)

// comparePage is how many documents of the mirror are read at once: a longer read would keep SQLite from truncating the
// mirror's write-ahead log.
const comparePage = 500

// A comparison reads a snapshot of the primary and the mirror side by side, while the mirror goes on following. A
// difference therefore counts only when no change of that document explains it.
type comparison struct {
	x      *comparer
	ctx    context.Context // a sink's methods take none, and a comparison lives as long as one call
	at     knowledge.Position
	from   knowledge.Seq       // both sides have every change up to this one
	n      int64               // documents of the primary
	page   []*knowledge.Record // documents of the mirror that are read and not yet compared
	last   knowledge.Key       // key of the last document read from the mirror
	differ map[knowledge.Key]bool
}

// Begin implements [store.Sink].
func (c *comparison) Begin(at knowledge.Position) error {
	c.at, c.from = at, min(at.Seq, knowledge.Seq(c.x.mirror.applied.Load()))
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
			c.differ[ours.Key] = true // only the mirror has it
			continue
		case order < 0 || ours.Version != r.Version || !bytes.Equal(ours.JSON, r.JSON):
			c.differ[r.Key] = true
		}
		return nil
	}
}

// Change implements [store.Sink].
func (c *comparison) Change(*knowledge.Change) error { return nil }

// rest notes the documents that the mirror has after the primary's last one.
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

// peek returns the mirror's next document, nil after the last.
func (c *comparison) peek() (*knowledge.Record, error) {
	if len(c.page) == 0 {
		page, err := c.x.mirror.file.Documents(c.ctx, c.last, comparePage)
		if err != nil || len(page) == 0 {
			return nil, onDisk(err)
		}
		c.page, c.last = page, page[len(page)-1].Key
	}
	return c.page[0], nil
}

// compareKeys orders keys as a snapshot orders them.
func compareKeys(a, b knowledge.Key) int {
	kinds := knowledge.Kinds()
	return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.ID, b.ID))
}

// explain removes the differences that a change since the comparison began explains. The mirror may also hold
// acknowledged writes of this instance that the feed has yet to bring.
func (c *comparison) explain(p Primary) error {
	short, cancel := context.WithTimeout(c.ctx, c.x.o.readTimeout)
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
	short, cancel := context.WithTimeout(c.ctx, c.x.o.readTimeout)
	defer cancel()
	return p.Changes(short, knowledge.ChangeQuery{After: after})
}

// An outcome is the result of a comparison.
type outcome struct {
	Comparison
	why string // why the mirror must be rebuilt; empty when it need not
	err error  // the primary failed: nothing was compared
	// the number of rebuilds when the comparison began: after another rebuild the outcome is about an old mirror
	of    int64
	asked bool // a person asked for it
}

// A comparer compares the mirror with the primary, beside the keeper.
type comparer struct {
	o      *Options
	mirror *mirror
	counts *counts
}

// compare compares the mirror with the primary.
func (x *comparer) compare(ctx context.Context, p Primary, asked bool) outcome {
	o := outcome{of: x.counts.resyncs.Load(), asked: asked}
	if err := x.mirror.file.Check(ctx); err != nil {
		o.why = err.Error()
		return o
	}
	c := &comparison{x: x, ctx: ctx, differ: map[knowledge.Key]bool{}}
	err := p.Snapshot(ctx, 0, c)
	if err == nil {
		err = c.rest()
	}
	if _, here := errors.AsType[*diskError](err); here {
		o.why = "part of it can't be read: " + err.Error()
		return o
	}
	if err == nil {
		err = c.explain(p)
	}
	if err != nil {
		o.err = err
		return o
	}
	o.Comparison = Comparison{At: knowledge.At(x.o.wall()), Seq: c.at.Seq, Documents: c.n, Equal: len(c.differ) == 0}
	if !o.Equal {
		o.why = "it differs from the primary"
		x.o.Log.ErrorContext(ctx, "mirror differs from the primary", "seq", int64(o.Seq), "documents", o.Documents,
			"different", len(c.differ))
	}
	return o
}
