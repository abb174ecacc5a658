package httpapi

import (
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"tenet/internal/access"
	"tenet/internal/coherence"
	"tenet/internal/knowledge"
)

// maxNotesHeader bounds the header with notes: proxies refuse answers whose headers are longer than a few kilobytes.
const maxNotesHeader = 2 << 10

// notesOf returns what the writer of some ops may not have meant. What it asks the store for is no read of the
// caller's.
func notesOf(c *call, ops []knowledge.Op, records []*knowledge.Record) []knowledge.Note {
	return coherence.Notes(access.Unrecorded(c.limited()), c.h.o.Store, ops, records)
}

// notesOn returns what the writer of a proposal may not have meant.
func notesOn(c *call, p *knowledge.Proposal) []knowledge.Note {
	return coherence.ProposedNotes(access.Unrecorded(c.limited()), c.h.o.Store, p)
}

// setNotes sets the header with the notes on the one document that is answered.
func setNotes(c *call, notes []knowledge.Note) {
	type headerNote struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	}
	text := []byte("[")
	for _, n := range notes {
		one, err := json.Marshal(headerNote{n.Pointer, n.Detail})
		if one = inASCII(one); err != nil || len(text)+len(one)+2 > maxNotesHeader {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(text, one...)
	}
	if len(text) > 1 {
		c.set(notesHeader, string(append(text, ']')))
	}
}

// inASCII returns JSON with all other signs escaped, as a header needs it.
func inASCII(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for _, r := range string(data) {
		switch {
		case r < utf8.RuneSelf:
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
