package httpapi

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// etag returns the strong tag of a record: its version, or the batch that wrote it while that still waits in a journal.
func etag(r *knowledge.Record) string {
	if r.Pending != (knowledge.BatchID{}) {
		return `"` + r.Pending.String() + `"`
	}
	var b [24]byte
	return string(append(strconv.AppendInt(append(b[:0], '"'), r.Version, 10), '"'))
}

// tagIn returns the tag of an answer in a coding: its bytes are others.
func tagIn(tag string, k coding) string { return strings.TrimSuffix(tag, `"`) + k.suffix() + `"` }

// A tag is one entry of If-Match or If-None-Match, without quotes and suffix.
type tag struct {
	value string
	weak  bool
	sent  string // as the caller wrote it
}

// parseTags reads the values of If-Match or If-None-Match. A star alone is star.
func parseTags(values []string) (tags []tag, star, ok bool) {
	rest := strings.TrimSpace(strings.Join(values, ","))
	if rest == "*" {
		return nil, true, true
	}
	for rest != "" {
		var t tag
		whole := rest
		if after, weak := strings.CutPrefix(rest, "W/"); weak {
			t.weak, rest = true, after
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
func (c *call) fresh(current string) (string, bool) {
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

// condition reads the preconditions of a write: the version that the writer saw, or [knowledge.NoVersion] for
// If-None-Match: *, and whether there was one.
func (c *call) condition(ctx context.Context, key knowledge.Key, batch knowledge.BatchID) (version int64, given bool, err error) {
	match, none := c.r.Header["If-Match"], c.r.Header["If-None-Match"]
	switch {
	case len(match) > 0 && len(none) > 0:
		return 0, false, knowledge.BadQuery("If-Match", "stands beside If-None-Match: give one of them")
	case len(none) > 0:
		if _, star, ok := parseTags(none); !ok || !star {
			return 0, false, knowledge.BadQuery("If-None-Match", "a write knows only If-None-Match: *")
		}
		return knowledge.NoVersion, true, nil
	case len(match) == 0:
		return knowledge.AnyVersion, false, nil
	}
	tags, star, ok := parseTags(match)
	if !ok {
		return 0, false, knowledge.BadQuery("If-Match", "want an ETag in quotes, as in \"3\", or *")
	}
	if len(tags) == 1 && !tags[0].weak {
		if v, err := strconv.ParseInt(tags[0].value, 10, 64); err == nil && v > 0 {
			return v, true, nil
		}
	}
	if len(c.r.Header["Idempotency-Key"]) > 0 && !star {
		if before, again, err := c.repeated(ctx, key, batch); again || err != nil {
			return before, true, err
		}
	}
	version, err = c.matching(ctx, key, tags, star)
	return version, true, err
}

// repeated returns the version that a write was made on top of when it was done before. Its tags no longer match then, and
// its batch must be the same again to get the same answer.
func (c *call) repeated(ctx context.Context, key knowledge.Key, batch knowledge.BatchID) (int64, bool, error) {
	changes, err := c.h.o.Store.Changes(ctx, knowledge.ChangeQuery{Batch: batch, Key: key, Limit: 1})
	if err != nil {
		return 0, false, err
	}
	if len(changes) > 0 {
		return changes[0].Version - 1, true, nil
	}
	rec, err := c.h.o.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return rec.Version - 1, rec.Pending == batch, nil
}

// matching returns the version that one of several tags, a batch's id or a star stands for: it has to look.
func (c *call) matching(ctx context.Context, key knowledge.Key, tags []tag, star bool) (int64, error) {
	rec, err := c.h.o.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return 0, &refusal{
			errPrecondition, key.String() + " does not exist: nothing matches",
			&store.ConflictError{Key: key, Want: knowledge.AnyVersion},
		}
	}
	if err != nil {
		return 0, err
	}
	if star {
		return knowledge.AnyVersion, nil
	}
	current := strings.Trim(etag(rec), `"`)
	for _, t := range tags {
		if t.weak {
			continue
		}
		if t.value == current {
			return rec.Version, nil
		}
		same, err := c.wroteVersion(ctx, t.value, rec)
		if err != nil {
			return 0, err
		}
		if same {
			return rec.Version, nil
		}
	}
	return 0, &refusal{
		errPrecondition, key.String() + " is at " + etag(rec) + ", which If-Match does not name: read it again",
		&store.ConflictError{Key: key, Want: knowledge.AnyVersion, Got: rec.Version},
	}
}

// wroteVersion reports whether a batch, named by the tag that its write carried while it waited, is what made a record.
func (c *call) wroteVersion(ctx context.Context, batch string, rec *knowledge.Record) (bool, error) {
	id, err := uuid.Parse(batch)
	if err != nil {
		return false, nil //nolint:nilerr // a tag of somebody else's making matches nothing
	}
	changes, err := c.h.o.Store.Changes(ctx, knowledge.ChangeQuery{Batch: id, Key: rec.Key, Limit: 1})
	if err != nil || len(changes) == 0 {
		return false, err
	}
	return changes[0].Version == rec.Version, nil
}

// stale turns a conflict into a failed precondition where the caller gave one.
func stale(err error, given bool) error {
	conflict, ok := errors.AsType[*store.ConflictError](err)
	if !ok || !given {
		return err
	}
	return &refusal{errPrecondition, strings.TrimPrefix(conflict.Error(), "conflict: "), conflict}
}
