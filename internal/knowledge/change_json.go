package knowledge

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// jsonChange is the JSON form of a change: in the REST API, in exports, in live events.
type jsonChange struct {
	Seq      Seq             `json:"seq"`
	Batch    BatchID         `json:"batch"`
	Verb     Verb            `json:"verb"`
	Kind     Kind            `json:"kind"`
	ID       string          `json:"id"`
	Version  int64           `json:"version"`
	Actor    string          `json:"actor"`
	At       Time            `json:"at"`
	By       string          `json:"entered_by,omitempty"`
	Entered  *Time           `json:"entered_at,omitempty"`
	Message  string          `json:"message,omitempty"`
	Hash     string          `json:"hash"`
	Chain    string          `json:"chain"`
	Erased   string          `json:"erased,omitempty"`
	More     bool            `json:"more,omitempty"`
	Document json.RawMessage `json:"document"`
}

// MarshalJSON writes the change, its document in canonical form or null.
func (c Change) MarshalJSON() ([]byte, error) {
	j := jsonChange{
		Seq: c.Seq, Batch: c.Batch, Verb: c.Verb, Kind: c.Key.Kind, ID: c.Key.ID, Version: c.Version, Actor: c.Actor,
		At: c.At, Message: c.Message,
		Hash: hex.EncodeToString(c.Hash[:]), Chain: hex.EncodeToString(c.Chain[:]), Erased: c.Erased, More: c.More,
		Document: json.RawMessage("null"),
	}
	if c.Entered() {
		j.By, j.Entered = c.EnteredBy, &c.EnteredAt
	}
	if c.Record != nil {
		j.Document = c.Record.JSON
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the hash may cover these bytes
	if err := enc.Encode(j); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Change) UnmarshalJSON(b []byte) error {
	var j jsonChange
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("decode change: %w", err)
	}
	*c = Change{
		Seq: j.Seq, Batch: j.Batch, Verb: j.Verb, Key: Key{j.Kind, j.ID}, Version: j.Version, Actor: j.Actor, At: j.At,
		More: j.More, EnteredBy: j.By, Message: j.Message, Erased: j.Erased,
	}
	if (j.By == "") != (j.Entered == nil) {
		return fmt.Errorf("decode change %d: entered_by and entered_at stand together", j.Seq)
	}
	if j.Entered != nil {
		c.EnteredAt = *j.Entered
	}
	for _, h := range []struct {
		into *[32]byte
		text string
	}{{&c.Hash, j.Hash}, {&c.Chain, j.Chain}} {
		n, err := hex.Decode(h.into[:], []byte(h.text[:min(len(h.text), 64)]))
		if err != nil || n != 32 || len(h.text) != 64 {
			return fmt.Errorf("decode change %d: hash and chain want 64 hex digits", j.Seq)
		}
	}
	if len(j.Document) > 0 && string(j.Document) != "null" {
		var err error
		if c.Record, err = RecordOf(j.Kind, j.Document); err != nil {
			return fmt.Errorf("decode change %d: %w", j.Seq, err)
		}
		var text bytes.Buffer // as sent: the hash may cover these bytes
		if err := json.Compact(&text, j.Document); err != nil {
			return fmt.Errorf("decode change %d: %w", j.Seq, err)
		}
		c.Record.JSON = text.Bytes()
	}
	return nil
}
