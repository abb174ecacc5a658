package client

import (
	"encoding/json"
	"fmt"
	"time"

	"tenet/internal/knowledge"
)

// Types of a [LiveMessage].
const (
	LiveHello  = "hello"  // a stream begins: Seq is where, Newest the end of the log, Mode how the tenet stands
	LiveChange = "change" // a change, or with Provisional what a batch will do that waits in the tenet's journal
	LiveMode   = "mode"   // the tenet stands otherwise to its primary
	LiveParked = "parked" // a provisional change could not be applied, and waits for a person
	LivePing   = "ping"   // nothing new; Seq is the position
	LiveLost   = "lost"   // the client's own: a stream ended, and the next is opened after Retry

	// A tenet ends a stream with one of these; [Store.Watch] turns them into LiveLost or an error.
	LiveBehind = "behind" // it could not keep up
	LiveBye    = "bye"    // for another reason
	LiveGone   = "gone"   // the log no longer reaches back that far
)

// A LiveMessage is one thing that a stream tells. Fields that its type does not have are zero.
type LiveMessage struct {
	Type        string
	Seq         knowledge.Seq     // the change's, or the position of the stream
	Change      *knowledge.Change // of a change; one that is provisional has neither seq nor hash nor chain
	Provisional bool
	Mode        knowledge.Mode
	From        knowledge.Mode // the mode before
	Breaker     string
	Why         string
	At          knowledge.Time
	AsOf        knowledge.Time
	Newest      knowledge.Seq
	Oldest      knowledge.Seq
	Key         knowledge.Key     // of a change, and of what was parked
	Batch       knowledge.BatchID // of a change, and of what was parked
	Ping        time.Duration     // the longest silence before a ping
	Retry       time.Duration
	Err         error           // why a stream was lost
	Raw         json.RawMessage // the message as it came; nil for what the client says itself
}

// jsonLive is every field that a message may have.
type jsonLive struct {
	Type        string            `json:"type"`
	Seq         knowledge.Seq     `json:"seq"`
	After       knowledge.Seq     `json:"after"`
	Newest      knowledge.Seq     `json:"newest"`
	Oldest      knowledge.Seq     `json:"oldest"`
	Ping        int               `json:"ping_seconds"`
	Retry       int64             `json:"retry_ms"`
	Provisional bool              `json:"provisional"`
	Mode        knowledge.Mode    `json:"mode"`
	From        knowledge.Mode    `json:"from"`
	Breaker     string            `json:"breaker"`
	Why         string            `json:"why"`
	At          knowledge.Time    `json:"at"`
	AsOf        knowledge.Time    `json:"as_of"`
	Batch       knowledge.BatchID `json:"batch"`
	Verb        knowledge.Verb    `json:"verb"`
	Kind        knowledge.Kind    `json:"kind"`
	ID          string            `json:"id"`
	Version     int64             `json:"version"`
	Actor       string            `json:"actor"`
	Document    json.RawMessage   `json:"document"`
}

// Bounds of the times that a tenet may name.
const (
	maxPing  = time.Hour
	maxRetry = time.Hour
)

// decodeLive reads a message of a stream. One of a type that is not known has its type and nothing else to rely on.
func decodeLive(text []byte) (LiveMessage, error) {
	var j jsonLive
	if err := json.Unmarshal(text, &j); err != nil {
		return LiveMessage{}, fmt.Errorf("decode a live message: %w", err)
	}
	m := LiveMessage{
		Type: j.Type, Seq: j.Seq, Provisional: j.Provisional, Mode: j.Mode, From: j.From, Breaker: j.Breaker, Why: j.Why, At: j.At,
		AsOf: j.AsOf, Newest: j.Newest, Oldest: j.Oldest, Key: knowledge.Key{Kind: j.Kind, ID: j.ID}, Batch: j.Batch,
		Ping: bounded(int64(j.Ping), time.Second, maxPing), Retry: bounded(j.Retry, time.Millisecond, maxRetry), Raw: text,
	}
	switch {
	case j.Type == "":
		return LiveMessage{}, fmt.Errorf("decode a live message: it has no type")
	case j.Type == LiveHello:
		m.Seq = j.After
	case j.Type == LiveChange && j.Provisional:
		return m, m.provisional(&j)
	case j.Type == LiveChange:
		m.Change = &knowledge.Change{}
		if err := json.Unmarshal(text, m.Change); err != nil {
			return LiveMessage{}, err
		}
	}
	if m.Seq < 0 || j.Type == LiveChange && m.Seq == 0 {
		return LiveMessage{}, fmt.Errorf("decode a live message: %d is no place in a log", m.Seq)
	}
	return m, nil
}

// bounded returns n units, between nothing and most.
func bounded(n int64, unit, most time.Duration) time.Duration {
	return unit * time.Duration(min(max(n, 0), int64(most/unit)))
}

func (m *LiveMessage) provisional(j *jsonLive) error {
	m.Seq = 0
	m.Change = &knowledge.Change{Batch: j.Batch, Verb: j.Verb, Key: m.Key, Version: j.Version, Actor: j.Actor, At: j.At}
	if len(j.Document) == 0 || string(j.Document) == "null" {
		return nil
	}
	r, err := knowledge.RecordOf(j.Kind, j.Document)
	if err != nil {
		return fmt.Errorf("decode a provisional change of %s: %w", m.Key, err)
	}
	r.Pending = j.Batch
	m.Change.Record = r
	return nil
}
