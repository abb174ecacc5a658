package failover

import (
	"tenet/internal/knowledge"
)

// Status describes an instance's mirror, journal and connection to its primary.
type Status struct {
	Mode    knowledge.Mode `json:"mode"`
	Since   knowledge.Time `json:"since"`
	Why     string         `json:"why"`
	AsOf    knowledge.Time `json:"as_of"`
	Breaker string         `json:"breaker"`       // closed, open or half-open
	Swings  int64          `json:"breaker_moves"` // how often the breaker has changed its state
	Errors  []string       `json:"errors"`        // the primary's last errors, the newest last
	Halt    string         `json:"halt,omitempty"`
	Mirror  MirrorStatus   `json:"mirror"`
	Journal JournalStatus  `json:"journal"`
	Floor   knowledge.Seq  `json:"floor"`  // the seq that the mirror must have before it answers
	Passed  int64          `json:"passed"` // reads sent to the primary because the mirror could not answer
	// those of them that the mirror answered after all, because the primary failed
	FellBack int64 `json:"fell_back"`
	Moves    int64 `json:"transitions"` // changes of mode
}

// MirrorStatus describes the mirror.
type MirrorStatus struct {
	Ready    bool          `json:"ready"`
	State    string        `json:"state"`         // [MirrorNone], [MirrorBuilding], [MirrorFailing] or [MirrorReady]
	Why      string        `json:"why,omitempty"` // why it is being built, or its last error
	Seq      knowledge.Seq `json:"seq"`
	Lag      float64       `json:"lag_seconds"` // since the mirror was last known to be level
	Errors   int64         `json:"errors"`
	Builds   int64         `json:"builds"`
	Compared Comparison    `json:"compared"`
}

// States of a mirror.
const (
	MirrorNone     = "none"     // it was never complete
	MirrorBuilding = "building" // it is being built or rebuilt
	MirrorFailing  = "failing"  // its last call failed: the file is damaged, or the disk is full
	MirrorReady    = "ready"    // it answers, as of lag_seconds ago
)

// JournalStatus describes the journal and its replay.
type JournalStatus struct {
	Depth    int64   `json:"depth"`
	Bytes    int64   `json:"bytes"`
	Limit    int64   `json:"limit_bytes"`
	Oldest   float64 `json:"oldest_seconds"` // age of the oldest batch that waits
	Queued   int64   `json:"queued"`         // taken since the start
	Replayed int64   `json:"replayed"`       // applied since the start
	Parked   int64   `json:"parked"`         // waiting for a person
	Done     int64   `json:"replay_done"`    // batches replayed so far by the replay under way, of those and depth
	Rate     float64 `json:"replay_rate"`    // batches per second of the replay under way, 0 if there is none
}

// A Comparison is the outcome of comparing the mirror with the primary.
type Comparison struct {
	At        knowledge.Time `json:"at"`
	Seq       knowledge.Seq  `json:"seq"`
	Documents int64          `json:"documents"`
	Equal     bool           `json:"equal"`
}
