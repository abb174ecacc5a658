package api

import "tenet/internal/store"

// An AuditList is a page of the audit, the newest entries first.
type AuditList struct {
	Entries []store.AuditEntry `json:"entries" doc:"The entries, the newest first"`
	Next    int64              `json:"next,omitempty" doc:"Below of the next page; left out on the last one"`
}
