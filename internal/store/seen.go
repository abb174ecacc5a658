package store

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
)

// CheckProposed returns a [*ConflictError] when an op of a proposal was made for a version that has another text here,
// going by its ETag.
func CheckProposed(
	ctx context.Context, get func(context.Context, knowledge.Key) (*knowledge.Record, error), p *knowledge.Proposal,
) error {
	for i := range p.Ops {
		o := &p.Ops[i]
		if _, sum, ok := o.Seen(); !ok || sum == "" {
			continue
		}
		op, err := o.Op()
		if err != nil {
			return err
		}
		rec, err := get(ctx, op.Key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if otherText(o, rec) {
			return &ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: op.IfVersion}
		}
	}
	return nil
}

// CheckBases returns a [*ConflictError] when an op of a proposal was made for another version than is there, or with
// another text than is there by its ETag.
func CheckBases(
	ctx context.Context, get func(context.Context, knowledge.Key) (*knowledge.Record, error), p *knowledge.Proposal,
) error {
	for i := range p.Ops {
		op, err := p.Ops[i].Op()
		if err != nil {
			return err
		}
		rec, err := get(ctx, op.Key)
		switch none := errors.Is(err, ErrNotFound); {
		case none && (op.IfVersion == knowledge.NoVersion || op.Verb == knowledge.VerbRestore): // from the archive
			continue
		case none:
			return &ConflictError{Key: op.Key, Op: i, Want: op.IfVersion}
		case err != nil:
			return err
		case rec.Version != op.IfVersion || rec.Pending != (knowledge.BatchID{}):
			return &ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: rec.Version, GotBatch: rec.Pending}
		}
	}
	return CheckProposed(ctx, get, p)
}

// otherText reports whether a record has the version that a proposed op was made for, with another text than its writer
// saw.
func otherText(o *knowledge.ProposedOp, rec *knowledge.Record) bool {
	version, sum, ok := o.Seen()
	return ok && sum != "" && rec != nil && rec.Version == version && rec.Pending == (knowledge.BatchID{}) &&
		string(rec.AppendSum(nil)) != sum
}

// CheckSeen returns a [*ConflictError] when a put replaces the version that its document came from, and that version
// was written at another time here: the database was put back from a backup since, and the number stands for another
// text. Op is its place in the batch. What the document does not say, and a version that is not here, is left to the
// store.
func CheckSeen(
	ctx context.Context, get func(context.Context, knowledge.Key) (*knowledge.Record, error), op int, put *knowledge.Op,
) error {
	if put.Verb != knowledge.VerbPut || put.Doc == nil || put.IfVersion <= 0 {
		return nil
	}
	seen := put.Doc.Stamps()
	if seen.Version != put.IfVersion || seen.UpdatedAt.IsZero() {
		return nil
	}
	rec, err := get(ctx, put.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	// Programs in JavaScript hand times on in milliseconds.
	if rec.Version != put.IfVersion || rec.Pending != (knowledge.BatchID{}) ||
		rec.Updated.Truncate(time.Millisecond).Equal(seen.UpdatedAt.Truncate(time.Millisecond)) {
		return nil
	}
	return &ConflictError{Key: put.Key, Op: op, Want: put.IfVersion, Got: rec.Version}
}
