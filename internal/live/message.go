package live

import (
	"encoding/json"

	"tenet/internal/knowledge"
)

// The types of messages, which are also the event names of server-sent events.
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
	Mode knowledge.Mode `json:"mode" doc:"The instance's mode" enum:"normal,degraded,recovering,cold,diverged" example:"normal"`
	// Breaker is left out if there is no breaker, and until it has changed.
	Breaker string         `json:"breaker,omitempty" doc:"State of the breaker before the primary; left out until it has changed" enum:"closed,half-open,open" example:"closed"`
	AsOf    knowledge.Time `json:"as_of" doc:"When the answers were last known to be current; null if never"`
	After   knowledge.Seq  `json:"after" doc:"The stream begins with the change after this one" example:"41"`
	// Position has no chain if that is not known here.
	Position string        `json:"position" doc:"The same as a position" example:"41-9f86d081884c7d65"`
	Newest   knowledge.Seq `json:"newest" doc:"The newest change that this instance knows" example:"43"`
	Ping     int           `json:"ping_seconds" doc:"The longest silence before a ping, in seconds" example:"25"`
}

// changeMessage is one change of the log. It serves the description and the tests: changeEvent builds the real message
// from the change's own JSON.
type changeMessage struct {
	Type     string            `json:"type" enum:"change"`
	Position string            `json:"position" doc:"The position to reconnect with: the change's seq and the first digits of its chain" example:"42-60303ae22b998861"`
	Seq      knowledge.Seq     `json:"seq" doc:"The change's place in the log" example:"42"`
	Batch    knowledge.BatchID `json:"batch" doc:"Its batch; zeros for a change by hand in the database" format:"uuid"`
	Verb     knowledge.Verb    `json:"verb" doc:"What was done" enum:"put,retire,restore,purge" example:"put"`
	Kind     knowledge.Kind    `json:"kind" doc:"The document's kind" kinds:"all" example:"rule"`
	ID       string            `json:"id" doc:"The document's id" example:"SEC-001"`
	Version  int64             `json:"version" doc:"The version that the change left behind" example:"3"`
	Actor    string            `json:"actor" doc:"Who did it" example:"ci-payments"`
	At       knowledge.Time    `json:"at" doc:"When it was done"`
	By       string            `json:"entered_by,omitempty" doc:"Who entered it for another, or for another time"`
	Entered  knowledge.Time    `json:"entered_at,omitzero" doc:"When it was entered; beside entered_by"`
	Message  string            `json:"message,omitempty" doc:"The message of its writer: why"`
	Hash     string            `json:"hash" doc:"SHA-256 of the document as it is stored, in hex" pattern:"^[0-9a-f]{64}$"`
	Chain    string            `json:"chain" doc:"The log's chain value at this change, in hex; see the parameter chain" pattern:"^[0-9a-f]{64}$"`
	Erased   string            `json:"erased,omitempty" doc:"The pseudonym of the person who was erased from the change last; hash and chain are those of before"`
	More     bool              `json:"more,omitempty" doc:"True if the next change belongs to the same transaction"`
	Document json.RawMessage   `json:"document,omitempty" doc:"The document after the change; null if there is none any more; left out with document=false"`
}

// provisionalMessage is an op of a batch in this instance's journal.
type provisionalMessage struct {
	Type        string            `json:"type" enum:"change"`
	Provisional bool              `json:"provisional" doc:"Always true: the change has no place in the log yet, and comes again with one once it is applied" enum:"true"`
	Batch       knowledge.BatchID `json:"batch" doc:"The batch; the final change names it too" format:"uuid"`
	Verb        knowledge.Verb    `json:"verb" doc:"What will be done" enum:"put,retire,restore,purge" example:"put"`
	Kind        knowledge.Kind    `json:"kind" doc:"The document's kind" kinds:"all" example:"rule"`
	ID          string            `json:"id" doc:"The document's id" example:"SEC-001"`
	Version     int64             `json:"version" doc:"The version it will have, unless another comes first" example:"3"`
	Actor       string            `json:"actor" doc:"Who wrote it" example:"ci-payments"`
	At          knowledge.Time    `json:"at" doc:"When it was journalled"`
	Document    json.RawMessage   `json:"document,omitempty" doc:"The document; left out with document=false"`
}

// parkedMessage takes a provisional change back.
type parkedMessage struct {
	Type  string            `json:"type" enum:"parked"`
	Batch knowledge.BatchID `json:"batch" doc:"The batch whose provisional change it was" format:"uuid"`
	Kind  knowledge.Kind    `json:"kind" doc:"The document's kind" kinds:"all" example:"rule"`
	ID    string            `json:"id" doc:"The document's id" example:"SEC-001"`
	Why   string            `json:"why" doc:"Why it could not be applied, in words"`
}

// modeMessage announces a change of mode or breaker.
type modeMessage struct {
	Type    string         `json:"type" enum:"mode"`
	Mode    knowledge.Mode `json:"mode" doc:"The new mode" enum:"normal,degraded,recovering,cold,diverged" example:"degraded"`
	From    knowledge.Mode `json:"from,omitempty" doc:"The mode before" enum:"normal,degraded,recovering,cold,diverged" example:"normal"`
	Breaker string         `json:"breaker,omitempty" doc:"The new state of the breaker before the primary" enum:"closed,half-open,open" example:"open"`
	Why     string         `json:"why,omitempty" doc:"Why, in words"`
	At      knowledge.Time `json:"at" doc:"When it changed"`
}

// pingMessage is sent after a silence. It carries the position, which filtered changes move too.
type pingMessage struct {
	Type     string         `json:"type" enum:"ping"`
	Seq      knowledge.Seq  `json:"seq" doc:"Everything up to this change was sent or filtered out" example:"57"`
	Position string         `json:"position" doc:"The position to reconnect with" example:"57-fd61a03af4f77d87"`
	Mode     knowledge.Mode `json:"mode" doc:"The instance's mode" enum:"normal,degraded,recovering,cold,diverged" example:"normal"`
	At       knowledge.Time `json:"at" doc:"The instance's time"`
}

// behindMessage ends the stream of a subscriber that could not keep up.
type behindMessage struct {
	Type     string        `json:"type" enum:"behind"`
	Seq      knowledge.Seq `json:"seq" doc:"Everything up to this change was sent or filtered out" example:"57"`
	Position string        `json:"position" doc:"The position to reconnect with" example:"57-fd61a03af4f77d87"`
	Newest   knowledge.Seq `json:"newest" doc:"The newest change" example:"90210"`
	Retry    int64         `json:"retry_ms" doc:"Delay before reconnecting, in milliseconds" example:"1500"`
	Why      string        `json:"why" doc:"Why, in words"`
}

// goneMessage ends the stream of a subscriber whose position is no longer in the log.
type goneMessage struct {
	Type   string        `json:"type" enum:"gone"`
	Oldest knowledge.Seq `json:"oldest" doc:"The oldest change kept; 0 if it is another log" example:"1200"`
	Why    string        `json:"why" doc:"Why, in words, and what to do"`
}

// byeMessage ends a stream for a reason outside the subscriber.
type byeMessage struct {
	Type     string        `json:"type" enum:"bye"`
	Seq      knowledge.Seq `json:"seq" doc:"Everything up to this change was sent or filtered out" example:"57"`
	Position string        `json:"position" doc:"The position to reconnect with" example:"57-fd61a03af4f77d87"`
	Retry    int64         `json:"retry_ms" doc:"Delay before reconnecting, in milliseconds; different for each subscriber" example:"2750"`
	Why      string        `json:"why" doc:"Why, in words"`
}
