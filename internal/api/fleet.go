package api

import (
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Standing is a repository as it is shown.
type Standing struct {
	Repository string                `json:"repository" doc:"The repository's id" example:"acme.pay"`
	State      store.FleetState      `json:"state" doc:"How it stands; where several hold, the first of these" enum:"silent,edited,missing,behind,exempt,current"`
	Since      knowledge.Time        `json:"since" doc:"Since when it stands so"`
	LastSeen   knowledge.Time        `json:"last_seen,omitzero" doc:"When it last told of itself; left out for never"`
	Via        string                `json:"via" doc:"By which command" example:"sync"`
	By         string                `json:"by" doc:"Who ran it" example:"ci-payments"`
	Branch     string                `json:"branch" doc:"The branch of the work tree" example:"main"`
	Commit     string                `json:"commit" doc:"The commit of the work tree"`
	Program    string                `json:"program" doc:"The version of the command" example:"1.4.0"`
	Seq        knowledge.Seq         `json:"seq" doc:"The change of the log up to which it has what it takes"`
	Files      *store.FleetFiles     `json:"files,omitempty" doc:"Its files that are not as sync would write them; left out where nobody looked"`
	Findings   *int                  `json:"findings,omitempty" doc:"What the last check found; none: left out"`
	Hooks      *store.FleetHookTally `json:"hooks,omitempty" doc:"Edits that its hooks judged; left out where none ran"`
	Exemptions int                   `json:"exemptions" doc:"Exemptions that are in force" minimum:"0"`
	Fault      string                `json:"fault,omitempty" doc:"Why that can't be told, as for a pack that is missing"`
}

// A FleetPage is a page of repositories.
type FleetPage struct {
	Repositories []Standing         `json:"repositories" doc:"The repositories, by their ids"`
	Counts       []store.FleetCount `json:"counts" doc:"How many of all repositories have which state"`
	CountedAt    knowledge.Time     `json:"counted_at,omitzero" doc:"As of when they were counted; left out for never"`
	Next         string             `json:"next,omitempty" doc:"What to ask on with as after; left out on the last page"`
}

// FleetNews is a repository with the changes since it last took its documents.
type FleetNews struct {
	Standing Standing          `json:"standing" doc:"How it stands"`
	Changed  []store.FleetMove `json:"changed" doc:"What has changed of what it takes since then, the newest first"`
	More     bool              `json:"more,omitempty" doc:"There is so much that not everything was looked at"`
}

// An EffectPage is a page of the effects of rules and practices.
type EffectPage struct {
	Documents []store.Effect `json:"documents" doc:"Active rules and practices, by key; none before the first night"`
	Next      string         `json:"next,omitempty" doc:"What to ask on with as after; left out on the last page"`
}
