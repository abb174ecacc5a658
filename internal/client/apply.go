package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"tenet/internal/knowledge"
)

// Apply implements [store.Writer]. A batch without an answer is sent again, which its id makes harmless.
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	r, _, err := ApplyNoted(ctx, s, b)
	return r, err
}

// ApplyNoted is [Store.Apply] with the server's notes on what was written.
func ApplyNoted(ctx context.Context, s *Store, b knowledge.Batch) (knowledge.Receipt, []knowledge.Note, error) {
	none := knowledge.Receipt{}
	if err := s.checked(b.Validate); err != nil {
		return none, nil, err
	}
	body, err := json.Marshal(struct {
		ID      knowledge.BatchID `json:"id"`
		Mode    string            `json:"mode"`
		Actor   string            `json:"actor"`
		At      knowledge.Time    `json:"at,omitzero"`
		Message string            `json:"message,omitempty"` // an older server refuses the field
		Ops     []knowledge.Op    `json:"ops"`
	}{b.ID, "atomic", b.Actor, b.At, b.Message, b.Ops})
	if err != nil {
		return none, nil, knowledge.Invalid("/ops", "can't be encoded: %s", err)
	}
	r := request{method: http.MethodPost, path: "/api/v1/batches", body: body}
	if b.Dry {
		r.query = url.Values{"dry_run": {"true"}}
	}
	a, err := s.do(ctx, r)
	if err != nil {
		return none, nil, err
	}
	return receipt(s, a)
}

func receipt(s *Store, a *answer) (knowledge.Receipt, []knowledge.Note, error) {
	var got struct {
		ID        knowledge.BatchID `json:"id"`
		State     string            `json:"state"`
		Seq       knowledge.Seq     `json:"seq"`
		DryRun    bool              `json:"dry_run"`
		Unchanged bool              `json:"unchanged"`
		Notes     []knowledge.Note  `json:"notes"`
		Results   []struct {
			Kind     knowledge.Kind  `json:"kind"`
			Document json.RawMessage `json:"document"`
			// Unchanged is false for all in the answer of an older server.
			Unchanged bool `json:"unchanged"`
		} `json:"results"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return knowledge.Receipt{}, nil, garbled(s, err)
	}
	receipt := knowledge.Receipt{
		Batch: got.ID, Seq: got.Seq, Queued: got.State == knowledge.BatchQueued, Dry: got.DryRun,
		Unchanged: got.Unchanged,
		Records:   make([]*knowledge.Record, len(got.Results)),
	}
	for i, r := range got.Results {
		if len(r.Document) == 0 || string(r.Document) == "null" {
			continue
		}
		rec, err := record(r.Kind, r.Document, a.source())
		if err != nil {
			return knowledge.Receipt{}, nil, garbled(s, err)
		}
		if receipt.Queued {
			rec.Pending = got.ID
		}
		receipt.Records[i] = rec
		if r.Unchanged && !receipt.Unchanged {
			receipt.Keep(i, nil)
		}
	}
	return receipt, got.Notes, nil
}
