package failover

import (
	"github.com/sony/gobreaker/v2"

	"tenet/internal/knowledge"
)

// A standing describes how an instance stands to its primary: its mode, and why. It is a value; [standing.next] makes
// the following one, and nothing else does.
type standing struct {
	mode knowledge.Mode
	why  string // in words, for people: nothing is decided by it
	// starting holds until the primary was asked, and building from then until the instance's first mirror is level.
	starting, building bool
	complete           bool            // a complete mirror is on this instance
	breaker            gobreaker.State // the breaker's last known state
	// halt says why an operator must act before the primary can be read, and haltWrites before it can be written; ""
	// for no reason.
	halt, haltWrites string
	// writes in a row that the primary has refused, or not answered in time, while it answered reads
	refused int
}

// An inputKind names what a standing reacts to.
type inputKind int

const (
	primaryAnswers   inputKind = iota // the primary answered a look, and its history is the mirror's
	mirrorLevel                       // a look found no change after the mirror's last one
	primaryUnusable                   // the primary is there, but its schema, rights or certificates are wrong
	breakerMoved                      // the breaker has changed its state
	batchQueued                       // a write was journalled
	mirrorRebuilding                  // a rebuild of the mirror has begun
	mirrorComplete                    // the first mirror is complete, with the waiting batches laid over it
	otherHistory                      // the primary has another history, which only a person may accept
	readSaid                          // the primary answered a read, or failed to
	writeSaid                         // the primary answered a write, or failed to
)

// An input is one event that a standing reacts to, with its details.
type input struct {
	kind    inputKind
	why     string          // in words; or the primary's error
	waiting int             // batches that wait for the primary
	breaker gobreaker.State // the breaker's new state
	class   class           // of the primary's answer
}

// atStart returns the standing of an instance that has not asked the primary yet.
func atStart(mode knowledge.Mode, complete bool) standing {
	s := standing{complete: complete}.moved(mode, "starting: the primary has not answered yet")
	s.starting = true
	return s
}

// moved returns the standing in a mode, with the reason.
func (s standing) moved(mode knowledge.Mode, why string) standing {
	s.mode, s.why, s.starting, s.building = mode, why, false, false
	return s
}

// next returns the standing after an input.
func (s standing) next(in input) standing {
	present := s.mode == knowledge.ModeNormal || s.mode == knowledge.ModeRecovering
	switch in.kind {
	case primaryAnswers:
		switch {
		case present:
		case !s.complete && in.waiting == 0:
			s = s.moved(knowledge.ModeNormal, "the primary answers; the mirror is being built")
			s.building = true
		default:
			s = s.moved(knowledge.ModeRecovering, "the primary answers again")
		}
	case mirrorLevel:
		if s.mode == knowledge.ModeRecovering && in.waiting == 0 {
			s = s.moved(knowledge.ModeNormal, "the journal is empty and the mirror is level")
		}
		if s.building {
			s = s.moved(s.mode, "the primary answers, and the mirror is level")
		}
	case primaryUnusable:
		why := "a person must act"
		if in.why != "" {
			why += ": " + in.why
		}
		s = s.away(why, why)
	case breakerMoved:
		s.breaker = in.breaker
		if in.breaker == gobreaker.StateOpen {
			s = s.away("the primary failed several times in a row", "the primary can't be reached since the start")
		}
	case batchQueued:
		if s.mode == knowledge.ModeNormal {
			s = s.moved(knowledge.ModeRecovering, "a write waits in the journal")
		}
	case mirrorRebuilding: // the mirror is not level during a rebuild
		if s.complete && s.mode == knowledge.ModeNormal {
			s = s.moved(knowledge.ModeRecovering, "the mirror is being rebuilt: "+in.why)
		}
	case mirrorComplete:
		s.complete = true
	case otherHistory:
		if s.mode != knowledge.ModeDiverged {
			s = s.moved(knowledge.ModeDiverged, in.why)
		}
	case readSaid, writeSaid:
		s = s.said(in)
	}
	return s
}

// away returns the standing without the primary. why is the reason, and never the reason if the primary has not
// answered since the start.
func (s standing) away(why, never string) standing {
	switch {
	case s.mode == knowledge.ModeNormal || s.mode == knowledge.ModeRecovering:
		mode := knowledge.ModeCold
		if s.complete {
			mode = knowledge.ModeDegraded
		}
		s = s.moved(mode, why)
	case s.starting:
		s = s.moved(s.mode, never)
	}
	return s
}

// said returns the standing after the primary's answer to a read or a write. If the primary answers reads but refuses
// writes, only writes avoid it: an answered read does not clear a write's halt.
func (s standing) said(in input) standing {
	switch {
	case in.kind == readSaid && in.class == fine:
		s.halt = ""
	case in.kind == readSaid && in.class == halted:
		s.halt = in.why
	case in.kind == writeSaid && in.class == fine:
		s.haltWrites, s.refused = "", 0
	case in.kind == writeSaid && in.class == halted:
		s.haltWrites = in.why
	case in.kind == writeSaid && (in.class == readOnly || in.class == late):
		s.refused++
	}
	return s
}

// asks reports whether the primary can be asked.
func (s *standing) asks() bool {
	switch s.mode {
	case knowledge.ModeNormal, knowledge.ModeRecovering, knowledge.ModeCold:
		return s.halt == ""
	case knowledge.ModeDegraded, knowledge.ModeDiverged:
	}
	return false
}

// halted returns why an operator must act before writes are taken, "" for no reason.
func (s *standing) halted() string {
	if s.halt != "" {
		return s.halt
	}
	return s.haltWrites
}
