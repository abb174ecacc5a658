package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A ground works out which versions a batch is made on top of, and the documents it leaves on this instance until the
// primary has decided.
type ground struct {
	view    *view
	journal Journal
}

// prepare works out a batch's bases and the documents it leaves, and refuses a batch that the mirror already shows to
// be in conflict. The batch must have its turn. A batch of unknown outcome can't be refused: its conflict may be its
// own first attempt, or another's write. Its replay uses its original conditions, and until then its writer sees what
// was acknowledged.
func (g *ground) prepare(ctx context.Context, e *store.Entry) error {
	e.Bases, e.Left = make([]store.Base, len(e.Batch.Ops)), make([]store.Left, 0, len(e.Batch.Ops))
	written := map[knowledge.Key]bool{}
	for i := range e.Batch.Ops {
		base, l, err := g.prepareOp(ctx, e, i, g.standing, written)
		if err != nil && !e.Unknown {
			return err
		}
		if err == nil {
			e.Bases[i], e.Left = base, append(e.Left, l)
		}
		if op := &e.Batch.Ops[i]; e.Unknown {
			e.Bases[i] = store.Base{Version: op.IfVersion, Parent: op.IfBatch}
		}
	}
	return nil
}

// whole reports whether it is known what each operation of a waiting batch leaves here. It may not be of a batch of
// unknown outcome: that is journalled even while the mirror can't be read.
func whole(e *store.Entry) bool {
	return !e.Unknown || e.Damaged || e.Newer || len(e.Left) >= len(e.Batch.Ops)
}

// complete works out what a batch leaves that is not [whole], from a mirror that can be read again and over which all
// earlier batches are laid. What the mirror shows to be in conflict leaves nothing, as in [ground.prepare].
func (g *ground) complete(ctx context.Context, e *store.Entry) error {
	written := map[knowledge.Key]bool{}
	for i := range e.Batch.Ops {
		if _, known := e.LeftOf(e.Batch.Ops[i].Key); known {
			written[e.Batch.Ops[i].Key] = true
			continue
		}
		_, l, err := g.prepareOp(ctx, e, i, g.mirrored, written)
		switch {
		case err == nil:
			e.Left = append(e.Left, l)
		case errors.Is(err, store.ErrUnavailable), ctx.Err() != nil:
			return err
		}
	}
	return nil
}

// prepareOp prepares one operation. read returns what its writer sees; written holds the documents that earlier
// operations of the batch write.
func (g *ground) prepareOp(
	ctx context.Context, e *store.Entry, i int, read reading, written map[knowledge.Key]bool,
) (base store.Base, l store.Left, err error) {
	op := &e.Batch.Ops[i]
	current, err := read(ctx, op.Key)
	if err != nil {
		return base, l, err
	}
	err = g.judge(ctx, op, i, current)
	forced := e.Unknown && op.Verb == knowledge.VerbPut && errors.Is(err, store.ErrConflict)
	if err != nil && !forced {
		return base, l, err
	}
	written[op.Key] = true
	base = baseOf(op, current)
	if l, err = left(op, i, current, e); err != nil {
		return base, l, err
	}
	return base, l, g.referred(ctx, op, i, l.Record, read, written)
}

// A reading returns the document that a writer here sees, nil for none.
type reading = func(ctx context.Context, key knowledge.Key) (*knowledge.Record, error)

// baseOf returns what an operation is made on top of, where current is the document that its writer sees. A waiting
// document is named by its batch; only here is that told apart from a version, since the version of a waiting document
// is only promised.
func baseOf(op *knowledge.Op, current *knowledge.Record) store.Base {
	switch {
	case op.IfBatch != (knowledge.BatchID{}):
		return store.Base{Parent: op.IfBatch}
	case current == nil:
		return store.Base{Version: max(0, op.IfVersion)}
	// its writer has seen a newer version than this instance: only that one will do
	case op.IfVersion > current.Version:
		return store.Base{Version: op.IfVersion}
	case current.Pending != (knowledge.BatchID{}):
		return store.Base{Parent: current.Pending}
	}
	return store.Base{Version: current.Version}
}

// standing is the [reading] of what this instance shows. The record itself tells whether a waiting batch left it
// (Pending): the feed may already have brought that batch, with another's version on top.
func (g *ground) standing(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if !g.view.mirror.complete() {
		if r, waits, err := g.view.waits.journalled(ctx, key); waits || err != nil {
			return r, err
		}
		return g.mirrored(ctx, key)
	}
	r, err := g.view.get(ctx, key)
	if isNotFound(err) {
		return nil, nil // there is none
	}
	return r, err
}

// mirrored is the [reading] of a mirror, also of a new one that does not answer yet.
func (g *ground) mirrored(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	r, err := g.view.mirror.file.Get(ctx, key)
	if isNotFound(err) {
		return nil, nil // there is none
	}
	return r, err
}

// judge checks an operation's condition as far as this instance can. A version newer than the mirror's is believed: its
// writer has seen the primary, and the replay checks it. The version of a waiting document is only promised, so no
// condition can name it.
func (g *ground) judge(ctx context.Context, op *knowledge.Op, i int, current *knowledge.Record) error {
	conflict := &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, WantBatch: op.IfBatch}
	if current != nil {
		conflict.Got, conflict.GotBatch = current.Version, current.Pending
	}
	switch {
	case current == nil && op.Verb != knowledge.VerbPut &&
		(op.IfVersion <= 0 || op.IfVersion == knowledge.NeverVersion):
		return &store.NotFoundError{Key: op.Key}
	case op.IfVersion == knowledge.NeverVersion:
		return conflict
	case op.IfBatch != (knowledge.BatchID{}):
		if by, err := g.leftBy(ctx, op, current); err != nil || by {
			return err
		}
		return conflict
	case current == nil && op.Verb != knowledge.VerbPut:
		return &store.UnavailableError{
			Reason:     "the primary can't be reached and the mirror does not hold " + op.Key.String() + " yet",
			RetryAfter: 5 * time.Second, NotDone: true,
		}
	case current == nil, op.IfVersion == knowledge.AnyVersion, op.IfVersion > current.Version:
		return nil
	case op.IfVersion == current.Version && current.Pending == (knowledge.BatchID{}):
		return nil
	}
	return conflict
}

// leftBy reports whether the batch that an operation names wrote the document that a writer sees here: it is laid over
// the mirror, or it was applied and nothing was written since.
func (g *ground) leftBy(ctx context.Context, op *knowledge.Op, current *knowledge.Record) (bool, error) {
	switch {
	case current == nil:
		return false, nil
	case current.Pending != (knowledge.BatchID{}):
		return current.Pending == op.IfBatch, nil
	}
	_, out, err := g.journal.Find(ctx, op.IfBatch)
	if err == nil && out.State == knowledge.BatchApplied && out.Versions[op.Key] == current.Version {
		return true, nil
	}
	if err != nil && !isNotFound(err) {
		return false, err
	}
	changes, err := g.view.mirror.file.Changes(ctx, knowledge.ChangeQuery{Batch: op.IfBatch, Key: op.Key, Limit: 1})
	return err == nil && len(changes) > 0 && changes[0].Version == current.Version, err
}

// referred checks that the parent of the document that an operation leaves exists.
func (g *ground) referred(
	ctx context.Context, op *knowledge.Op, i int, after *knowledge.Record, read reading,
	written map[knowledge.Key]bool,
) error {
	doc, part := op.Doc, "document"
	if op.Verb == knowledge.VerbPatch {
		var err error
		if doc, err = after.Document(); err != nil {
			return err
		}
		part = "patch"
	}
	if doc == nil {
		return nil
	}
	key, field, ok := knowledge.ParentOf(doc)
	if !ok || written[key] {
		return nil
	}
	r, err := read(ctx, key)
	if err == nil && r == nil {
		return knowledge.Invalid(fmt.Sprintf("/ops/%d/%s/%s", i, part, field), "no %s %q: create it first", key.Kind,
			key.ID)
	}
	return err
}

// promised refuses a condition that names the version of a waiting document: that version is only promised, and once
// the batch is applied or parked another write may get the same number.
func (g *ground) promised(ctx context.Context, b *knowledge.Batch) error {
	for i := range b.Ops {
		op := &b.Ops[i]
		if op.IfVersion <= 0 || !g.view.waits.on(op.Key) {
			continue
		}
		r, err := g.standing(ctx, op.Key)
		if err != nil || r == nil {
			continue // the queue checks again
		}
		if r.Pending != (knowledge.BatchID{}) && r.Version == op.IfVersion {
			return &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: r.Version, GotBatch: r.Pending}
		}
	}
	return nil
}
