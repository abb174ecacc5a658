// Package backup keeps copies of a tenet's data that are proven by restoring them.
package backup

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"tenet/internal/knowledge"
)

// ErrNotSupported is what an engine answers when it can't do what is asked; the error that wraps it says what to use instead.
var ErrNotSupported = errors.New("this backup engine can't do that")

// ErrDamaged says that a copy is not as it was written.
var ErrDamaged = errors.New("the backup is damaged")

// A Copy is one backup, as its manifest tells.
type Copy struct {
	Name      string                   `json:"name"`           // the time it was made and how, as in 20260131T020000Z-full
	Engine    string                   `json:"engine"`         // sqlite or pgbackrest
	Type      string                   `json:"type"`           // full, incr or diff: what has changed since another
	At        knowledge.Time           `json:"at"`             // the moment that it holds
	Seq       knowledge.Seq            `json:"seq"`            // the newest change in it
	Chain     string                   `json:"chain"`          // that change's link of the chain, in hex
	Documents map[knowledge.Kind]int64 `json:"documents"`      // how many documents of each kind it holds
	Schema    int64                    `json:"schema"`         // of the database
	Program   string                   `json:"program"`        // version of the tenet that made it
	File      string                   `json:"file"`           // the archive, beside the manifest
	Bytes     int64                    `json:"bytes"`          // of the archive
	SHA256    string                   `json:"sha256"`         // of the archive, in hex
	Encrypted bool                     `json:"encrypted"`      // it needs a key to be read
	TookMilli int64                    `json:"took_milli"`     // milliseconds that making it took
	Note      string                   `json:"note,omitempty"` // what a person should know of a restore
}

// Facts are what is found in a database: what a copy is held against.
type Facts struct {
	At        knowledge.Time // of the newest change; the zero time when there is none
	Seq       knowledge.Seq
	Chain     string
	Documents map[knowledge.Kind]int64
	Schema    int64
}

// A Target says what to restore: all that there is, one copy by its name, the state at a time, or that at a point that has a name.
type Target struct {
	Name  string    // of a copy
	To    time.Time // the newest state that is not younger
	Point string    // a restore point of PostgreSQL
	// AcceptGap restores up to where WAL is missing, instead of refusing to.
	AcceptGap bool
}

// ParseTarget reads "latest", the name of a copy, or a time as in 2026-01-31T12:00:00Z.
func ParseTarget(text string) (Target, error) {
	if text == "" || text == "latest" {
		return Target{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return Target{To: at}, nil
	}
	if _, err := timeOfName(text); err == nil || restLabel.MatchString(text) {
		return Target{Name: text}, nil
	}
	if strings.HasPrefix(text, pointPrefix) && len(text) > len(pointPrefix) {
		return Target{Point: text[len(pointPrefix):]}, nil
	}
	return Target{}, fmt.Errorf("%q: want latest, the name of a backup as `tenet backup list` shows it, a time such as 2026-01-31T12:00:00Z, "+
		"or a restore point of PostgreSQL such as point:before-upgrade", text)
}

// pointPrefix tells the name of a restore point from that of a backup.
const pointPrefix = "point:"

// restLabel is the form of a label of pgBackRest's.
var restLabel = regexp.MustCompile(`^\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?$`)

// A Report is what a check found. No faults mean that all is well.
type Report struct {
	Copies int            `json:"copies"`
	Newest knowledge.Time `json:"newest_at"`
	Faults []string       `json:"faults"`
}

// Progress is told how far something is; total is 0 when it can't be told.
type Progress func(done, total int64)

// An Engine makes and reads copies of one database. What it can't do is [ErrNotSupported].
type Engine interface {
	// Full makes a copy. It is durable when it returns.
	Full(ctx context.Context, progress Progress) (Copy, error)
	// Incremental makes a copy of what has changed since the last one.
	Incremental(ctx context.Context, progress Progress) (Copy, error)
	// Check reads the repository as far as that is quick: every copy is there, whole, and the newest is young enough.
	Check(ctx context.Context) (Report, error)
	// List returns the copies, the newest first.
	List(ctx context.Context) ([]Copy, error)
	// Restore puts a copy into a directory, which must be empty or not there, and returns it. It is ready to be used when it
	// returns, or nothing of it is there.
	Restore(ctx context.Context, target Target, dir string, progress Progress) (Copy, error)
	// Expire removes the copies that are no longer kept, and returns them.
	Expire(ctx context.Context) ([]Copy, error)
	// Drill proves the newest copy by restoring it beside everything else.
	Drill(ctx context.Context, progress Progress) (Drill, error)
	// LastDrill returns what the last drill found; nil when there was none.
	LastDrill() (*Drill, error)
}

// A Drill is a proof of a backup: it was restored, verified and compared, and this is how long it took.
type Drill struct {
	At    knowledge.Time `json:"at"`
	Copy  string         `json:"copy"`
	RTO   Seconds        `json:"rto_seconds"` // restore and verification
	RPO   Seconds        `json:"rpo_seconds"` // age, at the drill, of what the copy holds: what would have been lost
	Steps []Step         `json:"steps"`
	Error string         `json:"error,omitempty"` // why it failed, with the step; "" when the copy is proven
}

// Seconds is a duration that is written as a number of seconds.
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

func timeOfName(name string) (time.Time, error) {
	if len(name) < len(nameLayout) {
		return time.Time{}, fmt.Errorf("%q is no name of a backup", name)
	}
	return time.Parse(nameLayout, name[:len(nameLayout)])
}
