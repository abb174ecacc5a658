package api

import (
	"github.com/google/uuid"

	"tenet/internal/knowledge"
)

// maxKey bounds an idempotency key that is no UUID, in bytes.
const maxKey = 255

// BatchID returns the id of a caller's write: the one that its Idempotency-Key names, so that the same write sent again
// has the same id, or a new one. A key that is no UUID is the caller's own: another caller's same text is another id.
// More than one key, an empty one and one of over 255 bytes are refused.
func BatchID(actor string, keys []string) (knowledge.BatchID, error) {
	if len(keys) == 0 {
		return knowledge.NewBatchID(), nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey || knowledge.TextFault(keys[0]) != "" {
		return knowledge.BatchID{}, knowledge.BadQuery("Idempotency-Key",
			"want one UUID, or one text of 1 to %d bytes", maxKey)
	}
	if id, err := uuid.Parse(keys[0]); err == nil && len(keys[0]) == 36 && id != uuid.Nil {
		return id, nil
	}
	return uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:tenet:caller:"+actor)), []byte(keys[0])), nil
}
