package api

import (
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A JobView is a job as it is shown.
type JobView struct {
	Name     string          `json:"name" doc:"The job's name" example:"backup.full"`
	Doc      string          `json:"doc" doc:"What it does"`
	Schedule string          `json:"schedule" doc:"When it is due, as five fields of cron in UTC; empty when only a person runs it" example:"0 2 * * *"`
	Heavy    bool            `json:"heavy" doc:"It waits for the maintenance window"`
	Local    bool            `json:"local" doc:"It is done on each machine; others by one instance for all"`
	PausedBy string          `json:"paused_by,omitempty" doc:"Who has paused it; left out when nobody has"`
	NextAt   *knowledge.Time `json:"next_at,omitempty" doc:"When it runs next; left out while paused or unscheduled"`
	Last     *RunView        `json:"last,omitempty" doc:"Its newest run; left out when there was none"`
}

// A RunView is a run as it is shown.
type RunView struct {
	Job      string          `json:"job" doc:"The job's name" example:"backup.full"`
	DueAt    knowledge.Time  `json:"due_at" doc:"When it was due"`
	State    store.RunState  `json:"state" doc:"Its state; lost: its process ended first" enum:"running,done,failed,lost"`
	Instance string          `json:"instance" doc:"Which instance runs it: host and process" example:"db1/4711"`
	By       string          `json:"by,omitempty" doc:"Who asked for it; left out for the schedule"`
	Attempt  int             `json:"attempt" doc:"Above 1 after an attempt was lost" minimum:"1"`
	Started  knowledge.Time  `json:"started_at" doc:"When it began"`
	EndedAt  *knowledge.Time `json:"ended_at,omitempty" doc:"When it ended; left out while it runs"`
	Took     float64         `json:"took_seconds" doc:"How long it took, or has taken so far"`
	Done     int64           `json:"done" doc:"How much of total is done"`
	Total    int64           `json:"total" doc:"How much there is to do; 0 when that can't be told"`
	Changed  string          `json:"changed" doc:"What it changed, in words"`
	Error    string          `json:"error,omitempty" doc:"Why it failed"`
}

// A JobList is the jobs of a server.
type JobList struct {
	Jobs []JobView `json:"jobs" doc:"The jobs"`
}

// A RunList is a page of the runs of a job.
type RunList struct {
	Runs []RunView       `json:"runs" doc:"Runs of the job, the newest first"`
	Next *knowledge.Time `json:"next,omitempty" doc:"What before leads to the next page with; left out on the last one"`
}
