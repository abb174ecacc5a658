package httpapi

import (
	"bytes"
	"time"

	"tenet/internal/knowledge"
)

// A placed mark is one that was written for a header.
type placed struct {
	at   knowledge.Mark
	text string
}

// position returns the place in the log that an answer which is asked for from now on shows, as a header has it; "" where that
// is not known.
func (h *Handler) position() string {
	if h.o.Position == nil {
		return ""
	}
	at, ok := h.o.Position()
	if !ok {
		return ""
	}
	if p := h.placed.Load(); p != nil && p.at.Seq == at.Seq && bytes.Equal(p.at.Chain, at.Chain) {
		return p.text
	}
	p := &placed{at, at.String()}
	h.placed.Store(p)
	return p.text
}

// placed names the position of an answer with several documents: who follows the log from there misses nothing.
func (c *call) placed(at string) {
	if at != "" {
		c.set("Tenet-Position", at)
	}
}

// A spelledSeq is a seq that was written for a header.
type spelledSeq struct {
	seq  knowledge.Seq
	text string
}

// seq writes a seq. Answers of the same one share the text.
func (h *Handler) seq(n knowledge.Seq) string {
	if s := h.spelledSeq.Load(); s != nil && s.seq == n {
		return s.text
	}
	s := &spelledSeq{n, decimal(int64(n))}
	h.spelledSeq.Store(s)
	return s.text
}

// A spelled time is one that was written for a header.
type spelled struct {
	at   time.Time
	text string
}

// spellEvery is how exact the time in a header is: an earlier one than the true one claims nothing that is not so.
const spellEvery = time.Millisecond

// moment writes a time as documents do. Answers of the same millisecond share the text.
func (h *Handler) moment(t knowledge.Time) string {
	if s := h.spelled.Load(); s != nil {
		if ahead := t.Sub(s.at); ahead >= 0 && ahead < spellEvery {
			return s.text
		}
	}
	s := &spelled{t.Time, t.UTC().Format(knowledge.TimeLayout)}
	h.spelled.Store(s)
	return s.text
}
