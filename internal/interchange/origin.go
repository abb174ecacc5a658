package interchange

import (
	"fmt"

	"tenet/internal/knowledge"
)

// An Origin says where a document was imported from.
type Origin struct {
	Source string // name of the source
	Path   string // of the file, within the source
	Edited bool   // it was edited in tenet since
}

// OriginOf returns where a document was imported from; false for one that was not.
func OriginOf(d knowledge.Document) (Origin, bool, error) {
	o, ok := originOf(d)
	if !ok {
		return Origin{}, false, nil
	}
	now, err := digest(d)
	return Origin{Source: o.source, Path: o.path, Edited: now != o.digest}, true, err
}

// Removal returns the op that takes a document out of use with its source, so that an import of the source brings it
// back.
func Removal(rec *knowledge.Record) (knowledge.Op, error) {
	d, err := rec.Document()
	if err != nil {
		return knowledge.Op{}, fmt.Errorf("read %s: %w", rec.Key, err)
	}
	if o, ok := originOf(d); ok {
		o.pruned = true
		o.put(d)
	}
	d.SetActive(false)
	return knowledge.Put(d, rec.Version), nil
}

// Return returns the op that takes a [Removal] back; false for a document that was retired by itself.
func Return(rec *knowledge.Record) (op knowledge.Op, removed bool, err error) {
	d, err := rec.Document()
	if err != nil {
		return op, false, fmt.Errorf("read %s: %w", rec.Key, err)
	}
	o, ok := originOf(d)
	if !ok || !o.pruned || d.Active() {
		return op, false, nil
	}
	o.pruned = false
	o.put(d)
	d.SetActive(true)
	return knowledge.Put(d, rec.Version), true, nil
}
