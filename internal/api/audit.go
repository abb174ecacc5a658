package api

import "tenet/internal/store"

// An AuditList is a page of the audit, the newest entries first.
type AuditList struct {
	Entries []store.AuditEntry `json:"entries" doc:"The entries, the newest first"`
	Next    int64              `json:"next,omitempty" doc:"What below leads to the next page with; left out on the last one"`
}
