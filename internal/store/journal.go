package store

import (
	"encoding/json"
	"slices"

	"tenet/internal/knowledge"
)

// An Entry is a batch in a journal: durable on this instance, and waiting for the primary.
type Entry struct {
	Seq         int64 // order of arrival; assigned by the journal
	Batch       knowledge.Batch
	Caller      string // the principal that sent it, whose rights are checked again at replay
	Fingerprint [32]byte
	// Bases holds for each op what it was made on top of.
	Bases []Base
	// Left holds for each op the document that it leaves on this instance until the primary has decided. An op whose
	// result is not known has none.
	Left []Left
	At   knowledge.Time // when it was journalled
	// Unknown is true if the primary may have applied the batch already, without its answer reaching us.
	Unknown bool
	// Newer is true if a newer version of the program has written the entry, in a form that this version may not fully
	// understand.
	Newer bool
	// Damaged is true if the entry's checksum differs: its content must not be applied.
	Damaged bool
}

// LeftOf returns the document that the batch leaves; false if that is not known.
func (e *Entry) LeftOf(key knowledge.Key) (Left, bool) {
	i := slices.IndexFunc(e.Left, func(l Left) bool { return l.Key == key })
	if i < 0 {
		return Left{}, false
	}
	return e.Left[i], true
}

// Left is the result of an op: a record, or nothing after a purge.
type Left struct {
	Key    knowledge.Key
	Record *knowledge.Record
}

// A Base is what an op of a journalled batch was made on top of.
type Base struct {
	// Version is the primary's version that the writer saw: 0 if there was no document.
	Version int64 `json:"version"`
	// Parent is the pending batch that wrote what the writer saw, or the zero id. The version is then known only once
	// the parent is applied.
	Parent knowledge.BatchID `json:"parent"`
}

// A Parked is a journalled batch that was in conflict when it was replayed. It keeps its whole content until a person
// decides.
type Parked struct {
	Entry      Entry
	Op         int             // the first op in conflict, -1 if it is the whole batch
	Why        string          // in words
	Found      int64           // the version found instead of the base; 0 for none
	Base       json.RawMessage // the document that the writer saw; null if there was none or it is no longer known
	Theirs     json.RawMessage // the document at the primary; null for none
	Ours       json.RawMessage // the document that the batch would have left; null for none
	ParkedAt   knowledge.Time
	Resolution string // theirs, ours or merged; "" until it is decided
	ResolvedBy string
	ResolvedAt knowledge.Time
	ResolvedAs knowledge.BatchID // the batch that carried out ours or merged
	// Lost is the batch that a failover of the primary has lost after it was acknowledged, if that is why this was
	// parked.
	Lost knowledge.BatchID
	// Seen identifies the current state of its documents. A decision that overwrites them must name it. "" once
	// decided.
	Seen string
}

// Size returns the bytes of its documents.
func (p *Parked) Size() int { return len(p.Base) + len(p.Theirs) + len(p.Ours) }

// Key is the document of a parked batch.
func (p *Parked) Key() knowledge.Key { return p.Entry.Batch.Ops[max(p.Op, 0)].Key }

// A ParkedQuery selects parked batches, the newest first. Zero values select all.
type ParkedQuery struct {
	ID         knowledge.BatchID // only this one
	Lost       knowledge.BatchID // only what was parked of a batch that a failover has lost
	Resolved   bool              // also resolved ones
	Kind       knowledge.Kind    // kind of its document
	DocumentID string            // id of its document
	Actor      string            // its writer
	Before     int64             // only entries before this seq: the next page
	Limit      int               // at most this many
	Bytes      int               // documents of at most about so many bytes: what reaches them is the last; 0 for any
}

// Ways to resolve a conflict.
const (
	ResolveTheirs = "theirs" // the primary's document stays
	ResolveOurs   = "ours"   // the parked batch is written over it
	ResolveMerged = "merged" // another document is written, made of both
)

// A Decision decides a parked batch. Seen is the state it was decided on; Merged is the document to write for merged.
type Decision struct {
	ID     knowledge.BatchID
	How    string
	Seen   string
	Merged knowledge.Document
}

// A Decided is a decision that was carried out.
type Decided struct {
	ID      knowledge.BatchID
	Receipt knowledge.Receipt // of the write; zero for theirs
}

// An Outcome is the state of a journalled batch.
type Outcome struct {
	State    string                  // knowledge.BatchQueued, BatchApplied, BatchParked or BatchResolved
	Seq      knowledge.Seq           // of its last change, once applied
	Versions map[knowledge.Key]int64 // its versions at the primary, once applied
	Why      string                  // why it was parked, or how it was resolved
}

// A JournalDepth tells how many batches are in a journal.
type JournalDepth struct {
	Entries int64          // batches that wait
	Bytes   int64          // their size
	Limit   int64          // how many bytes may wait
	Oldest  knowledge.Time // when the oldest was journalled; zero if none waits
	Parked  int64          // batches that wait for a person
}

// A Sink takes a snapshot of a primary: first its position in the history, then every document, then the kept part of
// the log in order.
type Sink interface {
	Begin(at knowledge.Position) error
	Record(r *knowledge.Record) error
	Change(c *knowledge.Change) error
}
