package store

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
)

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
