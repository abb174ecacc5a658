package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"unicode/utf8"

	"tenet/internal/knowledge"
)

// Answers that hold documents are put together by hand: a document's bytes were made once and are copied as they are.

// appendString appends s as a JSON string, without escapes for HTML, as documents are written.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			b = append(b, c)
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // what is no UTF-8 becomes U+FFFD
			i += n
			continue
		}
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
		}
		i++
	}
	return append(b, '"')
}

// appendTime appends a time as documents write it.
func appendTime(b []byte, t knowledge.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, knowledge.TimeLayout)
	return append(b, '"')
}

// appendChange appends a change as [knowledge.Change] encodes itself, with the bytes of its document as they are.
func appendChange(b []byte, c *knowledge.Change) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendInt(b, int64(c.Seq), 10)
	b = append(b, `,"batch":"`...)
	b = append(b, c.Batch.String()...)
	b = append(b, `","verb":`...)
	b = appendString(b, string(c.Verb))
	b = append(b, `,"kind":`...)
	b = appendString(b, string(c.Key.Kind))
	b = append(b, `,"id":`...)
	b = appendString(b, c.Key.ID)
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, c.Version, 10)
	b = append(b, `,"actor":`...)
	b = appendString(b, c.Actor)
	b = append(b, `,"at":`...)
	b = appendTime(b, c.At)
	b = append(b, `,"hash":"`...)
	b = hex.AppendEncode(b, c.Hash[:])
	b = append(b, `","chain":"`...)
	b = hex.AppendEncode(b, c.Chain[:])
	b = append(b, '"')
	if c.More {
		b = append(b, `,"more":true`...)
	}
	b = append(b, `,"document":`...)
	if c.Record != nil {
		b = append(b, c.Record.JSON...)
	} else {
		b = append(b, "null"...)
	}
	return append(b, '}')
}

func appendChanges(b []byte, changes []knowledge.Change) []byte {
	b = append(b, `{"changes":[`...)
	for i := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendChange(b, &changes[i])
	}
	return append(b, ']')
}

// json answers with a small value.
func (c *call) json(status int, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.send(status, mediaJSON, b.Bytes())
	return nil
}

// record answers with a document.
func (c *call) record(status int, r *knowledge.Record) {
	c.source = r.Source
	c.set("Etag", etag(r))
	c.send(status, mediaJSON, r.JSON)
}

// nothing answers without a body.
func (c *call) nothing(status int) {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.set("Content-Length", "0")
	}
	c.WriteHeader(status)
}

// encodePage returns a page as JSON.
func encodePage(page *knowledge.Page) []byte {
	size := len(page.Next) + 32
	for _, rec := range page.Records {
		size += len(rec.JSON) + 1
	}
	b := append(make([]byte, 0, size), `{"items":[`...)
	for i, rec := range page.Records {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, rec.JSON...)
	}
	b = append(b, ']')
	if page.Next != "" {
		b = append(b, `,"next":`...)
		b = appendString(b, page.Next)
	}
	return append(b, '}')
}

// tagBytes is how much of a SHA-256 is a tag.
const tagBytes = 12

// pageTag returns the tag of a page, which has no version of its own: it sums up which versions of what are on it. The bodies
// themselves would take longer to sum up than to send.
func pageTag(page *knowledge.Page) string {
	b := make([]byte, 0, 64*len(page.Records)+64)
	for _, rec := range page.Records {
		b = appendIdentity(b, rec)
	}
	return tagOf(append(b, page.Next...))
}

// hitsTag is the same for hits, which also hold what was found in each.
func hitsTag(found *knowledge.Hits) string {
	b := make([]byte, 0, 256*len(found.Hits)+64)
	for i := range found.Hits {
		hit := &found.Hits[i]
		b = appendIdentity(b, hit.Record)
		b = append(binary.LittleEndian.AppendUint64(b, math.Float64bits(hit.Score)), hit.Snippet...)
		for _, m := range hit.Marks {
			b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, uint32(m[0])), uint32(m[1])) //nolint:gosec // within a snippet
		}
		b = append(b, 0)
	}
	return tagOf(strconv.AppendBool(b, found.Bounded))
}

// appendIdentity appends what tells a version of a document from every other, also from one of the same number in a database
// that was restored from a backup.
func appendIdentity(b []byte, rec *knowledge.Record) []byte {
	b = append(append(append(append(b, rec.Key.Kind...), '/'), rec.Key.ID...), 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(rec.Version)) //nolint:gosec // only its bits matter
	b = binary.LittleEndian.AppendUint64(b, uint64(rec.Updated.UnixMicro()))
	return append(b, rec.Pending[:]...)
}

func tagOf(b []byte) string {
	sum := sha256.Sum256(b)
	return `"` + hex.EncodeToString(sum[:tagBytes]) + `"`
}

// encodeHits returns the hits of a search as JSON.
func encodeHits(found *knowledge.Hits) []byte {
	size := 32
	for i := range found.Hits {
		hit := &found.Hits[i]
		size += len(hit.Record.JSON) + len(hit.Record.Key.ID) + len(hit.Snippet)*9/8 + 16*len(hit.Marks) + 128
	}
	b := append(make([]byte, 0, size), `{"hits":[`...)
	for i := range found.Hits {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendHit(b, &found.Hits[i])
	}
	b = append(b, `],"bounded":`...)
	b = strconv.AppendBool(b, found.Bounded)
	return append(b, '}')
}
