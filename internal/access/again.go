package access

import (
	"context"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// DecideAgain decides a batch that was taken before, as a replay does with the writer's rights of now: each operation,
// and by the documents where the right to publish is missing. Get returns the documents that it is about to change. The
// error is a [*store.ForbiddenError] if the writer may no longer do it.
func DecideAgain(
	ctx context.Context, c *Caller, get func(context.Context, knowledge.Key) (*knowledge.Record, error),
	b *knowledge.Batch,
) error {
	if _, no := decideOps(c, b); no != nil {
		return no
	}
	own := *c
	own.ownApproval = true // whether the policy lets it was asked when the batch was taken
	for i := range b.Ops {
		op := &b.Ops[i]
		a := Act{Verb: op.Verb, Key: op.Key}
		if !a.writes() || c.May(DoPublish, op.Key.Kind) || c.May(DoManage, op.Key.Kind) {
			continue
		}
		rec, err := get(ctx, op.Key)
		if err == nil {
			a.Before, err = rec.Document()
		}
		switch {
		case errors.Is(err, store.ErrNotFound) && op.Verb == knowledge.VerbPut: // it makes the document
		case errors.Is(err, store.ErrNotFound) && op.Verb == knowledge.VerbRestore: // the archive may have it
			return &store.ForbiddenError{
				Reason: "restore " + op.Key.String() + " from the archive: that is for those who may publish",
			}
		case errors.Is(err, store.ErrNotFound):
			continue // it does not fit: the primary says why
		case err != nil:
			return err
		}
		if a.After, err = op.Next(a.Before); err != nil {
			continue // nor does this
		}
		a.Seen = true
		if no := Decide(&own, a); no != nil {
			return no
		}
	}
	return nil
}
