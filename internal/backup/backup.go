// Package backup keeps copies of an instance's data and proves them by restoring them.
package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tenet/internal/knowledge"
)

// ErrNotSupported is the error for operations that an engine lacks; the error that wraps it says what to use instead.
var ErrNotSupported = errors.New("this backup engine can't do that")

// ErrDamaged means that a copy is not as it was written.
var ErrDamaged = errors.New("the backup is damaged")

// A Copy is one backup, as its manifest describes it.
type Copy struct {
	Name      string                   `json:"name"`           // time and type, as in 20260131T020000Z-full
	Engine    string                   `json:"engine"`         // sqlite or pgbackrest
	Type      string                   `json:"type"`           // full, incr or diff: what it is based on
	At        knowledge.Time           `json:"at"`             // the moment of its content
	Seq       knowledge.Seq            `json:"seq"`            // the newest change in it
	Chain     string                   `json:"chain"`          // that change's link of the chain, in hex
	Documents map[knowledge.Kind]int64 `json:"documents"`      // how many documents of each kind it holds
	Schema    int64                    `json:"schema"`         // the database's schema
	Program   string                   `json:"program"`        // version of the program that made it
	File      string                   `json:"file"`           // the archive, beside the manifest
	Bytes     int64                    `json:"bytes"`          // of the archive
	SHA256    string                   `json:"sha256"`         // of the archive, in hex
	Encrypted bool                     `json:"encrypted"`      // reading it needs a key
	TookMilli int64                    `json:"took_milli"`     // milliseconds taken to make it
	Note      string                   `json:"note,omitempty"` // what a person should know before a restore
}

// Facts describe the content of a database, for comparison with a copy.
type Facts struct {
	At        knowledge.Time // of the newest change; zero if there is none
	Seq       knowledge.Seq
	Chain     string
	Documents map[knowledge.Kind]int64
	Schema    int64
}

// A Target says what to restore: everything, one copy by name, or the state at a time or at a named restore point.
type Target struct {
	Name  string    // of a copy
	To    time.Time // the newest state not after this time
	Point string    // a restore point of PostgreSQL
	// AcceptGap restores up to the first gap in the WAL instead of refusing.
	AcceptGap bool
	// Finish brings the directory of an embedded database up to date before it is in its place: one that was killed in
	// between must not be taken for whole. Nil for nothing.
	Finish func(ctx context.Context, dir string) error
}

// latest reports whether the newest of all is meant.
func (t Target) latest() bool { return t.Name == "" && t.To.IsZero() && t.Point == "" }

// ParseTarget reads "latest", the name of a copy, or a time as in 2026-01-31T12:00:00Z.
func ParseTarget(text string) (Target, error) {
	if text == "" || text == "latest" {
		return Target{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return Target{To: at}, nil
	}
	if isName(text) || restLabel().MatchString(text) {
		return Target{Name: text}, nil
	}
	if strings.HasPrefix(text, pointPrefix) && len(text) > len(pointPrefix) {
		return Target{Point: text[len(pointPrefix):]}, nil
	}
	return Target{}, fmt.Errorf("%q: want latest, the name of a backup as `tenet backup list` shows it, a time such "+
		"as 2026-01-31T12:00:00Z, "+
		"or a restore point of PostgreSQL such as point:before-upgrade", text)
}

// pointPrefix distinguishes the name of a restore point from that of a backup.
const pointPrefix = "point:"

// restLabel matches pgBackRest's labels.
var restLabel = compiled(`^\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?$`)

// A Report is the result of a check. Without faults all is well.
type Report struct {
	Copies int            `json:"copies"`
	Newest knowledge.Time `json:"newest_at"`
	Faults []string       `json:"faults"`
}

// Progress gets how much of an operation is done; total is 0 if unknown.
type Progress func(done, total int64)

// An Engine makes and reads copies of one database. It returns [ErrNotSupported] for operations that it lacks.
type Engine interface {
	// Full makes a copy. It is durable when it returns.
	Full(ctx context.Context, progress Progress) (Copy, error)
	// Incremental makes a copy of the changes since the last one.
	Incremental(ctx context.Context, progress Progress) (Copy, error)
	// Check reads the repository as far as that is quick: every copy is complete and undamaged, and the newest is
	// recent.
	Check(ctx context.Context) (Report, error)
	// List returns the copies, the newest first.
	List(ctx context.Context) ([]Copy, error)
	// Restore restores a copy into a directory, which must be empty or missing, and returns it. When Restore returns,
	// the directory is ready for use; after an error it has nothing of the copy.
	Restore(ctx context.Context, target Target, dir string, progress Progress) (Copy, error)
	// Expire removes the copies that retention no longer keeps, and returns them.
	Expire(ctx context.Context) ([]Copy, error)
	// Drill proves the newest copy by restoring it into a separate place.
	Drill(ctx context.Context, progress Progress) (Drill, error)
	// LastDrill returns the result of the last drill; nil if there was none.
	LastDrill() (*Drill, error)
}

// A Drill is the result of restoring, verifying and comparing a backup, with its duration.
type Drill struct {
	At   knowledge.Time `json:"at"`
	Copy string         `json:"copy"`
	RTO  Seconds        `json:"rto_seconds"` // restore and verification
	// age of the copy's content at the drill: what a disaster then would have lost
	RPO   Seconds `json:"rpo_seconds"`
	Steps []Step  `json:"steps"`
	Error string  `json:"error,omitempty"` // why it failed, with the step; "" if the copy is proven
}

// Seconds is a duration whose JSON is a number of seconds.
type Seconds float64

// Duration returns the duration.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// A Step is one step of a drill.
type Step struct {
	Name string  `json:"name"`
	Took Seconds `json:"took_seconds"`
	Text string  `json:"text"`
}

// nameLayout is the time in the name of a copy.
const nameLayout = "20060102T150405.000Z"

// isName reports whether a text begins as the name of a copy does.
func isName(text string) bool {
	if len(text) < len(nameLayout) {
		return false
	}
	_, err := time.Parse(nameLayout, text[:len(nameLayout)])
	return err == nil
}
