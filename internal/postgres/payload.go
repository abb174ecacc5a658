package postgres

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
)

// A payload is a batch as parameters of tenet_apply: one element for each op.
type payload struct {
	verbs, kinds, ids []string
	versions          []int64
	documents         [][]byte // nil for an op without one
	vectors           [][]byte // nil if the server computes it
	size              int
}

// verbHold has tenet_apply lock a document and compare its version, and change nothing of it. Its words are sent again,
// since tenet_apply enters those of every document that stays.
const verbHold = "hold"

// maxPayload is the size of the largest batch: a value in PostgreSQL has at most 256 MB, and is copied a few times.
const maxPayload = 128 << 20

// payload encodes the ops for tenet_apply. A patch becomes a put of its result.
func (a *application) payload(patched []knowledge.Document, versions []int64) (payload, error) {
	n := len(a.batch.Ops)
	p := payload{make([]string, n), make([]string, n), make([]string, n), make([]int64, n), make([][]byte, n), nil, 0}
	docs := make([]knowledge.Document, n)
	for i := range a.batch.Ops {
		op := &a.batch.Ops[i]
		verb, doc := op.Verb, op.Doc
		if verb == knowledge.VerbPatch {
			verb = knowledge.VerbPut
		}
		if patched != nil && patched[i] != nil {
			doc = patched[i]
		}
		p.verbs[i], p.kinds[i], p.ids[i], p.versions[i] = string(verb), string(op.Key.Kind), op.Key.ID, op.IfVersion
		if versions != nil && versions[i] > 0 {
			p.versions[i] = versions[i]
		}
		if kept := a.batch.Kept(i); kept != nil {
			var err error
			if doc, err = kept.Document(); err != nil {
				return payload{}, a.s.contractual(a.caller, &scanError{err})
			}
			verb, p.verbs[i], p.versions[i] = verbHold, verbHold, kept.Version
		}
		docs[i] = doc
		if verb != knowledge.VerbPut || doc == nil {
			continue
		}
		canonical, err := knowledge.Canonical(doc)
		if err != nil {
			return payload{}, fmt.Errorf("encode %s: %w", op.Key, err)
		}
		p.documents[i] = canonical
		p.size += len(canonical)
	}
	if p.size > maxPayload {
		return payload{}, knowledge.Invalid("/ops",
			"%d bytes of documents: a batch holds at most %d; send it as several", p.size, maxPayload)
	}
	p.vectors = vectors(docs)
	for _, v := range p.vectors {
		p.size += len(v)
	}
	return p, nil
}

// vectorShare is how many documents make another goroutine worthwhile.
const vectorShare = 25

// vectors returns the documents' search vectors in PostgreSQL's binary form, nil for each that the server computes.
// They hold the words as [knowledge.NewEntry] splits them, so that a question means the same here and in a copy. A row
// that was edited by hand has the words as the server splits and stems them, and questions search for their stems too.
// Splitting words is most of the program's work on a large batch, so all processors share it.
func vectors(docs []knowledge.Document) [][]byte {
	list := make([][]byte, len(docs))
	workers := max(1, min(runtime.GOMAXPROCS(0), len(docs)/vectorShare))
	var wg sync.WaitGroup
	for w := range workers {
		work := func() {
			for i := w; i < len(docs); i += workers {
				if d := docs[i]; d != nil && d.Active() && knowledge.Describe(d.Key().Kind).Searched {
					list[i] = vector(knowledge.NewEntry(d))
				}
			}
		}
		if workers == 1 {
			work()
			return list
		}
		wg.Go(work)
	}
	wg.Wait()
	return list
}

// oidTSVector is the type of a search vector.
const oidTSVector = 3614

// An array builds an array parameter in PostgreSQL's binary form.
type array struct {
	bytes []byte
	n     uint32
}

// newArray begins an array, with capacity for size bytes of elements.
func newArray(oid uint32, elements, size int) *array {
	b := make([]byte, 0, 20+4*elements+size)
	b = binary.BigEndian.AppendUint32(b, 1) // dimensions
	b = binary.BigEndian.AppendUint32(b, 1) // there may be nulls
	b = binary.BigEndian.AppendUint32(b, oid)
	b = binary.BigEndian.AppendUint32(b, 0)                   // the number of elements, set by done
	return &array{bytes: binary.BigEndian.AppendUint32(b, 1)} // the lower bound
}

// add appends an element that consists of several parts; NULL if the last is nil.
func (a *array) add(parts ...[]byte) {
	a.n++
	if parts[len(parts)-1] == nil {
		a.bytes = binary.BigEndian.AppendUint32(a.bytes, 0xffffffff)
		return
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	a.bytes = binary.BigEndian.AppendUint32(a.bytes, uint32(n))
	for _, p := range parts {
		a.bytes = append(a.bytes, p...)
	}
}

// done returns the array.
func (a *array) done() []byte {
	binary.BigEndian.PutUint32(a.bytes[12:], a.n)
	return a.bytes
}

// arguments encodes batches as the binary parameters of applySQL.
func arguments(batches []*member) [][]byte {
	ops, size := 0, 0
	for _, m := range batches {
		ops, size = ops+len(m.verbs), size+m.size
	}
	ids, prints, actors, ats := newArray(pgtype.UUIDOID, len(batches), 0), newArray(pgtype.ByteaOID, len(batches), 0),
		newArray(pgtype.TextOID, len(batches), 0), newArray(pgtype.TimestamptzOID, len(batches), 0)
	owners, places := newArray(pgtype.Int4OID, ops, 4*ops), newArray(pgtype.Int4OID, ops, 4*ops)
	verbs, kinds, keys, versions := newArray(pgtype.TextOID, ops, 8*ops), newArray(pgtype.TextOID, ops, 8*ops),
		newArray(pgtype.TextOID, ops, 36*ops), newArray(pgtype.Int8OID, ops, 8*ops)
	documents, words := newArray(pgtype.JSONBOID, ops, size), newArray(oidTSVector, ops, size)
	var four [4]byte
	var eight [8]byte
	number := func(a *array, n int) {
		binary.BigEndian.PutUint32(four[:], uint32(n)) //nolint:gosec // of a batch or an op
		a.add(four[:])
	}
	for n, m := range batches {
		ids.add(m.batch.ID[:])
		prints.add(m.fingerprint[:])
		actors.add([]byte(m.batch.Actor))
		if m.batch.At.IsZero() {
			ats.add(nil)
		} else {
			binary.BigEndian.PutUint64(eight[:], uint64(m.batch.At.UnixMicro()-epoch)) //nolint:gosec // two's complement
			ats.add(eight[:])
		}
		for i := range m.verbs {
			number(owners, n+1)
			number(places, i)
			verbs.add([]byte(m.verbs[i]))
			kinds.add([]byte(m.kinds[i]))
			keys.add([]byte(m.ids[i]))
			binary.BigEndian.PutUint64(eight[:], uint64(m.versions[i])) //nolint:gosec // two's complement
			versions.add(eight[:])
			documents.add([]byte{1}, m.documents[i])
			words.add(m.vectors[i])
		}
	}
	list := make([][]byte, 0, 12)
	for _, a := range []*array{
		ids, prints, actors, ats, owners, places, verbs, kinds, keys, versions, documents,
		words,
	} {
		list = append(list, a.done())
	}
	return list
}

// epoch is the start of PostgreSQL's times, 2000-01-01, in microseconds after 1970.
const epoch = 946_684_800_000_000
