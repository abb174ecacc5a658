package failover

import (
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// errDiverged says that the primary's history is not the mirror's, and a person must decide.
var errDiverged = errors.New("the primary has another history than the mirror")

// errShrunk says that a snapshot holds suspiciously few documents.
var errShrunk = errors.New("more than a fifth of the documents are missing")

// A reason says why a mirror is rebuilt, and with it which writes of the old mirror must be kept.
type reason int

const (
	noMirror reason = iota // there is no mirror, or it is damaged: nothing is kept
	behind                 // the mirror has the primary's history, as far as can be told, but can't follow it
	parted                 // the mirror's history has parted from the primary's
)

// A guard refuses the snapshot of a primary that may not be followed.
type guard struct {
	store.Sink
	ours *knowledge.Position // nil for any
}

// foreignError says that a snapshot comes from a primary that only a person may accept.
type foreignError struct{ why string }

func (e *foreignError) Error() string { return e.why }

// Begin implements [store.Sink].
func (g guard) Begin(at knowledge.Position) error {
	if g.ours != nil {
		if why := foreign(&at, g.ours); why != "" {
			return &foreignError{why}
		}
	}
	return g.Sink.Begin(at)
}

// foreign returns why only a person may let the mirror follow a primary; "" if nothing speaks against it. An old
// primary that comes back after a standby was promoted has an earlier timeline: the changes it took since are not
// authoritative, and the changes it lacks are not lost.
func foreign(theirs, ours *knowledge.Position) string {
	switch {
	case ours.System != "" && theirs.System != "" && ours.System != theirs.System:
		return "the primary is another database cluster than the mirror's: " + bothPositions(theirs, ours)
	case ours.System != "" && theirs.Timeline > 0 && theirs.Timeline < ours.Timeline:
		return "the primary has an earlier timeline than the mirror, like an old primary that comes back after a " +
			"standby was promoted: " +
			bothPositions(theirs, ours)
	}
	return ""
}

// bothPositions describes the positions of primary and mirror, for the person who has to choose.
func bothPositions(primary, mirror *knowledge.Position) string {
	name := func(p *knowledge.Position) string {
		at := "cluster " + p.System
		if p.System == "" {
			at = "an unknown cluster"
		}
		if p.Timeline != 0 {
			at += fmt.Sprintf(", timeline %d", p.Timeline)
		}
		at += fmt.Sprintf(", change %d", p.Seq)
		if !p.At.IsZero() {
			at += " of " + p.At.Format(time.RFC3339)
		}
		return at
	}
	return "the primary is " + name(primary) + "; the mirror is of " + name(mirror)
}
