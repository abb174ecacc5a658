package live

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// noID is the SSE id of an event that moves nobody's position.
const noID knowledge.Seq = -1

// An event is one message, encoded once for everybody who gets it.
type event struct {
	name  string        // the message's type
	id    knowledge.Seq // the position that a subscriber has reached with it, noID for none
	retry time.Duration // when to come back; 0 when nothing is said about it
	at    time.Time     // when it was published

	// The place in the ring.
	seq    knowledge.Seq // of the change; 0 when it is not in the log
	before knowledge.Seq // where the log stood before the event
	chain  [32]byte      // the log's chain value at seq

	// What filters look at.
	toAll    bool // it goes to everybody
	key      knowledge.Key
	category string // of the document
	unknown  bool   // the category is not known, since there is no document
	batch    knowledge.BatchID
	purge    bool         // it is a change that purged the document
	mode     *modeMessage // for a change of mode

	full body
	// bare is the message without the document, made when it is first wanted: most streams have one or the other.
	bare     body
	bareOnce sync.Once
	cut      int // where the document begins in full.text; 0 when there is none to leave out
}

// after returns where the log stands after the event.
func (e *event) after() knowledge.Seq { return max(e.seq, e.before) }

// body returns the message with the document or without.
func (e *event) body(document bool) *body {
	if document || e.cut == 0 {
		return &e.full
	}
	e.bareOnce.Do(func() {
		text := append(make([]byte, 0, e.cut+1), e.full.text[:e.cut]...)
		e.bare.set(append(text, '}'))
	})
	return &e.bare
}

// without returns the event with null instead of its document, as the log holds it once a purge has emptied it.
func (e *event) without() *event {
	text := append([]byte{}, e.full.text[:e.cut]...)
	text = append(text, noDocument...)
	out := &event{
		name: e.name, id: e.id, at: e.at, seq: e.seq, before: e.before, chain: e.chain, key: e.key, category: e.category,
		unknown: e.unknown, batch: e.batch, cut: e.cut,
	}
	out.full.set(text)
	return out
}

// A body is the text of a message and the forms in which it goes out.
type body struct {
	text []byte // JSON, without line breaks
	// frame is a whole WebSocket frame. What a server sends is not masked, so the same bytes do for every connection. Text is its end.
	frame []byte

	packOnce sync.Once
	packed   []byte // the same as a compressed frame; nil when it is not shorter
}

// Bits and bounds of WebSocket frames (RFC 6455, section 5.2).
const (
	finalText  = 0x80 | 0x1 // a whole text message in one frame
	compressed = 0x40
	maxHeader  = 10
	len16      = 126
	len64      = 127
)

// set makes the body of a JSON text, which it copies.
func (b *body) set(text []byte) {
	b.frame = appendFrame(make([]byte, 0, len(text)+maxHeader), finalText, text)
	b.text = b.frame[len(b.frame)-len(text):]
}

// appendFrame appends a frame as a server sends it.
func appendFrame(dst []byte, first byte, payload []byte) []byte {
	dst = append(dst, first)
	switch n := len(payload); {
	case n < len16:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, len16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, len64), uint64(n))
	}
	return append(dst, payload...)
}

// noDocument is how the JSON of a change without a document ends.
const noDocument = `,"document":null}`

// changeEvent returns the event of a change.
func changeEvent(c *knowledge.Change, now time.Time) (*event, error) {
	head := *c
	head.Record = nil
	text, err := json.Marshal(head)
	if err != nil || !bytes.HasSuffix(text, []byte(noDocument)) {
		return nil, fmt.Errorf("encode change %d: %w", c.Seq, err)
	}
	e := &event{
		name: typeChange, id: c.Seq, at: now, seq: c.Seq, before: c.Seq - 1, chain: c.Chain, key: c.Key, batch: c.Batch,
		purge: c.Verb == knowledge.VerbPurge,
	}
	e.describe(c.Record)
	e.fill(append([]byte(`{"type":"change",`), text[1:]...), c.Record)
	return e, nil
}

// describe notes what filters look at. The document of a category counts as being of that category.
func (e *event) describe(r *knowledge.Record) {
	switch {
	case e.key.Kind == knowledge.KindCategory:
		e.category = e.key.ID
	case r != nil:
		e.category = r.Category
	default:
		e.unknown = slices.Contains([]knowledge.Kind{knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate}, e.key.Kind)
	}
}

// fill sets the body from the JSON of a message without a document, which it uses up, and the document.
func (e *event) fill(head []byte, r *knowledge.Record) {
	text := head[:len(head)-len(noDocument)]
	e.cut = len(text)
	if r == nil {
		text = append(text, noDocument...)
	} else {
		text = append(text, `,"document":`...)
		text = append(append(text, r.JSON...), '}')
	}
	e.full.set(text)
}

// provisionalEvents returns an event for each op of a batch that waits in the journal.
func provisionalEvents(entry *store.Entry, now time.Time) []*event {
	events := make([]*event, 0, len(entry.Batch.Ops))
	for i := range entry.Batch.Ops {
		op := &entry.Batch.Ops[i]
		m := provisionalMessage{
			Type: typeChange, Provisional: true, Batch: entry.Batch.ID, Verb: op.Verb, Kind: op.Key.Kind, ID: op.Key.ID,
			Actor: entry.Batch.Actor, At: entry.At, Document: json.RawMessage("null"),
		}
		if m.Verb == knowledge.VerbPatch {
			m.Verb = knowledge.VerbPut
		}
		var left *knowledge.Record
		for _, l := range entry.Left {
			if l.Key == op.Key {
				left = l.Record
			}
		}
		if left != nil {
			m.Version = left.Version
		}
		e := &event{name: typeChange, id: noID, at: now, key: op.Key, batch: entry.Batch.ID}
		e.describe(left)
		e.fill(encode(m), left)
		events = append(events, e)
	}
	return events
}

// parkedEvents returns an event for each op of a batch that was parked.
func parkedEvents(entry *store.Entry, why string, now time.Time) []*event {
	events := provisionalEvents(entry, now)
	for i, e := range events {
		e.name, e.cut = typeParked, 0
		key := entry.Batch.Ops[i].Key
		e.full.set(encode(parkedMessage{Type: typeParked, Batch: entry.Batch.ID, Kind: key.Kind, ID: key.ID, Why: why}))
	}
	return events
}

// modeEvent returns the event of a change of mode.
func modeEvent(m *modeMessage, now time.Time) *event {
	e := &event{name: typeMode, id: noID, at: now, toAll: true, mode: m}
	e.full.set(encode(m))
	return e
}

// note returns an event for one subscriber alone.
func note(name string, id knowledge.Seq, retry time.Duration, message any) *event {
	e := &event{name: name, id: id, retry: retry}
	e.full.set(encode(message))
	return e
}

// encode returns a message as JSON.
func encode(message any) []byte {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err) // messages hold nothing that can't be encoded
	}
	return text
}
