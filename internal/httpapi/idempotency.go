package httpapi

import (
	"github.com/google/uuid"

	"tenet/internal/knowledge"
)

// newBatch returns a batch without ops: its id from the caller's key, or new; its actor the caller. A dry one is only
// tried.
func newBatch(c *call, said saidParams) (knowledge.Batch, error) {
	b := knowledge.Batch{Actor: c.actor(), Dry: said.DryRun, Message: said.Message}
	keys := c.r.Header["Idempotency-Key"]
	if len(keys) == 0 {
		b.ID = knowledge.NewBatchID()
		return b, nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxIdempotencyKey || knowledge.TextFault(keys[0]) != "" {
		return b, knowledge.BadQuery("Idempotency-Key", "want one UUID, or one text of 1 to %d bytes",
			maxIdempotencyKey)
	}
	if id, err := uuid.Parse(keys[0]); err == nil && len(keys[0]) == 36 && id != uuid.Nil {
		b.ID = id
		return b, nil
	}
	b.ID = uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:tenet:caller:"+b.Actor)), []byte(keys[0]))
	return b, nil
}

// maxIdempotencyKey bounds a key that is no UUID.
const maxIdempotencyKey = 255
