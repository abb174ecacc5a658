package api

import (
	"encoding/json"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
)

// A BatchResult is the result of one op.
type BatchResult struct {
	Kind     knowledge.Kind  `json:"kind" doc:"The document's kind"`
	ID       string          `json:"id" doc:"The document's id"`
	Verb     knowledge.Verb  `json:"verb" doc:"What was asked for"`
	Version  int64           `json:"version,omitempty" doc:"The version it left behind; left out after a purge"`
	ETag     string          `json:"etag,omitempty" doc:"The ETag of that document, for if_match and If-Match"`
	Document json.RawMessage `json:"document,omitempty" doc:"The document it left behind; left out after a purge"`
	Batch    *uuid.UUID      `json:"batch,omitempty" doc:"With best_effort: the id of the op's own batch" format:"uuid"`
	State    string          `json:"state,omitempty" doc:"With best_effort: its outcome" enum:"applied,queued"`
	// Unchanged is left out where something was written.
	Unchanged bool     `json:"unchanged,omitempty" doc:"True where the document is as the op would leave it: no version was made of it"`
	Error     *Problem `json:"error,omitempty" doc:"With best_effort: why it was refused"`
}

// A RenderAnswer is a rendered template.
type RenderAnswer struct {
	Text    string `json:"text" doc:"The text with the values in place"`
	Version int64  `json:"version" doc:"The version of the template that was rendered"`
	// Notes are left out where there are none.
	Notes []string `json:"notes,omitempty" doc:"Placeholders of the template that no variable declares, as after a slip of the pen: they are still in the text"`
}
