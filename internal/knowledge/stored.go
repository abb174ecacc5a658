package knowledge

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
)

// CheckStored returns nil or an [*InvalidError] with every fault of a document as its database holds it, which may have
// been written past the program. It ignores fields that the kind does not have: columns of the database, or fields of a
// newer schema.
func CheckStored(kind Kind, data []byte) error {
	d := New(kind)
	if d == nil {
		return Invalid("/kind", "no kind %q", kind)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, data); err == nil {
		data = b.Bytes() // spaces do not count
	}
	if err := CheckJSON(data); err != nil {
		return err
	}
	f := faults{stored: true}
	f.decode("", data, reflect.ValueOf(d).Elem())
	d.Normalize()
	if len(f.list) > 0 {
		f.values(d)
		return f.err()
	}
	if err := d.Validate(); err != nil {
		return err
	}
	return f.stamps(d.Stamps())
}

// stamps checks what the program writes on a document itself.
func (f *faults) stamps(s *Stamp) error {
	f.text("/created_by", s.CreatedBy)
	f.text("/updated_by", s.UpdatedBy)
	if s.Version < 1 {
		f.add("/version", "%d: want a number from 1", s.Version)
	}
	return f.err()
}

// Lines returns the faults of an error as lines for people; of another error than an [*InvalidError] the line is its text.
func Lines(err error) []string {
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok {
		return []string{err.Error()}
	}
	lines := make([]string, len(invalid.Faults))
	for i, f := range invalid.Faults {
		if lines[i] = f.Detail; f.Pointer != "" {
			lines[i] = f.Pointer + ": " + f.Detail
		}
	}
	return lines
}
