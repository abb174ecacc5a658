package interchange

import (
	"errors"
	"iter"

	"tenet/internal/knowledge"
)

// ErrRefused says that a plan holds refusals, and that it was not told to keep going.
var ErrRefused = errors.New("something was refused")

// An Outcome says what an import does with one document or file.
type Outcome string

// Outcomes.
const (
	Created   Outcome = "created"
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
	Pruned    Outcome = "pruned"  // retired: its file no longer holds it
	Skipped   Outcome = "skipped" // a file with nothing to import in it
	Refused   Outcome = "refused"
)

// A Step is what an import does with one document, or with a file that gave none.
type Step struct {
	Source  string
	Path    string        // of the file, within the source
	Format  Format        // "" for a skipped file, a pruned document, a category that the import needs
	Key     knowledge.Key // zero for a file that gave no document
	Outcome Outcome
	Reason  string // why it is refused or skipped
	Notes   []string
	Version int64 // the version that is there now; 0 for none
}

// A Current returns the document that a key names as it is now, in use or retired; nil when there is none.
type Current func(knowledge.Key) (*knowledge.Record, error)

// PlanOptions says how to plan.
type PlanOptions struct {
	Current Current // required
	// Imported lists the documents of every kind, in use or retired, that carry a tag (see [SourceTag]). Set it to prune:
	// what a source imported before and no longer holds is retired.
	Imported func(tag string) iter.Seq2[*knowledge.Record, error]
	// KeepGoing imports what is good although something is refused.
	KeepGoing bool
	// Overwrite replaces also what was edited in tenet since it was imported.
	Overwrite bool
	// Progress is called after each file with how many of a source are done. May be nil.
	Progress func(done, of int)
}

// A Plan is what an import will do, worked out before anything is written.
type Plan struct {
	Steps []Step
}

// NewPlan returns an empty plan.
func NewPlan(o PlanOptions) *Plan { return nil }

// Add reads a whole source and plans its import. The source must stay open until the batches are made. The error is that
// of Current or Imported; what is wrong with the files becomes a refused step.
func (p *Plan) Add(s *Source) error { return errors.New("not built yet") }

// Count returns the number of steps of each outcome.
func (p *Plan) Count() map[Outcome]int { return nil }

// Blocked reports whether something is refused and the plan is not to keep going.
func (p *Plan) Blocked() bool { return false }

// Batches returns the writes, categories first, each of at most maxOps ops ([knowledge.MaxBatchOps] when 0). Every op names
// the version that it was compared with, so that a document which was written meanwhile is a conflict and is not
// overwritten. A blocked plan gives [ErrRefused]. Keep a batch to retry it: another run gives other ids.
func (p *Plan) Batches(actor string, maxOps int) iter.Seq2[knowledge.Batch, error] {
	return func(func(knowledge.Batch, error) bool) {}
}

// SourceTag returns the tag of the documents that a source of this name imported.
func SourceTag(name string) string { return "source:" + name }
