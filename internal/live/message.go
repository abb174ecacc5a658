package live

import (
	"encoding/json"

	"tenet/internal/knowledge"
)

// The types of messages. Over server-sent events they are the names of the events too.
const (
	typeHello  = "hello"
	typeChange = "change"
	typeMode   = "mode"
	typeParked = "parked"
	typePing   = "ping"
	typeBehind = "behind"
	typeGone   = "gone"
	typeBye    = "bye"
)

// helloMessage opens every stream.
type helloMessage struct {
	Type string         `json:"type" enum:"hello"`
	Mode knowledge.Mode `json:"mode" doc:"How this tenet stands to its primary" enum:"normal,degraded,recovering,cold,diverged" example:"normal"`
	// Breaker is left out where there is none, and while it has not moved.
	Breaker string         `json:"breaker,omitempty" doc:"Where the breaker before the primary stands; left out while it has not moved" enum:"closed,half-open,open" example:"closed"`
	AsOf    knowledge.Time `json:"as_of" doc:"The last time at which the answers were known to be current; null when they never were"`
	After   knowledge.Seq  `json:"after" doc:"Where the stream begins: the first change comes after this one" example:"41"`
	Newest  knowledge.Seq  `json:"newest" doc:"The newest change that this tenet knows of" example:"43"`
	Ping    int            `json:"ping_seconds" doc:"The longest silence before a ping, in seconds" example:"25"`
}

// changeMessage is one change, as the log holds it. It is written here for the description and the tests: what is sent is
// put together by changeEvent from the change's own JSON.
type changeMessage struct {
	Type     string            `json:"type" enum:"change"`
	Seq      knowledge.Seq     `json:"seq" doc:"The change's place in the log: the position to come back with" example:"42"`
	Batch    knowledge.BatchID `json:"batch" doc:"The batch that made it; all zeroes for a change made by hand in the database" format:"uuid"`
	Verb     knowledge.Verb    `json:"verb" doc:"What was done" enum:"put,retire,restore,purge" example:"put"`
	Kind     knowledge.Kind    `json:"kind" doc:"The document's kind" enum:"category,principal,rule,practice,template,violation" example:"rule"`
	ID       string            `json:"id" doc:"The document's id" example:"SEC-001"`
	Version  int64             `json:"version" doc:"The version that the change left behind" example:"3"`
	Actor    string            `json:"actor" doc:"Who did it" example:"ci-payments"`
	At       knowledge.Time    `json:"at" doc:"When it was done"`
	Hash     string            `json:"hash" doc:"SHA-256 of the document as it is stored, in hex" pattern:"^[0-9a-f]{64}$"`
	Chain    string            `json:"chain" doc:"The log's chain value at this change, in hex; see the parameter chain" pattern:"^[0-9a-f]{64}$"`
	More     bool              `json:"more,omitempty" doc:"True when the next change of the log belongs to the same transaction"`
	Document json.RawMessage   `json:"document,omitempty" doc:"The document after the change; null where there is none any more; left out with document=false"`
}

// provisionalMessage is what an op of a batch does that waits in the journal of this tenet.
type provisionalMessage struct {
	Type        string            `json:"type" enum:"change"`
	Provisional bool              `json:"provisional" doc:"Always true: the change has no place in the log yet, and comes again with one once it is applied" enum:"true"`
	Batch       knowledge.BatchID `json:"batch" doc:"The batch; the final change names it too" format:"uuid"`
	Verb        knowledge.Verb    `json:"verb" doc:"What will be done" enum:"put,retire,restore,purge" example:"put"`
	Kind        knowledge.Kind    `json:"kind" doc:"The document's kind" enum:"category,principal,rule,practice,template,violation" example:"rule"`
	ID          string            `json:"id" doc:"The document's id" example:"SEC-001"`
	Version     int64             `json:"version" doc:"The version that it will have unless somebody else comes first" example:"3"`
	Actor       string            `json:"actor" doc:"Who wrote it" example:"ci-payments"`
	At          knowledge.Time    `json:"at" doc:"When the journal took it"`
	Document    json.RawMessage   `json:"document,omitempty" doc:"The document as it would be; left out with document=false"`
}

// parkedMessage takes a provisional change back.
type parkedMessage struct {
	Type  string            `json:"type" enum:"parked"`
	Batch knowledge.BatchID `json:"batch" doc:"The batch whose provisional change it was" format:"uuid"`
	Kind  knowledge.Kind    `json:"kind" doc:"The document's kind" enum:"category,principal,rule,practice,template,violation" example:"rule"`
	ID    string            `json:"id" doc:"The document's id" example:"SEC-001"`
	Why   string            `json:"why" doc:"Why it could not be applied, in words"`
}

// modeMessage tells of a change in how this tenet stands to its primary.
type modeMessage struct {
	Type    string         `json:"type" enum:"mode"`
	Mode    knowledge.Mode `json:"mode" doc:"How it stands now" enum:"normal,degraded,recovering,cold,diverged" example:"degraded"`
	From    knowledge.Mode `json:"from,omitempty" doc:"How it stood before" enum:"normal,degraded,recovering,cold,diverged" example:"normal"`
	Breaker string         `json:"breaker,omitempty" doc:"Where the breaker before the primary stands now" enum:"closed,half-open,open" example:"open"`
	Why     string         `json:"why,omitempty" doc:"Why, in words"`
	At      knowledge.Time `json:"at" doc:"When it changed"`
}

// pingMessage is sent in silence. It carries the position, which changes that are filtered out move too.
type pingMessage struct {
	Type string         `json:"type" enum:"ping"`
	Seq  knowledge.Seq  `json:"seq" doc:"Everything up to this change was sent or filtered out: the position to come back with" example:"57"`
	Mode knowledge.Mode `json:"mode" doc:"How this tenet stands to its primary" enum:"normal,degraded,recovering,cold,diverged" example:"normal"`
	At   knowledge.Time `json:"at" doc:"The time here"`
}

// behindMessage ends the stream of a subscriber that could not keep up.
type behindMessage struct {
	Type   string        `json:"type" enum:"behind"`
	Seq    knowledge.Seq `json:"seq" doc:"The position to come back with" example:"57"`
	Newest knowledge.Seq `json:"newest" doc:"The newest change" example:"90210"`
	Retry  int64         `json:"retry_ms" doc:"After how many milliseconds to come back" example:"1500"`
	Why    string        `json:"why" doc:"Why, in words"`
}

// goneMessage ends the stream of a subscriber whose position the log does not reach any more.
type goneMessage struct {
	Type   string        `json:"type" enum:"gone"`
	Oldest knowledge.Seq `json:"oldest" doc:"The oldest change that is kept; 0 when the log was replaced by another history" example:"1200"`
	Why    string        `json:"why" doc:"Why, in words, and what to do"`
}

// byeMessage ends a stream for a reason that is not the subscriber's.
type byeMessage struct {
	Type  string        `json:"type" enum:"bye"`
	Seq   knowledge.Seq `json:"seq" doc:"The position to come back with" example:"57"`
	Retry int64         `json:"retry_ms" doc:"After how many milliseconds to come back: another number for each subscriber" example:"2750"`
	Why   string        `json:"why" doc:"Why, in words"`
}
