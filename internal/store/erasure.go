package store

import (
	"context"

	"tenet/internal/knowledge"
)

// An ErasureRequest asks an engine to erase a person: to replace the name by a pseudonym wherever a field names people.
type ErasureRequest struct {
	Pseudonym string
	Erasure   knowledge.Erasure // Rows and Root are the engine's
	Batch     knowledge.BatchID // of the change that tells of it
	Actor     string            // who erases
	Dry       bool              // only count; nothing is written
}

// An ErasureResult says what an erasure has done.
type ErasureResult struct {
	// Seq is the change that tells of it; 0 if the person was erased before and nothing was left, or for a dry run.
	Seq knowledge.Seq
	// Rows counts the rows that were rewritten, by table.
	Rows map[string]int64
}

// An Eraser erases people from everything that it keeps. All of it happens in one transaction, or nothing. Erasing the
// same person again, with the same pseudonym, rewrites only what has come in since; so an erasure that was interrupted
// is finished by doing it again.
type Eraser interface {
	Erase(ctx context.Context, r ErasureRequest) (ErasureResult, error)
}
