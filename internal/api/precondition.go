package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Precondition says which state of a document the writer of a batch of one op saw, in the forms of RFC 9110, 13.1.
// Read it once with [Precondition.Read], and give what the store refuses to [Precondition.Explain].
type Precondition struct {
	// Match and NoneMatch are the values of If-Match and If-None-Match.
	Match, NoneMatch []string
	// Store has the documents that the tags are compared with.
	Store store.Store
	// Fresh returns a context in which Store answers as the primary stands now; nil where it always does.
	Fresh func(context.Context) context.Context

	unmatched map[int]*RefusedError // by op: why it does not hold, if that is known before the store is asked
}

// Given reports whether the writer gave a precondition.
func (p *Precondition) Given() bool { return len(p.Match) > 0 || len(p.NoneMatch) > 0 }

// Read puts the precondition into the only op of a batch: the version that the writer saw, the batch that left it, or
// [knowledge.NoVersion] for If-None-Match: *. One that has to be looked at and does not hold becomes
// [knowledge.NeverVersion]: the store refuses it, unless the batch was taken before. That question comes first, and
// nobody asks it but the store.
func (p *Precondition) Read(ctx context.Context, b *knowledge.Batch) error {
	op := &b.Ops[0]
	match, none := p.Match, p.NoneMatch
	switch {
	case len(match) > 0 && len(none) > 0:
		return knowledge.BadQuery("If-Match", "stands beside If-None-Match: give one of them")
	case len(none) > 0:
		if tags, ok := ParseTags(none); !ok || !tags.any {
			return knowledge.BadQuery("If-None-Match", "a write knows only If-None-Match: *")
		}
		op.IfVersion = knowledge.NoVersion
		return nil
	case len(match) == 0:
		return nil
	}
	tags, ok := ParseTags(match)
	if !ok {
		return BadIfMatch()
	}
	if len(tags.list) == 1 {
		only := tags.list[0].value
		version, sum, ok := knowledge.ParseTag(only)
		if ok && sum == "" { // the version alone, as a person may write it
			op.IfVersion = version
			return nil
		}
		if ok {
			op.IfVersion = version
			return p.postpone(b, "", p.sameText(ctx, op.Key, version, sum, "If-Match"))
		}
		if id, ok := batchOf(only); ok {
			op.IfBatch = id
			return nil
		}
	}
	if tags.any {
		if op.Verb != knowledge.VerbPut {
			return nil // the store knows whether it is there
		}
		_, err := p.mustExist(ctx, op.Key)
		return p.postpone(b, "", err)
	}
	return p.postpone(b, strings.Join(match, ","), p.matchOneTag(ctx, op, tags.list))
}

// postpone replaces a precondition that does not hold by one that never holds, and keeps the refusal: the store must
// first look whether the batch was applied before. The fingerprint of the batch is that of the request, with its tags.
func (p *Precondition) postpone(b *knowledge.Batch, tags string, err error) error {
	no, refused := errors.AsType[*RefusedError](err)
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
		p.unmatched = map[int]*RefusedError{0: no}
	}
	return nil
}

// ReadOps puts tags into the ops of a batch, "" where an op has none: for each the version or the batch that its writer
// saw. As with [Precondition.Read], the store refuses those that do not hold.
func (p *Precondition) ReadOps(ctx context.Context, b *knowledge.Batch, tags []string) error {
	p.unmatched = map[int]*RefusedError{}
	for i, text := range tags {
		if text == "" {
			continue
		}
		op, only := &b.Ops[i], onlyTag(text)
		version, sum, ok := knowledge.ParseTag(only)
		if !ok {
			op.IfBatch, _ = batchOf(only)
			continue
		}
		if op.IfVersion = version; sum == "" {
			continue
		}
		err := p.sameText(ctx, op.Key, version, sum, "if_match")
		if no, refused := errors.AsType[*RefusedError](err); refused {
			p.unmatched[i] = &RefusedError{Err: store.ErrConflict, Detail: no.Detail, Cause: &store.ConflictError{
				Key: op.Key, Op: i, Want: version, Got: version,
			}}
		} else if err != nil {
			return err
		}
	}
	if len(p.unmatched) == 0 {
		return nil
	}
	origin, err := b.Fingerprint()
	if err != nil {
		return err
	}
	b.Origin, b.Ops = origin, slices.Clone(b.Ops)
	for i := range p.unmatched {
		b.Ops[i].IfVersion = knowledge.NeverVersion
	}
	return nil
}

// onlyTag returns the value of the one tag of a text, and "" if that is not one.
func onlyTag(text string) string {
	if tags, ok := ParseTags([]string{text}); ok && !tags.any && len(tags.list) == 1 {
		return tags.list[0].value
	}
	return ""
}

// IsTag reports whether a text is one ETag of a document.
func IsTag(text string) bool {
	only := onlyTag(text)
	_, _, version := knowledge.ParseTag(only)
	_, batch := batchOf(only)
	return version || batch
}

// ReadSeen puts what the writer of an op saw into it: a version, alone or as its tag without quotes, which [IsTag] has
// checked. It returns a [*store.ConflictError] within a [*RefusedError] if that version has another text here.
func ReadSeen(ctx context.Context, s store.Store, op *knowledge.Op, seen string) error {
	version, sum, _ := knowledge.ParseTag(seen)
	if op.IfVersion, op.IfBatch = version, (knowledge.BatchID{}); sum == "" {
		return nil
	}
	p := Precondition{Store: s}
	return p.sameText(ctx, op.Key, version, sum, "the ETag")
}

// BadIfMatch is the error of an If-Match that is none.
func BadIfMatch() error {
	return knowledge.BadQuery("If-Match", "want an ETag in quotes, as in \"3-9f86d081884c\", or *")
}

// mustExist returns a document, and an [*RefusedError] if there is none.
func (p *Precondition) mustExist(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	rec, err := p.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &RefusedError{
			Err: ErrPrecondition, Detail: key.String() + " does not exist: nothing matches",
			Cause: &store.ConflictError{Key: key, Want: knowledge.AnyVersion},
		}
	}
	return rec, err
}

// sameText returns a [*RefusedError] when the version that a writer saw has another text here than the writer saw.
// A version that is not here is left to the store. by is what names the text.
func (p *Precondition) sameText(ctx context.Context, key knowledge.Key, version int64, sum, by string) error {
	rec, err := p.Store.Get(ctx, key)
	if err == nil && rec.Version < version && p.Fresh != nil {
		rec, err = p.Store.Get(p.Fresh(ctx), key) // it was read from another tenet, which is further
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case rec.Version != version || rec.Pending != (knowledge.BatchID{}) || string(rec.AppendSum(nil)) == sum:
		return nil
	}
	return &RefusedError{
		Err: ErrPrecondition, Detail: key.String() + " is at version " + strconv.FormatInt(version, 10) +
			", but its text is another than the one that " + by + " names, as after a database was put back from a " +
			"backup: read it again",
		Cause: &store.ConflictError{Key: key, Want: version, Got: version},
	}
}

// matchOneTag makes the precondition of an op from the one of several tags that names the current document, by its
// version or by its batch. If none does, it returns an [*RefusedError].
func (p *Precondition) matchOneTag(ctx context.Context, op *knowledge.Op, tags []tag) error {
	rec, err := p.mustExist(ctx, op.Key)
	if err != nil {
		return err
	}
	current := strings.Trim(ETag(rec), `"`)
	for _, t := range tags {
		if id, ok := batchOf(t.value); ok {
			if by, err := p.leftBy(ctx, id, rec); err != nil {
				return err
			} else if by {
				op.IfBatch = id
				return nil
			}
			continue
		}
		version, sum, ok := knowledge.ParseTag(t.value)
		if ok && rec.Pending == (knowledge.BatchID{}) && (t.value == current || sum == "" && version == rec.Version) {
			op.IfVersion = version
			return nil
		}
	}
	return &RefusedError{
		Err: ErrPrecondition, Detail: op.Key.String() + " is at " + ETag(rec) +
			", which If-Match does not name: read it again",
		Cause: &store.ConflictError{Key: op.Key, Want: knowledge.AnyVersion, Got: rec.Version},
	}
}

// leftBy reports whether a batch wrote a record.
func (p *Precondition) leftBy(ctx context.Context, id knowledge.BatchID, rec *knowledge.Record) (bool, error) {
	if rec.Pending != (knowledge.BatchID{}) {
		return rec.Pending == id, nil
	}
	changes, err := p.Store.Changes(ctx, knowledge.ChangeQuery{Batch: id, Key: rec.Key, Limit: 1})
	if err != nil || len(changes) == 0 {
		return false, err
	}
	return changes[0].Version == rec.Version, nil
}

// Explain turns a conflict that the store found into a failed precondition, where the writer gave one.
func (p *Precondition) Explain(err error) error {
	conflict, ok := errors.AsType[*store.ConflictError](err)
	if !ok {
		return err
	}
	if no := p.unmatched[conflict.Op]; no != nil && conflict.Want == knowledge.NeverVersion {
		return no
	}
	if !p.Given() {
		return err
	}
	return PreconditionFailed(conflict)
}

// PreconditionFailed is the error of a precondition that does not hold, made from the conflict that the store found.
func PreconditionFailed(conflict *store.ConflictError) error {
	return &RefusedError{
		Err: ErrPrecondition, Detail: strings.TrimPrefix(conflict.Error(), "conflict: "),
		Cause: conflict,
	}
}
