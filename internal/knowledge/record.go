package knowledge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A Source says where an answer came from.
type Source string

// Sources, from the nearest to the last resort.
const (
	SourceHot     Source = "hot"     // memory, ready to send
	SourceWarm    Source = "warm"    // memory, compressed
	SourcePrimary Source = "primary" // the engine of record
	SourceMirror  Source = "mirror"  // the local copy of the primary
	SourceSeed    Source = "seed"    // the embedded starter set
)

// A Record is a stored document. It is immutable.
type Record struct {
	Key      Key
	Version  int64
	Category string
	Active   bool
	Rank     int64
	Updated  Time
	JSON     []byte // canonical; encoded once and sent unchanged
	Source   Source
	// Pending is the id of the batch that wrote this version, while it waits in a journal; else zero.
	Pending BatchID
}

// sumDigits is how many hex digits of the SHA-256 of a document name its text.
const sumDigits = 12

// AppendSum appends what names the text of a record beside its version, which comes again for another text in a
// database that was put back from a backup.
func (r *Record) AppendSum(b []byte) []byte {
	sum := sha256.Sum256(r.JSON)
	return hex.AppendEncode(b, sum[:sumDigits/2])
}

// ParseTag reads an ETag of a document without quotes that names a version, with the sum of its text or alone.
func ParseTag(value string) (version int64, sum string, ok bool) {
	digits, sum, whole := strings.Cut(value, "-")
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || version <= 0 || whole && len(sum) != sumDigits {
		return 0, "", false
	}
	return version, sum, true
}

// NewRecord returns the record of a document, which must be normalized and stamped. It does not keep the document.
func NewRecord(d Document) (*Record, error) {
	b, err := Canonical(d)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", d.Key(), err)
	}
	s := d.Stamps()
	return &Record{
		Key: d.Key(), Version: s.Version, Category: d.CategoryID(), Active: d.Active(), Rank: d.Rank(),
		Updated: s.UpdatedAt,
		JSON:    b, Source: SourcePrimary,
	}, nil
}

// RecordOf returns the record of a document's stored JSON, as in the log, in any key order and spacing.
func RecordOf(kind Kind, stored []byte) (*Record, error) {
	d, err := DecodeStored(kind, stored)
	if err != nil {
		return nil, err
	}
	return NewRecord(d)
}

// Document decodes the record. Most readers never need to.
func (r *Record) Document() (Document, error) { return DecodeStored(r.Key.Kind, r.JSON) }

// From returns the record with another source. The bytes are shared.
func (r *Record) From(s Source) *Record {
	if r.Source == s {
		return r
	}
	c := *r
	c.Source = s
	return &c
}

// Canonical returns the canonical JSON of a document: fields in the order of its Go type, keys of free values sorted,
// no spaces, no HTML escapes. Equal documents have equal bytes on every engine.
func Canonical(d Document) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// SameContent reports whether two documents are equal except for their stamps.
func SameContent(a, b Document) bool {
	if a == nil || b == nil || reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	shallow := reflect.New(reflect.TypeOf(a).Elem())
	shallow.Elem().Set(reflect.ValueOf(a).Elem())
	stamped, ok := reflect.TypeAssert[Document](shallow)
	if !ok {
		return false
	}
	*stamped.Stamps() = *b.Stamps()
	return reflect.DeepEqual(stamped, b)
}
