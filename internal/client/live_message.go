package client

import (
	"encoding/json"
	"fmt"
	"time"

	"tenet/internal/knowledge"
)

// Types of a [LiveMessage].
const (
	LiveHello  = "hello"  // a stream begins: Seq is its start, Newest the end of the log, Mode the instance's mode
	LiveChange = "change" // a change; with Provisional, a change of a batch in the instance's journal
	LiveMode   = "mode"   // the instance's mode has changed
	LiveParked = "parked" // a provisional change could not be applied, and waits for a person
	LivePing   = "ping"   // nothing new; Seq is the position
	LiveLost   = "lost"   // made by the client: a stream ended, and the next is opened after Retry

	// A server ends a stream with one of these; [Store.Watch] turns them into LiveLost or an error.
	LiveBehind = "behind" // the subscriber could not keep up
	LiveBye    = "bye"    // for another reason
	LiveGone   = "gone"   // the log is trimmed beyond the position
)

// A LiveMessage is a message of a stream. Fields that its type does not have are zero.
type LiveMessage struct {
	Type        string
	Seq         knowledge.Seq     // of the change, or the stream's position
	Position    knowledge.Mark    // the position to reconnect with; zero if the message has none
	Change      *knowledge.Change // a provisional one has no seq, hash or chain
	Provisional bool
	Mode        knowledge.Mode
	From        knowledge.Mode // the mode before
	Breaker     string
	Why         string
	At          knowledge.Time
	AsOf        knowledge.Time
	Newest      knowledge.Seq
	Oldest      knowledge.Seq
	Key         knowledge.Key     // of a change or a parked batch
	Batch       knowledge.BatchID // of a change or a parked batch
	Ping        time.Duration     // the longest silence before a ping
	Retry       time.Duration
	Err         error           // why a stream was lost
	Raw         json.RawMessage // the message as received; nil for LiveLost
}

// jsonLive has every field that a message may have.
type jsonLive struct {
	Type        string            `json:"type"`
	Seq         knowledge.Seq     `json:"seq"`
	Position    string            `json:"position"`
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

// Limits of durations in messages.
const (
	maxPing  = time.Hour
	maxRetry = time.Hour
)

// decodeLive decodes a message of a stream. Of an unknown type only Type is certain.
func decodeLive(text []byte) (LiveMessage, error) {
	var j jsonLive
	if err := json.Unmarshal(text, &j); err != nil {
		return LiveMessage{}, fmt.Errorf("decode a live message: %w", err)
	}
	m := LiveMessage{
		Type: j.Type, Seq: j.Seq, Provisional: j.Provisional, Mode: j.Mode, From: j.From, Breaker: j.Breaker,
		Why: j.Why, At: j.At,
		AsOf: j.AsOf, Newest: j.Newest, Oldest: j.Oldest, Key: knowledge.Key{Kind: j.Kind, ID: j.ID}, Batch: j.Batch,
		Ping: bounded(int64(j.Ping), time.Second, maxPing), Retry: bounded(j.Retry, time.Millisecond, maxRetry),
		Raw: text,
	}
	if j.Type == LiveHello {
		m.Seq = j.After
	}
	m.Position.Seq = m.Seq
	if j.Position != "" {
		var err error
		if m.Position, err = knowledge.ParseMark(j.Position); err != nil {
			return LiveMessage{}, fmt.Errorf("decode a live message: %w", err)
		}
	}
	switch {
	case j.Type == "":
		return LiveMessage{}, fmt.Errorf("decode a live message: it has no type")
	case j.Type == LiveChange && j.Provisional:
		return m, m.provisional(&j)
	case j.Type == LiveChange:
		m.Change = &knowledge.Change{}
		if err := json.Unmarshal(text, m.Change); err != nil {
			return LiveMessage{}, err
		}
	}
	if m.Seq < 0 || j.Type == LiveChange && m.Seq == 0 {
		return LiveMessage{}, fmt.Errorf("decode a live message: %d is not a position in a log", m.Seq)
	}
	return m, nil
}

// bounded returns n units, between 0 and most.
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
