package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

const jobsPath = "/api/v1/jobs"

// jobsTimeout bounds the question how jobs stand, which goes to the database for each of them.
const jobsTimeout = 5 * time.Second

func runOf(r *store.Run) api.RunView {
	v := api.RunView{
		Job: r.Job, DueAt: r.Due, State: r.State, Instance: r.Instance, By: r.By, Attempt: r.Attempt,
		Started: r.Started,
		Took:    r.Took().Seconds(), Done: r.Done, Total: r.Total, Changed: r.Changed, Error: r.Error,
	}
	if !r.Ended.IsZero() {
		v.EndedAt = &r.Ended
	}
	return v
}

func jobOf(s *upkeep.Standing) api.JobView {
	v := api.JobView{
		Name: s.Name, Doc: s.Doc, Schedule: s.Schedule, Heavy: s.Heavy, Local: s.Local,
		PausedBy: s.PausedBy,
	}
	if !s.Next.IsZero() {
		v.NextAt = &s.Next
	}
	if s.Last != nil {
		last := runOf(s.Last)
		v.Last = &last
	}
	return v
}

func jobRoutes() []*route {
	only := " Only admins may ask."
	return []*route{
		{
			method: http.MethodGet, path: jobsPath, id: "list-jobs", tag: "operations",
			summary: "List jobs", description: "The scheduled jobs: what each does, when it runs next, and how its " +
				"last run ended." + only,
			handler: with(listJobs), answers: []answer{jsonAnswer[api.JobList](http.StatusOK, "The jobs",
				exampleJobs())},
			refusals: []int{http.StatusForbidden},
		},
		{
			method: http.MethodGet, path: jobsPath + "/{id}/runs", id: "list-job-runs", tag: "operations",
			summary: "List the runs of a job", description: "How the runs of a job ended, the newest first." +
				only,
			handler: with(listRuns), sample: exampleJob,
			answers:  []answer{jsonAnswer[api.RunList](http.StatusOK, "The runs", exampleRuns())},
			refusals: []int{http.StatusForbidden, http.StatusNotFound},
		},
		{
			method: http.MethodPost, path: jobsPath + "/{id}/run", id: "run-job", tag: "operations",
			summary: "Run a job now", description: "Asks for a run of a job now, on this instance. How it ends " +
				"stands in the job's runs; a run is " +
				"found there by due_at." + only,
			handler: with(runJob), sample: exampleJob,
			answers: []answer{jsonAnswer[api.RunView](http.StatusAccepted, "It will be run",
				runOf(exampleRun(store.RunRunning)))},
			refusals: []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
		},
		pauseRoute("pause", "Pause a job", "The job is not run by its schedule until it is resumed; a person can "+
			"still run it."+only, true),
		pauseRoute("resume", "Resume a job", "The job is run by its schedule again. Of the runs that it missed, the "+
			"last is made up for."+only, false),
	}
}

type jobPath struct {
	ID string `path:"id" doc:"The job's name" maxLength:"64"`
}

func pauseRoute(what, summary, description string, paused bool) *route {
	return &route{
		method: http.MethodPost, path: jobsPath + "/{id}/" + what, id: what + "-job", tag: "operations",
		summary: summary, description: description, sample: exampleJob,
		handler: with(func(c *call, _ *jobPath) error {
			jobs, err := jobsFor(c)
			if err != nil {
				return err
			}
			name := c.r.PathValue("id")
			if err := jobs.Pause(c.limited(), name, c.request.Caller.ID, paused); err != nil {
				return jobError(err, name)
			}
			list, err := jobs.Jobs(c.limited())
			for i := range list {
				if list[i].Name == name {
					return c.json(http.StatusOK, jobOf(&list[i]))
				}
			}
			return err
		}),
		answers:  []answer{jsonAnswer[api.JobView](http.StatusOK, "The job", exampleJobs().Jobs[0])},
		refusals: []int{http.StatusForbidden, http.StatusNotFound},
	}
}

// jobsFor returns the jobs if the caller may see them.
func jobsFor(c *call) (Jobs, error) {
	if no := access.Decide(c.request.Caller, access.Act{Verb: access.VerbOperate}); no != nil {
		return nil, c.request.Caller.Deny(no)
	}
	if c.h.o.Jobs == nil {
		return &upkeep.Keeper{}, nil // it has none
	}
	return c.h.o.Jobs, nil
}

func listJobs(c *call, _ *noParams) error {
	jobs, err := jobsFor(c)
	if err != nil {
		return err
	}
	own, cancel := context.WithTimeout(c.limited(), jobsTimeout)
	defer cancel()
	list, err := jobs.Jobs(own)
	if err != nil && own.Err() != nil && c.ctx.Err() == nil {
		return &store.UnavailableError{
			Reason: "the database does not say how the jobs stand", RetryAfter: jobsTimeout,
			NotDone: true, Err: err,
		}
	}
	if err != nil {
		return err
	}
	a := api.JobList{Jobs: make([]api.JobView, len(list))}
	for i := range list {
		a.Jobs[i] = jobOf(&list[i])
	}
	return c.json(http.StatusOK, a)
}

type runsParams struct {
	jobPath
	Limit  int    `query:"limit" doc:"How many runs at most" minimum:"1" maximum:"200" default:"20" example:"5"`
	Before string `query:"before" doc:"Only runs before this: next of the page before" example:"2026-11-24T02:00:00Z"`
}

// query returns what the parameters ask for.
func (p *runsParams) query(name string) (store.RunQuery, error) {
	limit, err := limitWithin(p.Limit, 20, 200)
	if err != nil {
		return store.RunQuery{}, err
	}
	q := store.RunQuery{Job: name, Limit: limit}
	if p.Before != "" {
		at, err := time.Parse(time.RFC3339Nano, p.Before)
		if err != nil {
			return q, knowledge.BadQuery("before", "%q: want a time such as 2026-11-24T02:00:00Z", p.Before)
		}
		q.Before = knowledge.At(at)
	}
	return q, nil
}

func listRuns(c *call, p *runsParams) error {
	jobs, err := jobsFor(c)
	if err != nil {
		return err
	}
	q, err := p.query(c.r.PathValue("id"))
	if err != nil {
		return err
	}
	limit := q.Limit
	q.Limit++
	list, err := jobs.History(c.limited(), q)
	if err != nil {
		return jobError(err, q.Job)
	}
	list, more := onePage(list, limit)
	a := api.RunList{Runs: make([]api.RunView, len(list))}
	for i := range list {
		a.Runs[i] = runOf(&list[i])
	}
	if more {
		a.Next = &list[len(list)-1].Due
	}
	return c.json(http.StatusOK, a)
}

func runJob(c *call, _ *jobPath) error {
	jobs, err := jobsFor(c)
	if err != nil {
		return err
	}
	name := c.r.PathValue("id")
	r, err := jobs.Start(c.limited(), name, c.request.Caller.ID)
	if err != nil {
		return jobError(err, name)
	}
	return c.json(http.StatusAccepted, runOf(&r))
}

// jobError names a job that does not exist, or says why it can't be run now.
func jobError(err error, name string) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return api.Refuse(store.ErrNotFound, "there is no job %q: GET %s lists them", name, jobsPath)
	case errors.Is(err, store.ErrConflict):
		return api.Refuse(store.ErrConflict, "job %s runs already: ask again when it has ended", name)
	}
	return err
}

const exampleJob = "backup.full"

func exampleRun(state store.RunState) *store.Run {
	at := exampleTime()
	r := &store.Run{Job: exampleJob, Due: at, Instance: "db1/4711", State: state, Attempt: 1, Started: at, Beat: at}
	if state == store.RunDone {
		r.Ended, r.Changed = knowledge.At(at.Add(3*time.Second)),
			"backup 20260131T120000.000Z, up to change 4711, 1048576 bytes; 1 old backups removed"
	}
	return r
}

func exampleRuns() api.RunList {
	return api.RunList{Runs: []api.RunView{runOf(exampleRun(store.RunDone))}}
}

func exampleJobs() api.JobList {
	return api.JobList{Jobs: []api.JobView{jobOf(&upkeep.Standing{
		Name: exampleJob, Doc: "Makes a backup of the database, and removes those that are no longer kept",
		Schedule: "0 2 * * *",
		Next:     knowledge.At(exampleTime().Add(14 * time.Hour)), Last: exampleRun(store.RunDone),
	})}}
}
