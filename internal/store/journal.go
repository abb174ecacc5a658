package store

import (
	"encoding/json"
	"slices"

	"tenet/internal/knowledge"
)

// An Entry is a batch in a journal: durable on this machine, and waiting for the primary.
type Entry struct {
	Seq         int64 // order of arrival; given by the journal
	Batch       knowledge.Batch
	Caller      string // who asked for it, whose rights are looked at again when it is replayed
	Fingerprint [32]byte
	// Bases holds for each op what it was made on top of.
	Bases []Base
	// Left holds for each op what it leaves behind here until the primary has decided; none for those of which that can't be said.
	Left []Left
	At   knowledge.Time // when it was taken
	// Unknown is true when the primary may have done the batch already: its answer was lost.
	Unknown bool
	// Newer is true when a newer program has written it, in a form that this one may not understand all of.
	Newer bool
}

// LeftOf returns what the batch leaves behind of a document; false where that can't be said.
func (e *Entry) LeftOf(key knowledge.Key) (Left, bool) {
	i := slices.IndexFunc(e.Left, func(l Left) bool { return l.Key == key })
	if i < 0 {
		return Left{}, false
	}
	return e.Left[i], true
}

// Left is what an op leaves behind: a record, or nothing after a purge.
type Left struct {
	Key    knowledge.Key
	Record *knowledge.Record
}

// A Base is what an op of a journalled batch was made on top of.
type Base struct {
	// Version is the primary's version that the writer saw: 0 when there was no document.
	Version int64 `json:"version"`
	// Parent is the pending batch that wrote what the writer saw, or the zero id. The version is then known once the
	// parent is applied.
	Parent knowledge.BatchID `json:"parent"`
}

// A Parked is a journalled batch that did not fit when it was replayed. It keeps its whole payload until a person decides.
type Parked struct {
	Entry      Entry
	Op         int             // the first op that did not fit, -1 when the whole batch did not
	Why        string          // in words
	Found      int64           // the version found instead of the base; 0 for none
	Base       json.RawMessage // the document that the writer saw; null when there was none or it is no longer known
	Theirs     json.RawMessage // the document at the primary; null for none
	Ours       json.RawMessage // the document that the batch would have left; null for none
	ParkedAt   knowledge.Time
	Resolution string // theirs, ours or merged; "" while nobody has decided
	ResolvedBy string
	ResolvedAt knowledge.Time
	ResolvedAs knowledge.BatchID // the batch that carried out ours or merged
}

// An Outcome tells where a journalled batch stands.
type Outcome struct {
	State    string                  // knowledge.BatchQueued, BatchApplied, BatchParked or BatchResolved
	Seq      knowledge.Seq           // of its last change, once applied
	Versions map[knowledge.Key]int64 // what it left at the primary, once applied
	Why      string                  // why it was parked, or how it was resolved
}

// A JournalDepth tells how much waits in a journal.
type JournalDepth struct {
	Entries int64          // batches that wait
	Bytes   int64          // their size
	Limit   int64          // how many bytes may wait
	Oldest  knowledge.Time // when the oldest was taken; zero when none waits
	Parked  int64          // batches that wait for a person
}

// A Sink takes a snapshot of a primary: first where in its history it was taken, then every document, then the kept part of
// the log in order.
type Sink interface {
	Begin(at knowledge.Position) error
	Record(r *knowledge.Record) error
	Change(c *knowledge.Change) error
}
