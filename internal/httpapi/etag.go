package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
)

// sumDigits is how many hex digits of the SHA-256 of a document its tag carries.
const sumDigits = 12

// etag returns the strong tag of a record: its version and a part of its hash, as in "3-9f86d081884c"; or the batch
// that wrote it while that still waits in a journal. The version alone would come again, for another text, in a
// database that was put back from a backup.
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
		t.value = withoutCoding(t.value)
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

// batchTag reads a tag without quotes that names a batch.
func batchTag(value string) (knowledge.BatchID, bool) {
	id, err := uuid.Parse(value)
	return id, err == nil && len(value) == 36 && id != uuid.Nil
}
