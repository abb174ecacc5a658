package knowledge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
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
