package httpapi

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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
	if c.Entered() {
		b = append(b, `,"entered_by":`...)
		b = appendString(b, c.EnteredBy)
		b = append(b, `,"entered_at":`...)
		b = appendTime(b, c.EnteredAt)
	}
	if c.Message != "" {
		b = append(b, `,"message":`...)
		b = appendString(b, c.Message)
	}
	b = append(b, `,"hash":"`...)
	b = hex.AppendEncode(b, c.Hash[:])
	b = append(b, `","chain":"`...)
	b = hex.AppendEncode(b, c.Chain[:])
	b = append(b, '"')
	if c.Erased != "" {
		b = append(b, `,"erased":`...)
		b = appendString(b, c.Erased)
	}
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

// encodePage returns a page as JSON, with some fields of each document, or all where none are named.
func encodePage(page *knowledge.Page, fields []string, total bool) ([]byte, error) {
	size := len(page.Next) + 32
	for _, rec := range page.Records {
		size += len(rec.JSON) + 1
	}
	b := append(make([]byte, 0, size), `{"items":[`...)
	for i, rec := range page.Records {
		if i > 0 {
			b = append(b, ',')
		}
		if len(fields) == 0 {
			b = append(b, rec.JSON...)
			continue
		}
		some, err := knowledge.PickFields(rec.JSON, fields)
		if err != nil {
			return nil, err
		}
		b = append(b, some...)
	}
	b = append(b, ']')
	if total {
		b = strconv.AppendInt(append(b, `,"total":`...), int64(page.Total), 10)
	}
	if page.Next != "" {
		b = append(b, `,"next":`...)
		b = appendString(b, page.Next)
	}
	return append(appendAt(b, page.At), '}'), nil
}

// tagBytes is how much of a SHA-256 is a tag.
const tagBytes = 12

// pageTag returns the tag of a page: a hash of the keys and versions of its documents. The bodies
// themselves would take longer to sum up than to send.
func pageTag(page *knowledge.Page, view string) string {
	b := make([]byte, 0, 64*len(page.Records)+64)
	for _, rec := range page.Records {
		b = appendIdentity(b, rec)
	}
	b = appendAt(append(append(b, page.Next...), view...), page.At)
	if page.Total > 0 {
		b = strconv.AppendInt(append(b, 0), int64(page.Total), 10)
	}
	return tagOf(b)
}

// appendIdentity appends what tells a version of a document from every other, also from one of the same number in a
// database that was restored from a backup.
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

// appendAt appends which label an answer is as of.
func appendAt(b []byte, at knowledge.LabelAt) []byte {
	if at.Label == "" {
		return b
	}
	b = appendString(append(b, `,"label":`...), at.Label)
	return strconv.AppendInt(append(b, `,"seq":`...), int64(at.Seq), 10)
}
