package live

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// noID is the SSE id of an event that moves no position.
const noID knowledge.Seq = -1

// An event is one message, encoded once for all who get it.
type event struct {
	name  string        // the message's type
	id    knowledge.Seq // the position that a subscriber has reached with it, noID for none
	mark  []byte        // the first bytes of the log's chain value at id; nil if unknown
	retry time.Duration // when to reconnect; 0 if not set
	at    time.Time     // when it was published

	// The event's place in the log.
	seq    knowledge.Seq // of the change; 0 if it is not in the log
	before knowledge.Seq // the end of the log before the event
	chain  [32]byte      // the log's chain value at seq

	// The fields that filters check.
	toAll    bool // it goes to everybody
	key      knowledge.Key
	category string   // of the document
	tells    []string // the confidential categories that it tells of
	unknown  bool     // the category is not known, because there is no document
	batch    knowledge.BatchID
	purge    bool               // it is a change that purged the document
	mode     *modeMessage       // for a change of mode
	erasure  *knowledge.Erasure // of the person whom the change tells to be erased; else nil

	full body
	// bare is the message without the document, made on first use: most streams want only one of the two.
	bare     body
	bareOnce sync.Once
	cut      int // where the document begins in full.text; 0 if there is none
}

// after returns the end of the log after the event.
func (e *event) after() knowledge.Seq { return max(e.seq, e.before) }

// body returns the message, with or without the document.
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

// without returns the event with null instead of its document, as the log has it after a purge.
func (e *event) without() *event {
	text := append([]byte{}, e.full.text[:e.cut]...)
	text = append(text, noDocument...)
	out := &event{
		name: e.name, id: e.id, at: e.at, seq: e.seq, before: e.before, chain: e.chain, key: e.key,
		category: e.category,
		tells:    e.tells,
		unknown:  e.unknown, batch: e.batch, cut: e.cut, mark: e.mark,
	}
	out.full.set(text)
	return out
}

// A body is the text of a message in its wire formats.
type body struct {
	text []byte // JSON, without line breaks
	// frame is a whole WebSocket frame. A server's frames are not masked, so every connection gets the same bytes. text
	// is its end.
	frame []byte

	packOnce sync.Once
	packed   []byte // the same as a compressed frame; nil if that is not shorter
}

// Bits and limits of WebSocket frames (RFC 6455, section 5.2).
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

// appendFrame appends an unmasked frame.
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
	if e.erasure, err = c.Erasure(); err != nil {
		return nil, fmt.Errorf("decode change %d: %w", c.Seq, err)
	}
	at := knowledge.MarkAt(c.Seq, c.Chain)
	e.mark = at.Chain
	e.describe(c.Record)
	begin := append(at.Append([]byte(`{"type":"change","position":"`)), `",`...)
	e.fill(append(begin, text[1:]...), c.Record)
	return e, nil
}

// describe sets the fields that filters check. A category's document belongs to that category.
func (e *event) describe(r *knowledge.Record) {
	switch {
	case e.key.Kind == knowledge.KindCategory:
		e.category = e.key.ID
	case r != nil:
		e.category = r.Category
	default:
		e.unknown = knowledge.Describe(e.key.Kind).HasCategory()
	}
}

// fill sets the body from a document and the JSON of a message without it, which fill overwrites.
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

// provisionalEvents returns an event for each op of a batch in the journal.
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

// note returns an event for a single subscriber.
func note(name string, at knowledge.Mark, retry time.Duration, message any) *event {
	e := &event{name: name, id: at.Seq, mark: at.Chain, retry: retry}
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
