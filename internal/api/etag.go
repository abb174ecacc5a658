package api

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
)

// ETag returns the strong entity tag of a record, in quotes: its version and a part of its hash, as in
// "3-9f86d081884c"; or the batch that wrote it while that still waits in a journal. The version alone would come again,
// for another text, in a database that was put back from a backup.
func ETag(r *knowledge.Record) string {
	if r.Pending != (knowledge.BatchID{}) {
		return `"` + r.Pending.String() + `"`
	}
	var b [40]byte
	t := append(strconv.AppendInt(append(b[:0], '"'), r.Version, 10), '-')
	return string(append(r.AppendSum(t), '"'))
}

// Pending returns the batch that a document waits in for the primary, by the ETag of its answer; the zero id where it
// waits in none.
func Pending(etag string) knowledge.BatchID {
	tags, ok := ParseTags([]string{etag})
	if !ok || len(tags.list) != 1 {
		return knowledge.BatchID{}
	}
	id, _ := batchOf(tags.list[0].value)
	return id
}

// withoutCoding takes away what says in which coding an answer was sent: ours, or that of a proxy which has compressed
// it, as Apache, Caddy and Jetty do. No tag of ours ends so.
func withoutCoding(tag string) string {
	for _, name := range [...]string{"gzip", "zstd", "br", "deflate"} {
		if cut, ok := strings.CutSuffix(tag, name); ok && strings.TrimRight(cut, "-;:") != cut {
			return strings.TrimRight(cut, "-;:")
		}
	}
	return tag
}

// A tag is one entry of If-Match or If-None-Match, without quotes and suffix. That a proxy which compresses has made it
// a weak one (W/) changes nothing: a tag names one text, in any coding.
type tag struct {
	value string
	sent  string // as the caller wrote it
}

// Tags are the values of an If-Match or If-None-Match.
type Tags struct {
	list []tag
	any  bool // a star alone, which any document matches
}

// Name returns an error unless one of the tags names what has the tag current, in quotes. A tag with a version alone,
// as a person may write it, names every text of that version.
func (t Tags) Name(current string) error {
	if t.any {
		return nil
	}
	for _, one := range t.list {
		version, sum, numbered := knowledge.ParseTag(one.value)
		if one.value == current[1:len(current)-1] || numbered && sum == "" && strings.HasPrefix(current,
			`"`+strconv.FormatInt(version, 10)+"-") {
			return nil
		}
	}
	return Refuse(ErrPrecondition, "what is there has the ETag %s, which If-Match does not name", current)
}

// Known reports whether a caller that has these tags has what has the tag current, in quotes, and returns the tag to
// answer with: the caller's own, without a weak mark.
func (t Tags) Known(current string) (string, bool) {
	for _, one := range t.list {
		if one.value == current[1:len(current)-1] {
			return strings.TrimPrefix(one.sent, "W/"), true
		}
	}
	return current, t.any
}

// ParseTags reads the values of If-Match or If-None-Match. It reports false where they are no tags in quotes and no
// star.
func ParseTags(values []string) (Tags, bool) {
	rest := strings.TrimSpace(strings.Join(values, ","))
	if rest == "*" {
		return Tags{any: true}, true
	}
	var list []tag
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
			return Tags{}, false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return Tags{}, false
		}
		t.value, rest = rest[1:1+end], rest[end+2:]
		t.sent = whole[:len(whole)-len(rest)]
		t.value = withoutCoding(t.value)
		list = append(list, t)
		rest = strings.TrimSpace(rest)
		if rest == "" {
			break
		}
		if rest[0] != ',' {
			return Tags{}, false
		}
		rest = strings.TrimSpace(rest[1:])
	}
	return Tags{list: list}, len(list) > 0
}

// batchOf reads a tag without quotes that names a batch, as a document has it that waits for the primary.
func batchOf(value string) (knowledge.BatchID, bool) {
	id, err := uuid.Parse(value)
	return id, err == nil && len(value) == 36 && id != uuid.Nil
}
