package failover_test

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// setup is who writes what was there before the clients.
const setup = "setup"

// A history is what the clients of some instances did and were told. The judge reads it.
type history struct {
	mu    sync.Mutex // guards the fields below
	calls []*call    // in the order in which they were answered
	waits []span     // of troubles whose end no read may wait for
}

// A call is one that a session made. A session makes one after the other.
type call struct {
	by           string
	life         int // of its instance's process: what was read of others may be forgotten with it
	began, ended time.Time
	err          error
	hurt         bool // the instance's mirror was damaged: without the primary it can't answer reads, nor in time
	// One of these.
	read  *read
	list  *list
	write *write
}

// A read is of one document. Its answer is empty where that is not there.
type read struct {
	key     knowledge.Key
	fresh   bool // an answer as of now was demanded
	version int64
	pending knowledge.BatchID
	source  knowledge.Source
	text    int64     // the version that the text itself names
	title   string    // of the text
	asOf    time.Time // since when the answer is said to be current; the zero time if nothing is said
	// lacks is the session's own batch for the document, which the answer does not show though it still waits.
	lacks knowledge.BatchID
	mode  knowledge.Mode // of the instance, afterwards
}

// A list is of several documents, or a search for them.
type list struct {
	source knowledge.Source
	want   int                       // how many there are; 0 if that changes
	got    int                       // how many there were
	shown  map[knowledge.Key]showing // what it showed of those that are written to; nil if it asked for others
}

type showing struct {
	version int64
	pending knowledge.BatchID
}

// A write is a batch that was sent, for the first time or again.
type write struct {
	batch    knowledge.Batch
	title    string
	on       []showing // what its writer was shown of each of its documents
	whatever bool      // it was to be written on top of whatever is there
	shared   bool      // others write its documents too
	again    bool      // it was sent before
	foul     bool      // other content under an id that was used: it must never be done
	receipt  knowledge.Receipt
}

type span struct{ from, to time.Time }

// ended notes that a call was answered.
func (h *history) ended(c *call) {
	c.ended = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
}

func (h *history) all() []*call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// size returns how many calls were answered.
func (h *history) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// count returns how many writes that began after a time fulfil a condition.
func (h *history) count(after time.Time, ok func(*call) bool) int {
	n := 0
	for _, c := range h.all() {
		if c.write != nil && c.began.After(after) && ok(c) {
			n++
		}
	}
	return n
}

// readsIn returns how long the reads took that began between two times, the fastest first. One that demands an answer
// as of now may wait for the primary.
func (h *history) readsIn(from, to time.Time) []time.Duration {
	var all []time.Duration
	for _, c := range h.all() {
		if c.anyRead() && !c.began.Before(from) && c.began.Before(to) {
			all = append(all, c.ended.Sub(c.began))
		}
	}
	slices.SortFunc(all, cmp.Compare)
	return all
}

// anyRead reports whether a call is one that the mirror may answer.
func (c *call) anyRead() bool { return c.list != nil || c.read != nil && !c.read.fresh }

// An ending is how it came out.
type ending struct {
	log     []knowledge.Change // the primary's, whole
	broken  error              // what the primary's own look at its log has found
	parked  []store.Parked     // at any instance
	stands  []stand            // of the instances, when all was quiet
	forgets bool               // the primary may have lost what it acknowledged: that must be parked
}

// A stand is how one instance stands in the end.
type stand struct {
	level bool // in normal mode, with an empty journal
	equal bool // its mirror was compared with the primary, and is the same
	text  string
}
