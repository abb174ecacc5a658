package store

import "tenet/internal/knowledge"

// A Refusal is a refused call, as an engine stores it. Successful writes are in the log of changes; a write entered
// under another's name or with another time is also kept here.
type Refusal struct {
	At        knowledge.Time `json:"at" doc:"When"`
	Actor     string         `json:"actor" doc:"The caller's id; empty if unknown" example:"ada"`
	Action    string         `json:"action" doc:"The refused action: the verb of a write, a method of the store, authenticate, request for a call that the HTTP API refused by itself; entered for an allowed write under another's name or time, counted for refusals that were only counted" example:"put"`
	Key       string         `json:"key" doc:"Its document; empty if there is none" example:"rule/SEC-001"`
	Reason    string         `json:"reason" doc:"Why it was refused"`
	RequestID string         `json:"request_id" doc:"The request's id, to find it in the log"`
	Peer      string         `json:"peer" doc:"The remote address; empty if unknown" example:"192.0.2.7"`
}
