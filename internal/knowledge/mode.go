package knowledge

// A Mode is the state of an instance towards its primary.
type Mode string

// Modes. An embedded instance is always normal.
const (
	ModeNormal     Mode = "normal"     // the primary answers
	ModeDegraded   Mode = "degraded"   // the mirror answers, writes wait in the journal
	ModeRecovering Mode = "recovering" // the primary is back, the journal is being replayed
	ModeCold       Mode = "cold"       // neither primary nor mirror: the seed data answers what it can
	ModeDiverged   Mode = "diverged"   // the primary has another history than the mirror: a person must decide
)

// A Level says as of when the answers are current.
type Level struct {
	Mode Mode
	AsOf Time // the last time at which the answers of this mode were known to be current
	// Local is the same for the copies on this machine, mirror and memory, while the primary answers too. The zero
	// time stands for AsOf.
	Local Time
	// Lacking is the number of writes that wait here and that lists and searches lack, since the mirror's disk has no
	// room for them.
	Lacking int
}

// States of a batch.
const (
	BatchApplied  = "applied"  // done at the primary
	BatchQueued   = "queued"   // durable in the journal, waiting for the primary
	BatchParked   = "parked"   // did not fit when it was replayed: waiting for a person
	BatchResolved = "resolved" // was parked, and a person has decided about it
)

// A BatchStatus is the state of a batch.
type BatchStatus struct {
	ID     BatchID `json:"id" doc:"The batch's id"`
	State  string  `json:"state" doc:"Where the batch stands" enum:"applied,queued,parked,resolved"`
	Seq    Seq     `json:"seq,omitempty" doc:"The seq of its last change, once applied"`
	Detail string  `json:"detail,omitempty" doc:"Why it was parked, or how it was resolved"`
}
