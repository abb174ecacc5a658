package store

import (
	"context"
	"time"

	"tenet/internal/knowledge"
)

// RunState is the state of a run.
type RunState string

// The states of a run.
const (
	RunRunning RunState = "running"
	RunDone    RunState = "done"
	RunFailed  RunState = "failed"
	RunLost    RunState = "lost" // its process ended before it did
)

// A Run is one run of a job. Job and Due identify it: only the instance that claims them first runs it.
type Run struct {
	Job      string         `json:"job"`
	Due      knowledge.Time `json:"due"`      // computed from the schedule, never from the claiming instance's clock
	Instance string         `json:"instance"` // the claiming instance: host and process
	By       string         `json:"by"`       // the person who asked for it; "" for the schedule
	State    RunState       `json:"state"`
	Attempt  int            `json:"attempt"` // from 1; one more each time that a run was lost
	Started  knowledge.Time `json:"started_at"`
	Beat     knowledge.Time `json:"beat_at"` // its last sign of life
	Ended    knowledge.Time `json:"ended_at"`
	Done     int64          `json:"done"`    // of Total, as far as the job counts
	Total    int64          `json:"total"`   // 0 if the job can't tell
	Changed  string         `json:"changed"` // what it changed, in words
	Error    string         `json:"error"`   // why it failed, "" if it did not
}

// Took returns how long the run took, up to its last sign of life if it has not ended.
func (r *Run) Took() time.Duration {
	end := r.Ended
	if end.IsZero() {
		end = r.Beat
	}
	return max(0, end.Sub(r.Started.Time))
}

// A RunQuery asks for runs of a job.
type RunQuery struct {
	Job    string
	Before knowledge.Time // only runs that were due before it; zero for the newest
	Limit  int
}

// A RunBook keeps the runs of jobs. Its claims are the only agreement between instances: there is no leader.
type RunBook interface {
	// ClaimRun writes a run that nobody has claimed, or takes over one without a sign of life since a time; false if
	// another instance has it. A run that is taken over counts one more attempt.
	ClaimRun(ctx context.Context, r Run, aliveSince knowledge.Time) (bool, error)
	// UpdateRun updates a run. It is [ErrNotFound] if another instance has taken the run over.
	UpdateRun(ctx context.Context, r Run) error
	// Runs returns runs of a job, the newest first.
	Runs(ctx context.Context, q RunQuery) ([]Run, error)
	// PauseJob pauses a job's schedule, or resumes it.
	PauseJob(ctx context.Context, job, by string, paused bool) error
	// PausedJobs returns the paused jobs, each with the person who paused it.
	PausedJobs(ctx context.Context) (map[string]string, error)
	// ForgetRuns removes runs that ended before a time, and returns how many. The newest run of each job stays, because
	// the next due time is computed from it.
	ForgetRuns(ctx context.Context, before knowledge.Time) (int64, error)
}
