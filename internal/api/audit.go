package api

import "tenet/internal/store"

// An AuditList is a list of refused calls.
type AuditList struct {
	Refusals []store.Refusal `json:"refusals" doc:"The calls that were refused, the newest first"`
	Next     string          `json:"next,omitempty" doc:"Where the next page begins, to be given as before; left out on the last one"`
}
