package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// pendingMember is the member of a printed document that names the batch in which it waits for an absent primary. The version beside
// it is only promised: when that batch does not fit, another document may get the number.
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

// pendingVersion returns the version on which an op is made that was made of what a batch had left. A batch that did not fit left
// nothing, and what is there instead was not seen by who wrote the file.
func (d *door) pendingVersion(ctx context.Context, op *knowledge.Op, batch knowledge.BatchID) (int64, error) {
	changes, err := d.Changes(ctx, knowledge.ChangeQuery{Key: op.Key, Batch: batch, Limit: 1})
	if err != nil {
		return 0, err
	}
	if len(changes) > 0 {
		return changes[0].Version, nil
	}
	if d.remote == nil {
		return 0, &pendingError{op.Key, "is not known here"}
	}
	st, err := d.remote.Batch(ctx, batch)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, &pendingError{op.Key, "is not known here"}
	case err != nil:
		return 0, err
	case st.State == knowledge.BatchQueued:
		return op.IfVersion, nil
	case st.State == knowledge.BatchApplied:
		return 0, &pendingError{op.Key, "was applied just now"}
	}
	return 0, &pendingError{op.Key, "did not fit, see `tenet conflicts show " + batch.String() + "`"}
}

// A pendingError says that a document was made of what a batch had left that came to nothing. It is [store.ErrConflict].
type pendingError struct {
	key knowledge.Key
	why string
}

func (e *pendingError) Error() string {
	return "nothing was written: " + e.key.String() + " was edited as a batch had left it that " + e.why + "; get it again and edit that"
}

func (e *pendingError) Is(target error) bool { return target == store.ErrConflict }
