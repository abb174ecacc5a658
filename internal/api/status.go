package api

import "tenet/internal/knowledge"

// A StatusAnswer is the status of a server.
type StatusAnswer struct {
	Version string         `json:"version" doc:"The version of the program" example:"1.4.0"`
	Mode    knowledge.Mode `json:"mode" doc:"The instance's mode" enum:"normal,degraded,recovering,cold,diverged"`
	AsOf    knowledge.Time `json:"as_of" doc:"When the answers were last known to be current; null if never"`
	Ready   bool           `json:"ready" doc:"Whether tenet can answer"`
	Reasons []string       `json:"reasons" doc:"Why it can't"`
	Details any            `json:"details,omitempty" doc:"What else the parts of tenet tell about themselves"`
}

// A CallerAnswer describes the caller.
type CallerAnswer struct {
	ID     string         `json:"id" doc:"The principal's id" example:"ci-payments"`
	Name   string         `json:"name" doc:"The name to show"`
	Role   string         `json:"role" doc:"What the caller may do" enum:"viewer,contributor,maintainer,admin"`
	Expiry knowledge.Time `json:"expiry" doc:"When the token expires; null for never"`
	Local  bool           `json:"local" doc:"True for a caller on the machine itself, without a token"`
}
