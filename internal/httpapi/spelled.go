package httpapi

import (
	"bytes"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
)

// writtenMark keeps the text of the last mark that was written to a header: answers of the same one share it.
type writtenMark struct{ last atomic.Pointer[markText] }

type markText struct {
	at   knowledge.Mark
	text string
}

// text returns a mark as a header has it.
func (w *writtenMark) text(at knowledge.Mark) string {
	if p := w.last.Load(); p != nil && p.at.Seq == at.Seq && bytes.Equal(p.at.Chain, at.Chain) {
		return p.text
	}
	p := &markText{at, at.String()}
	w.last.Store(p)
	return p.text
}

// writtenSeq keeps the text of the last seq that was written to a header.
type writtenSeq struct{ last atomic.Pointer[seqText] }

type seqText struct {
	seq  knowledge.Seq
	text string
}

// text returns a seq as a header has it.
func (w *writtenSeq) text(n knowledge.Seq) string {
	if s := w.last.Load(); s != nil && s.seq == n {
		return s.text
	}
	s := &seqText{n, decimal(int64(n))}
	w.last.Store(s)
	return s.text
}

// writtenTime keeps the text of the last time that was written to a header.
type writtenTime struct{ last atomic.Pointer[timeText] }

type timeText struct {
	at   time.Time
	text string
}

// timeStep is how exact the time in a header is. A header may name an earlier time than the true one, never a later
// one.
const timeStep = time.Millisecond

// text returns a time as documents write it. Answers of the same millisecond share the text.
func (w *writtenTime) text(t knowledge.Time) string {
	if s := w.last.Load(); s != nil {
		if ahead := t.Sub(s.at); ahead >= 0 && ahead < timeStep {
			return s.text
		}
	}
	s := &timeText{t.Time, t.UTC().Format(knowledge.TimeLayout)}
	w.last.Store(s)
	return s.text
}
