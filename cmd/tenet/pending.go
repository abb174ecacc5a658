package main

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
)

// pendingMember is the member of a printed document that names the batch in which it waits for an absent primary. The
// version beside it is only promised: when that batch does not fit, another document may get the number.
const pendingMember = "pending"

// withPending adds the batch to a document.
func withPending(doc json.RawMessage, batch knowledge.BatchID) (json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(doc, &members); err != nil || len(members) == 0 {
		return nil, fmt.Errorf("decode the document: %w", err)
	}
	return fmt.Appendf(doc[:len(doc)-1:len(doc)-1], `,%q:%q}`, pendingMember, batch.String()), nil
}

// takePending takes it out again; the zero id where there is none.
func takePending(raw json.RawMessage) (json.RawMessage, knowledge.BatchID, error) {
	var none knowledge.BatchID
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &members); err != nil || members[pendingMember] == nil {
		return raw, none, nil //nolint:nilerr // whatever it is, who decodes it says what is wrong
	}
	mark := members[pendingMember]
	delete(members, pendingMember)
	raw, err := json.Marshal(members)
	if err != nil {
		return nil, none, fmt.Errorf("encode the document: %w", err)
	}
	var text string
	if err = json.Unmarshal(mark, &text); err == nil {
		var batch knowledge.BatchID
		if batch, err = uuid.Parse(text); err == nil {
			return raw, batch, nil
		}
	}
	return raw, none, knowledge.Invalid("/"+pendingMember, "want the id of a batch, as `tenet get` prints it")
}
