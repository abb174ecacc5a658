package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// sumDigits is how many hex digits of the SHA-256 of a document its tag carries.
const sumDigits = 12

// etag returns the strong tag of a record: its version and a part of its hash, as in "3-9f86d081884c"; or the batch that wrote
// it while that still waits in a journal. The version alone would come again, for another text, in a database that was put
// back from a backup.
func etag(r *knowledge.Record) string {
	if r.Pending != (knowledge.BatchID{}) {
		return `"` + r.Pending.String() + `"`
	}
	var b [24 + sumDigits]byte
	t := append(strconv.AppendInt(append(b[:0], '"'), r.Version, 10), '-')
	return string(append(appendSum(t, r), '"'))
}

// appendSum appends the part of a record's hash that its tag carries.
func appendSum(b []byte, r *knowledge.Record) []byte {
	sum := sha256.Sum256(r.JSON)
	return hex.AppendEncode(b, sum[:sumDigits/2])
}

// versionTag reads a tag without quotes that names a version, with a part of the document's hash or alone.
func versionTag(value string) (version int64, sum string, ok bool) {
	digits, sum, whole := strings.Cut(value, "-")
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || version <= 0 || whole && len(sum) != sumDigits {
		return 0, "", false
	}
	return version, sum, true
}

// tagIn returns the tag of an answer in a coding: its bytes are others.
func tagIn(tag string, k coding) string { return strings.TrimSuffix(tag, `"`) + k.suffix() + `"` }

// A tag is one entry of If-Match or If-None-Match, without quotes and suffix. That a proxy which compresses has made it a weak
// one (W/) changes nothing: a tag of tenet's names one text, in whatever coding.
type tag struct {
	value string
	sent  string // as the caller wrote it
}

// parseTags reads the values of If-Match or If-None-Match. A star alone is star.
func parseTags(values []string) (tags []tag, star, ok bool) {
	rest := strings.TrimSpace(strings.Join(values, ","))
	if rest == "*" {
		return nil, true, true
	}
	for rest != "" {
		if rest[0] == ',' { // an empty entry says nothing (RFC 9110, 5.6.1.2)
			rest = strings.TrimSpace(rest[1:])
			continue
		}
		var t tag
		whole := rest
		if after, weak := strings.CutPrefix(rest, "W/"); weak {
			rest = after
		}
		if !strings.HasPrefix(rest, `"`) {
			return nil, false, false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return nil, false, false
		}
		t.value, rest = rest[1:1+end], rest[end+2:]
		t.sent = whole[:len(whole)-len(rest)]
		for k := range codingCount {
			t.value = strings.TrimSuffix(t.value, coding(k).suffix())
		}
		tags = append(tags, t)
		rest = strings.TrimSpace(rest)
		if rest == "" {
			break
		}
		if rest[0] != ',' {
			return nil, false, false
		}
		rest = strings.TrimSpace(rest[1:])
	}
	return tags, false, len(tags) > 0
}

// fresh reports whether the caller already has what current, a quoted tag, names, and the tag to answer with.
func fresh(c *call, current string) (string, bool) {
	values := c.r.Header["If-None-Match"]
	if len(values) == 0 {
		return "", false
	}
	if len(values) == 1 && values[0] == current {
		return current, true
	}
	tags, star, ok := parseTags(values)
	if !ok {
		return "", false // a caller that can't say what it has gets everything
	}
	for _, t := range tags {
		if t.value == current[1:len(current)-1] {
			return strings.TrimPrefix(t.sent, "W/"), true
		}
	}
	return current, star
}

// condition reads the preconditions of a write into its only op: the version that the writer saw, the batch that left it, or
// [knowledge.NoVersion] for If-None-Match: *. One that has to be looked at and does not hold becomes [knowledge.NeverVersion]: the
// store refuses it, unless the batch was taken before. That question comes first, and nobody asks it but the store.
func condition(ctx context.Context, c *call, b *knowledge.Batch) error {
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
		return knowledge.BadQuery("If-Match", "want an ETag in quotes, as in \"3-9f86d081884c\", or *")
	}
	if len(tags) == 1 {
		version, sum, ok := versionTag(tags[0].value)
		if ok && sum == "" { // the version alone, as a person may write it
			op.IfVersion = version
			return nil
		}
		if ok {
			op.IfVersion = version
			return unless(c, b, "", seen(ctx, c, op.Key, version, sum))
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
		_, err := there(ctx, c, op.Key)
		return unless(c, b, "", err)
	}
	return unless(c, b, strings.Join(match, ","), matching(ctx, c, op, tags))
}

// batchTag reads a tag without quotes that names a batch.
func batchTag(value string) (knowledge.BatchID, bool) {
	id, err := uuid.Parse(value)
	return id, err == nil && len(value) == 36 && id != uuid.Nil
}

// unless makes of a condition that was found not to hold one that never does, and keeps what there is to tell. The batch is known by
// what its writer sent, tags and all, whatever was found.
func unless(c *call, b *knowledge.Batch, tags string, err error) error {
	no, refused := errors.AsType[*refusal](err)
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

// there returns a document of which some version must be there.
func there(ctx context.Context, c *call, key knowledge.Key) (*knowledge.Record, error) {
	rec, err := c.h.o.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &refusal{
			errPrecondition, key.String() + " does not exist: nothing matches",
			&store.ConflictError{Key: key, Want: knowledge.AnyVersion},
		}
	}
	return rec, err
}

// seen returns a [*refusal] when the version that a writer saw has another text here than the writer saw. A version that is not here
// is left to the store.
func seen(ctx context.Context, c *call, key knowledge.Key, version int64, sum string) error {
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
	return &refusal{
		errPrecondition, key.String() + " is at version " + decimal(version) + ", but its text is another than the one that If-Match " +
			"names, as after a database was put back from a backup: read it again",
		&store.ConflictError{Key: key, Want: version, Got: version},
	}
}

// matching makes the condition of an op of that one of several tags that names what is there, by its version or by its batch. A
// [*refusal] says that none does.
func matching(ctx context.Context, c *call, op *knowledge.Op, tags []tag) error {
	rec, err := there(ctx, c, op.Key)
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
	return &refusal{
		errPrecondition, op.Key.String() + " is at " + etag(rec) + ", which If-Match does not name: read it again",
		&store.ConflictError{Key: op.Key, Want: knowledge.AnyVersion, Got: rec.Version},
	}
}

// leftBy reports whether a batch is what left a record.
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

// stale turns a conflict into a failed precondition where the caller gave one.
func stale(c *call, err error) error {
	conflict, ok := errors.AsType[*store.ConflictError](err)
	switch {
	case !ok || !c.conditional:
		return err
	case c.unmatched != nil && conflict.Want == knowledge.NeverVersion:
		return c.unmatched
	}
	return precondition(conflict)
}

func precondition(conflict *store.ConflictError) error {
	return &refusal{errPrecondition, strings.TrimPrefix(conflict.Error(), "conflict: "), conflict}
}
