package knowledge

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
)

// CheckStored returns nil or an [*InvalidError] with every fault of a stored document, which may have been written
// outside of the program. It ignores unknown fields: columns of the database, or fields of a newer schema.
func CheckStored(kind Kind, data []byte) error {
	d := New(kind)
	if d == nil {
		return Invalid("/kind", "no kind %q", kind)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, data); err == nil {
		data = b.Bytes() // the limit does not count spaces
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

// stamps checks the fields that the program sets.
func (f *faults) stamps(s *Stamp) error {
	f.text("/created_by", s.CreatedBy)
	f.text("/updated_by", s.UpdatedBy)
	if s.Version < 1 {
		f.add("/version", "%d: want a number from 1", s.Version)
	}
	return f.err()
}

// Lines returns the faults of an [*InvalidError] as lines for people, or the text of another error.
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
