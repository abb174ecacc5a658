package api

import "tenet/internal/knowledge"

// An ErasureView is the result of an erasure.
type ErasureView struct {
	Pseudonym string           `json:"pseudonym" doc:"What stands in place of the person; of a dry run only an example" example:"erased-5f0c9a1b2d3e4f60"`
	Dry       bool             `json:"dry_run" doc:"Nothing was erased"`
	Again     bool             `json:"again" doc:"The person was erased before; what had come in since was erased too"`
	Seq       knowledge.Seq    `json:"seq" doc:"The change that tells of it; 0 for none" minimum:"0"`
	Rows      map[string]int64 `json:"rows" doc:"How many rows were rewritten, by table"`
	Mentions  []MentionView    `json:"mentions" doc:"Documents whose texts name the person, to rewrite; 500 at most"`
	More      bool             `json:"more_mentions" doc:"There are more than those"`
	Held      []HeldView       `json:"held" doc:"Backups that still hold the name"`
	Note      string           `json:"note" doc:"What else may hold it, and what to do; empty for nothing"`
}

// A MentionView is a document whose text names an erased person.
type MentionView struct {
	Key    string   `json:"key" doc:"The document" example:"rule/SEC-001"`
	Fields []string `json:"fields" doc:"Its fields that name the person"`
}

// A HeldView is a backup that still holds the name of an erased person.
type HeldView struct {
	Name  string         `json:"name" doc:"The backup" example:"20260131T020000.000Z-full"`
	At    knowledge.Time `json:"at" doc:"The moment that it holds"`
	Until knowledge.Time `json:"until" doc:"When it is removed, at the latest"`
}
