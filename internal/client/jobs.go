package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"tenet/internal/knowledge"
)

// A Job is a scheduled job of the server.
type Job struct {
	Name     string          `json:"name"`
	Doc      string          `json:"doc"`
	Schedule string          `json:"schedule"` // "" if it only runs on demand
	Heavy    bool            `json:"heavy"`
	Local    bool            `json:"local"`
	PausedBy string          `json:"paused_by,omitempty"`
	NextAt   *knowledge.Time `json:"next_at"`
	Last     *JobRun         `json:"last"`
}

// A JobRun is one run of a job.
type JobRun struct {
	Job      string          `json:"job"`
	DueAt    knowledge.Time  `json:"due_at"`
	State    string          `json:"state"` // running, done, failed or lost
	Instance string          `json:"instance"`
	By       string          `json:"by,omitempty"`
	Attempt  int             `json:"attempt"`
	Started  knowledge.Time  `json:"started_at"`
	EndedAt  *knowledge.Time `json:"ended_at"`
	Took     float64         `json:"took_seconds"`
	Done     int64           `json:"done"`
	Total    int64           `json:"total"`
	Changed  string          `json:"changed"`
	Error    string          `json:"error,omitempty"`
}

const jobsPath = "/api/v1/jobs"

// Jobs returns the jobs and their state.
func (s *Store) Jobs(ctx context.Context) ([]Job, error) {
	got, err := told[struct {
		Jobs []Job `json:"jobs"`
	}](ctx, s, request{method: http.MethodGet, path: jobsPath})
	if err != nil {
		return nil, err
	}
	return got.Jobs, nil
}

// JobRuns returns the newest runs of a job, the newest first.
func (s *Store) JobRuns(ctx context.Context, name string, limit int) ([]JobRun, error) {
	got, err := told[struct {
		Runs []JobRun `json:"runs"`
	}](ctx, s, request{
		method: http.MethodGet, path: jobsPath + "/" + url.PathEscape(name) + "/runs",
		query: url.Values{"limit": {strconv.Itoa(limit)}},
	})
	if err != nil {
		return nil, err
	}
	return got.Runs, nil
}

// RunJob requests a run of a job now. It does not wait for its end.
func (s *Store) RunJob(ctx context.Context, name string) (*JobRun, error) {
	return told[JobRun](ctx, s, request{
		method: http.MethodPost, path: jobsPath + "/" + url.PathEscape(name) + "/run",
		once: true,
	})
}

// PauseJob pauses a job's schedule, or resumes it.
func (s *Store) PauseJob(ctx context.Context, name string, paused bool) (*Job, error) {
	what := "/resume"
	if paused {
		what = "/pause"
	}
	return told[Job](ctx, s, request{method: http.MethodPost, path: jobsPath + "/" + url.PathEscape(name) + what})
}
