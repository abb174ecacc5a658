package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// A Job is a scheduled job of the server.
type Job = api.JobView

// A JobRun is one run of a job.
type JobRun = api.RunView

const jobsPath = "/api/v1/jobs"

// Jobs returns the jobs and their state.
func (s *Store) Jobs(ctx context.Context) ([]Job, error) {
	got, err := told[api.JobList](ctx, s, request{method: http.MethodGet, path: jobsPath})
	if err != nil {
		return nil, err
	}
	return got.Jobs, nil
}

// JobRuns returns the newest runs of a job, the newest first, page by page.
func (s *Store) JobRuns(ctx context.Context, name string, limit int) ([]JobRun, error) {
	const page = 200
	runs, query := []JobRun{}, url.Values{}
	for {
		query.Set("limit", strconv.Itoa(min(page, limit-len(runs))))
		got, err := told[api.RunList](ctx, s, request{
			method: http.MethodGet, path: jobsPath + "/" + url.PathEscape(name) + "/runs", query: query,
		})
		if err != nil {
			return nil, err
		}
		runs = append(runs, got.Runs...)
		if got.Next == nil || len(runs) >= limit {
			return runs, nil
		}
		query.Set("before", got.Next.Format(knowledge.TimeLayout))
	}
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
