package httpapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// readCondition reads the preconditions of a write into its only op: the version that the writer saw, the batch that
// left it, or [knowledge.NoVersion] for If-None-Match: *. One that has to be looked at and does not hold becomes
// [knowledge.NeverVersion]: the store refuses it, unless the batch was taken before. That question comes first, and
// nobody asks it but the store.
func readCondition(ctx context.Context, c *call, b *knowledge.Batch) error {
	op := &b.Ops[0]
	match, none := c.r.Header["If-Match"], c.r.Header["If-None-Match"]
	c.conditional = len(match) > 0 || len(none) > 0
	switch {
	case len(match) > 0 && len(none) > 0:
		return knowledge.BadQuery("If-Match", "stands beside If-None-Match: give one of them")
	case len(none) > 0:
		if _, star, ok := parseTags(none); !ok || !star {
			return knowledge.BadQuery("If-None-Match", "a write knows only If-None-Match: *")
		}
		op.IfVersion = knowledge.NoVersion
		return nil
	case len(match) == 0:
		return nil
	}
	tags, star, ok := parseTags(match)
	if !ok {
		return badIfMatch()
	}
	if len(tags) == 1 {
		version, sum, ok := versionTag(tags[0].value)
		if ok && sum == "" { // the version alone, as a person may write it
			op.IfVersion = version
			return nil
		}
		if ok {
			op.IfVersion = version
			return postpone(c, b, "", sameText(ctx, c, op.Key, version, sum))
		}
		if id, ok := batchTag(tags[0].value); ok {
			op.IfBatch = id
			return nil
		}
	}
	if star {
		if op.Verb != knowledge.VerbPut {
			return nil // the store knows whether it is there
		}
		_, err := mustExist(ctx, c, op.Key)
		return postpone(c, b, "", err)
	}
	return postpone(c, b, strings.Join(match, ","), matchOneTag(ctx, c, op, tags))
}

// postpone replaces a precondition that does not hold by one that never holds, and keeps the refusal: the store must
// first look whether the batch was applied before. The fingerprint of the batch is that of the request, with its tags.
func postpone(c *call, b *knowledge.Batch, tags string, err error) error {
	no, refused := errors.AsType[*api.RefusedError](err)
	if err != nil && !refused || err == nil && tags == "" {
		return err
	}
	sent := *b
	sent.Ops = []knowledge.Op{b.Ops[0]}
	if tags != "" {
		sent.Ops[0].IfVersion, sent.Ops[0].IfBatch = knowledge.AnyVersion, knowledge.BatchID{}
	}
	origin, err := sent.Fingerprint()
	if err != nil {
		return err
	}
	if tags != "" {
		origin = sha256.Sum256(append(origin[:], tags...))
	}
	b.Origin = origin
	if refused {
		b.Ops[0].IfVersion, b.Ops[0].IfBatch = knowledge.NeverVersion, knowledge.BatchID{}
		c.unmatched = no
	}
	return nil
}

// checkIfMatch returns an error unless the current tag is one of those in If-Match.
func checkIfMatch(c *call, current string) error {
	values := c.r.Header["If-Match"]
	if len(values) == 0 {
		return nil
	}
	tags, star, ok := parseTags(values)
	if !ok {
		return badIfMatch()
	}
	if star {
		return nil
	}
	for _, t := range tags {
		version, sum, numbered := versionTag(t.value)
		if t.value == current[1:len(current)-1] || numbered && sum == "" && strings.HasPrefix(current,
			`"`+decimal(version)+"-") {
			return nil
		}
	}
	return api.Refuse(api.ErrPrecondition, "what is there has the ETag %s, which If-Match does not name", current)
}

func badIfMatch() error {
	return knowledge.BadQuery("If-Match", "want an ETag in quotes, as in \"3-9f86d081884c\", or *")
}

// mustExist returns a document, and an [*api.RefusedError] if there is none.
func mustExist(ctx context.Context, c *call, key knowledge.Key) (*knowledge.Record, error) {
	rec, err := c.h.o.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &api.RefusedError{
			Err: api.ErrPrecondition, Detail: key.String() + " does not exist: nothing matches",
			Cause: &store.ConflictError{Key: key, Want: knowledge.AnyVersion},
		}
	}
	return rec, err
}

// sameText returns a [*api.RefusedError] when the version that a writer saw has another text here than the writer saw.
// A version that is not here is left to the store.
func sameText(ctx context.Context, c *call, key knowledge.Key, version int64, sum string) error {
	rec, err := c.h.o.Store.Get(ctx, key)
	if err == nil && rec.Version < version && c.h.o.Fresh != nil {
		rec, err = c.h.o.Store.Get(c.h.o.Fresh(ctx), key) // it was read from another tenet, which is further
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case rec.Version != version || rec.Pending != (knowledge.BatchID{}) || string(appendSum(nil, rec)) == sum:
		return nil
	}
	return &api.RefusedError{
		Err: api.ErrPrecondition, Detail: key.String() + " is at version " + decimal(version) +
			", but its text is another than the one that If-Match " +
			"names, as after a database was put back from a backup: read it again",
		Cause: &store.ConflictError{Key: key, Want: version, Got: version},
	}
}

// matchOneTag makes the precondition of an op from the one of several tags that names the current document, by its
// version or by its batch. If none does, it returns an [*api.RefusedError].
func matchOneTag(ctx context.Context, c *call, op *knowledge.Op, tags []tag) error {
	rec, err := mustExist(ctx, c, op.Key)
	if err != nil {
		return err
	}
	current := strings.Trim(etag(rec), `"`)
	for _, t := range tags {
		if id, ok := batchTag(t.value); ok {
			if by, err := leftBy(ctx, c, id, rec); err != nil {
				return err
			} else if by {
				op.IfBatch = id
				return nil
			}
			continue
		}
		version, sum, ok := versionTag(t.value)
		if ok && rec.Pending == (knowledge.BatchID{}) && (t.value == current || sum == "" && version == rec.Version) {
			op.IfVersion = version
			return nil
		}
	}
	return &api.RefusedError{
		Err: api.ErrPrecondition, Detail: op.Key.String() + " is at " + etag(rec) +
			", which If-Match does not name: read it again",
		Cause: &store.ConflictError{Key: op.Key, Want: knowledge.AnyVersion, Got: rec.Version},
	}
}

// leftBy reports whether a batch wrote a record.
func leftBy(ctx context.Context, c *call, id knowledge.BatchID, rec *knowledge.Record) (bool, error) {
	if rec.Pending != (knowledge.BatchID{}) {
		return rec.Pending == id, nil
	}
	changes, err := c.h.o.Store.Changes(ctx, knowledge.ChangeQuery{Batch: id, Key: rec.Key, Limit: 1})
	if err != nil || len(changes) == 0 {
		return false, err
	}
	return changes[0].Version == rec.Version, nil
}

// asPrecondition turns a conflict into a failed precondition where the caller gave one.
func asPrecondition(c *call, err error) error {
	conflict, ok := errors.AsType[*store.ConflictError](err)
	switch {
	case !ok || !c.conditional:
		return err
	case c.unmatched != nil && conflict.Want == knowledge.NeverVersion:
		return c.unmatched
	}
	return preconditionFailed(conflict)
}

func preconditionFailed(conflict *store.ConflictError) error {
	return &api.RefusedError{
		Err: api.ErrPrecondition, Detail: strings.TrimPrefix(conflict.Error(), "conflict: "),
		Cause: conflict,
	}
}
