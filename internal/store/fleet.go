package store

import (
	"context"
	"time"

	"tenet/internal/knowledge"
)

// A FleetState says whether a repository is up to date with the documents that it takes.
type FleetState string

// The states of a repository, the most important first: if several apply, it has the first.
const (
	FleetSilent  FleetState = "silent"  // it has not checked in for a while, or ever
	FleetEdited  FleetState = "edited"  // a file written by sync was changed by hand
	FleetMissing FleetState = "missing" // files that sync would write are not there
	FleetBehind  FleetState = "behind"  // the documents that it takes have changed since
	FleetExempt  FleetState = "exempt"  // it is current, but for rules that it is exempt from for now
	FleetCurrent FleetState = "current" // it is up to date
)

// FleetStates returns the states, the most important first.
func FleetStates() []FleetState {
	return []FleetState{FleetSilent, FleetEdited, FleetMissing, FleetBehind, FleetExempt, FleetCurrent}
}

// SilentAfter is how long a repository may go without a check-in before it counts as silent.
const SilentAfter = 14 * 24 * time.Hour

// A CheckIn is a work tree's report about itself.
type CheckIn struct {
	Repository string         `json:"repository"`
	At         knowledge.Time `json:"at"`
	Via        string         `json:"via"` // the command: sync or check
	By         string         `json:"by"`  // the principal, set by the server
	Branch     string         `json:"branch"`
	Commit     string         `json:"commit"`
	Program    string         `json:"program"`         // the version of the command
	Seq        knowledge.Seq  `json:"seq"`             // the work tree is up to date with the log up to this change
	Takes      string         `json:"takes"`           // a digest of the documents that it took
	Packs      []string       `json:"packs,omitempty"` // packs that it takes besides the repository's
	// the label at which it takes documents, if not the repository's
	Label    string          `json:"label,omitempty"`
	Files    *FleetFiles     `json:"files"` // nil if the files were not checked
	Findings *int            `json:"findings"`
	Hooks    *FleetHookTally `json:"hooks"` // nil if no hook ran since the last check-in
	// Rules counts how rules were used, by rule id. The counts are kept apart from the repository.
	Rules map[string]EffectTally `json:"-"`
}

// FleetFiles counts the files that differ from what sync would write.
type FleetFiles struct {
	Edited  int `json:"edited" doc:"Changed by hand, or not ours to write" minimum:"0"`
	Missing int `json:"missing" doc:"Not there" minimum:"0"`
	Behind  int `json:"behind" doc:"As they were written earlier, or no longer expected" minimum:"0"`
}

// FleetHookTally counts edits that hooks have judged.
type FleetHookTally struct {
	Edits  int            `json:"edits" doc:"Edits that were judged" minimum:"0"`
	Denied int            `json:"denied" doc:"Those that were denied" minimum:"0"`
	Last   knowledge.Time `json:"last" doc:"When the last was judged"`
}

// A Standing is a repository's state, by its last check-in.
type Standing struct {
	CheckIn
	State   FleetState     `json:"state"`
	Since   knowledge.Time `json:"since"`   // when it got this state
	Touched knowledge.Time `json:"touched"` // when this standing was written
	Wants   string         `json:"wants"`   // a digest of the documents that it should take now; "" if not yet computed
	WantsAt knowledge.Seq  `json:"wants_at"`
	Fault   string         `json:"fault"`  // why the documents that it takes can't be computed
	Exempt  int            `json:"exempt"` // active exemptions
}

// Take adds a check-in. Fields that it leaves out keep their values.
func (s *Standing) Take(c *CheckIn) {
	old := s.CheckIn
	s.CheckIn = *c
	if c.Files == nil {
		s.Files = old.Files
	}
	if c.Findings == nil {
		s.Findings = old.Findings
	}
	if old.Hooks != nil {
		sum := *old.Hooks
		if c.Hooks != nil {
			sum.Edits, sum.Denied, sum.Last = sum.Edits+c.Hooks.Edits, sum.Denied+c.Hooks.Denied, c.Hooks.Last
		}
		s.Hooks = &sum
	}
	if c.Seq >= s.WantsAt { // the check-in is newer than the last computation
		s.Wants, s.WantsAt, s.Fault = c.Takes, c.Seq, ""
	}
}

// Judge computes the state, and since when it has held.
func (s *Standing) Judge(now time.Time) {
	state := FleetCurrent
	f := s.Files
	if f == nil {
		f = &FleetFiles{}
	}
	switch {
	case s.At.IsZero() || now.Sub(s.At.Time) > SilentAfter:
		state = FleetSilent
	case f.Edited > 0:
		state = FleetEdited
	case f.Missing > 0:
		state = FleetMissing
	case f.Behind > 0 || s.Fault != "" || s.Wants != "" && s.Wants != s.Takes:
		state = FleetBehind
	case s.Exempt > 0:
		state = FleetExempt
	}
	if state != s.State || s.Since.IsZero() {
		s.State, s.Since = state, knowledge.At(now)
	}
}

// A FleetQuery selects repositories, ordered by id.
type FleetQuery struct {
	State   FleetState     // only these; "" for all
	After   string         // only ids after this one
	IDs     []string       // only these, unless empty
	Touched knowledge.Time // only those written since, unless zero; then ordered by that time
	Limit   int            // 100 when 0
}

// A FleetCount is the number of repositories with a state.
type FleetCount struct {
	State        FleetState     `json:"state" doc:"The state" enum:"silent,edited,missing,behind,exempt,current"`
	Repositories int64          `json:"repositories" doc:"How many repositories have it" minimum:"0"`
	Since        knowledge.Time `json:"since" doc:"Since when the first of them has it; null for none"`
}

// A FleetBook keeps the standings of repositories. Standings are not documents and have no versions.
type FleetBook interface {
	// PutStandings writes standings. A standing older than the stored one, by check-in and then by time written, is
	// skipped.
	PutStandings(ctx context.Context, list ...Standing) error
	// Standings returns a page; a page shorter than its limit is the last.
	Standings(ctx context.Context, q FleetQuery) ([]Standing, error)
	// CountStandings returns the number of repositories for each state that occurs.
	CountStandings(ctx context.Context) ([]FleetCount, error)
	// DropStandings deletes the standings of repositories.
	DropStandings(ctx context.Context, ids ...string) error
}

// FleetLimit is the default size of a page of standings, and MaxFleetLimit the largest.
const (
	FleetLimit    = 100
	MaxFleetLimit = 1000
)

// EachStanding calls fn with every standing, page by page.
func EachStanding(ctx context.Context, b FleetBook, fn func(*Standing) error) error {
	for after := ""; ; {
		list, err := b.Standings(ctx, FleetQuery{After: after, Limit: MaxFleetLimit})
		if err != nil {
			return err
		}
		for i := range list {
			if err := fn(&list[i]); err != nil {
				return err
			}
			after = list[i].Repository
		}
		if len(list) < MaxFleetLimit {
			return nil
		}
	}
}

// A FleetMove is a change of a document that a repository takes.
type FleetMove struct {
	Key     string         `json:"key" doc:"Kind and id of the document, or of a pack" example:"rule/GO-001"`
	Title   string         `json:"title" doc:"One line that says it"`
	How     string         `json:"how" doc:"What became of it, for the repository" enum:"added,changed,removed"`
	Version int64          `json:"version" doc:"The version that it has now, or had last"`
	Seq     knowledge.Seq  `json:"seq" doc:"The newest change of it"`
	At      knowledge.Time `json:"at" doc:"When that was made"`
	By      string         `json:"by" doc:"Who made it"`
}

// A FleetNews is a repository with the changes since it last took its documents.
type FleetNews struct {
	Standing
	Moves []FleetMove // the newest first
	More  bool        // there are more changes than were read
}
