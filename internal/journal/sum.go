package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// unreadable is the id of the placeholder for the documents of a batch that can't be decoded any more.
const unreadable = "(unreadable)"

// columns returns the columns of an entry's row, in the order of its checksum.
func (r *entryRow) columns() []any {
	e := r.e
	return []any{
		e.Batch.ID[:], e.Fingerprint[:], e.Batch.Actor, e.Caller, micros(e.At), orNull(e.Batch.At), e.Batch.Origin[:],
		e.Unknown, int64(r.form),
		r.ops, r.bases, r.left, e.Batch.Message,
	}
}

// sum returns the checksum of an entry's row, which covers its place among the others.
func (r *entryRow) sum() []byte { return sumOf(append(r.told(), r.e.Seq)) }

// told returns the columns that an entry's checksum covers, without its place.
func (r *entryRow) told() []any {
	columns := r.columns()
	if r.e.Batch.Message == "" { // as a program wrote it that did not know of messages
		columns = columns[:len(columns)-1]
	}
	return columns
}

// sumOf returns the checksum of columns.
func sumOf(columns []any) []byte {
	h := sha256.New()
	write := func(b []byte) {
		h.Write(binary.AppendUvarint(nil, uint64(len(b))))
		h.Write(b)
	}
	for _, v := range columns {
		switch v := v.(type) {
		case []byte:
			write(v)
		case string:
			write([]byte(v))
		case int64:
			write(binary.AppendVarint(nil, v))
		case bool:
			write(binary.AppendVarint(nil, map[bool]int64{true: 1}[v]))
		default: // null
			write(nil)
		}
	}
	return h.Sum(nil)
}

// intact reports whether an entry's row is as it was written; an older program did not say its place. A row without a
// checksum is not: anybody could have taken that away.
func (r *entryRow) intact(sum []byte) bool {
	return bytes.Equal(sum, r.sum()) || bytes.Equal(sum, sumOf(r.told()))
}

// damage converts an entry whose checksum does not match into one that is never applied. It keeps the keys that can be
// read.
func (r *entryRow) damage() {
	e := r.e
	e.Damaged, e.Left = true, nil
	var about []storedOp
	if json.Unmarshal([]byte(r.ops), &about) != nil {
		about = nil
	}
	ops := make([]knowledge.Op, 0, len(about))
	for i := range about {
		if knowledge.New(about[i].Kind) != nil && about[i].ID != "" {
			op := knowledge.Op{
				Verb: about[i].Verb, Key: knowledge.Key{Kind: about[i].Kind, ID: about[i].ID},
				Patch: about[i].Patch,
			}
			if doc, err := knowledge.DecodeStored(op.Key.Kind, about[i].Document); err == nil {
				op.Doc = doc
			}
			ops = append(ops, op)
		}
	}
	if len(ops) == 0 {
		ops = append(ops, knowledge.Op{Verb: knowledge.VerbPut, Key: knowledge.Key{
			Kind: knowledge.KindRule,
			ID:   unreadable,
		}})
	}
	e.Batch.Ops, e.Bases = ops, make([]store.Base, len(ops))
}
