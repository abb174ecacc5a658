package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/client"
	"tenet/internal/store"
)

type jobHistorySettings struct {
	Limit int `name:"limit" default:"20" by:"flag" doc:"How many runs at most"`
}

type jobRunSettings struct {
	Wait bool `name:"wait" default:"true" by:"flag" doc:"Wait until the run has ended"`
}

func addJobs(a *app) {
	group := &cobra.Command{
		Use:   "jobs",
		Short: "Show and run the scheduled jobs",
		Long: `Shows the scheduled jobs (backups, drills, retention, maintenance), runs it now, and pauses it. The
jobs belong to a running tenet, so these commands speak to one, with the token of an admin. Schedules are settings:
see --schedule of "tenet serve".`,
	}
	a.root.AddCommand(group)
	a.command(group, &cobra.Command{
		Use: "list", Short: "List the jobs", Long: `Lists the jobs: when each runs next, and how its last run ended.`,
		Example: `  tenet jobs list`, Annotations: printsLists(),
	}, nil, func(ctx context.Context, _ []string) error { return listJobs(ctx, a) })
	var run jobRunSettings
	a.command(group, &cobra.Command{
		Use: "run NAME", Short: "Run a job now",
		Long: `Runs a job now, at the server, and waits for its end. The exit code is 1 when the run fails.`,
		Example: `  tenet jobs run backup.full
  tenet jobs run log.verify --wait=false`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: once(jobNames(a)),
	}, &run, func(ctx context.Context, args []string) error { return runJob(ctx, a, args[0], run.Wait) })
	var history jobHistorySettings
	a.command(group, &cobra.Command{
		Use: "history NAME", Short: "Show how the runs of a job ended",
		Long:    `Shows the newest runs of a job, the newest first.`,
		Example: `  tenet jobs history backup.drill`,
		Args:    cobra.ExactArgs(1), Annotations: prints(asWide, asCSV), ValidArgsFunction: once(jobNames(a)),
	}, &history, func(ctx context.Context, args []string) error { return jobHistory(ctx, a, args[0], history.Limit) })
	for _, p := range []struct {
		name, short, long string
		paused            bool
	}{
		{
			"pause", "Keep a job from being run by its schedule",
			"Pauses a job until it is resumed. A person can still run it.", true,
		},
		{
			"resume", "Let a job be run by its schedule again",
			"Resumes a job. Of the runs that it missed, the last is made up for.", false,
		},
	} {
		a.command(group, &cobra.Command{
			Use: p.name + " NAME", Short: p.short, Long: p.long, Example: "  tenet jobs " + p.name + " backup.full",
			Args: cobra.ExactArgs(1), ValidArgsFunction: once(jobNames(a)),
		}, nil, func(ctx context.Context, args []string) error { return pauseJob(ctx, a, args[0], p.paused) })
	}
}

// atRunning calls fn with the running tenet.
func atRunning(ctx context.Context, a *app, fn func(context.Context, *client.Store) error) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	if d.remote == nil {
		return usageError("no server runs on %s, and only a running one has jobs: start it with `tenet serve`, or "+
			"name it with --url", a.DataDir)
	}
	return fn(ctx, d.remote)
}

// ofJob says of a job that is not there which there are.
func ofJob(name string, err error) error {
	switch {
	case !errors.Is(err, store.ErrNotFound):
		return err
	case name == "backup.full":
		return &noBackupsError{err}
	case strings.HasPrefix(name, "backup."):
		return usageError("%s\nA tenet that was started without a backup directory or, on a PostgreSQL, without a "+
			"configuration of pgBackRest has no jobs of backups: `tenet backup setup --backup-dir DIR --write`, "+
			"and start it anew; `tenet jobs list` shows those it has", err)
	}
	return fmt.Errorf("%w\n`tenet jobs list` shows those there are", err)
}

// A noBackupsError says that the running server has no jobs of backups.
type noBackupsError struct{ err error }

func (e *noBackupsError) Error() string {
	return "the server makes no backups: it was started without a backup directory or, on a PostgreSQL, found no " +
		"configuration of pgBackRest\nSet one up with `tenet backup setup " +
		"--backup-dir DIR --write`, and start the server anew; `tenet jobs list` shows the jobs that it has"
}

func (e *noBackupsError) Unwrap() error { return e.err }

// Is makes it an error about the settings: no document is missing.
func (e *noBackupsError) Is(target error) bool { return target == errUsage }

func listJobs(ctx context.Context, a *app) error {
	return atRunning(ctx, a, func(ctx context.Context, c *client.Store) error {
		list, err := withTimeout(ctx, a.Timeout, c.Jobs)
		if err != nil {
			return err
		}
		t := &table{
			head: []string{"JOB", "SCHEDULE (UTC)", "NEXT (UTC)", "LAST (UTC)", "STATE", "TOOK", "RESULT"},
			wide: 6,
		}
		for i := range list {
			j := &list[i]
			next := "-"
			if j.NextAt != nil {
				next = moment(*j.NextAt)
			}
			if j.PausedBy != "" {
				next = "paused by " + j.PausedBy
			}
			row := []string{j.Name, orDash(j.Schedule), next, "-", "never run", "-", "-"}
			if j.Last != nil {
				row = append(row[:3], runCells(j.Last)...)
			}
			t.add(row...)
		}
		return a.printTable(struct {
			Jobs []client.Job `json:"jobs"`
		}{list}, t)
	})
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// runCells are when a run began, how it stands, how long it took and what came of it.
func runCells(r *client.JobRun) []string {
	state, result := string(r.State), r.Changed
	if r.Total > 0 && r.EndedAt == nil {
		state = fmt.Sprintf("%s, %d %%", state, r.Done*100/r.Total)
	}
	if r.Error != "" {
		result = r.Error
	}
	took := time.Duration(r.Took * float64(time.Second))
	return []string{moment(r.Started), state, took.Round(10 * time.Millisecond).String(), result}
}

func jobHistory(ctx context.Context, a *app, name string, limit int) error {
	if limit < 1 {
		return usageError("--limit %d: want 1 or more", limit)
	}
	return atRunning(ctx, a, func(ctx context.Context, c *client.Store) error {
		list, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) ([]client.JobRun, error) { return c.JobRuns(ctx, name, limit+1) })
		if err != nil {
			return ofJob(name, err)
		}
		if len(list) > limit {
			list = list[:limit]
			defer a.sayMore(limit, fmt.Sprintf("--limit %d shows older ones too", 10*limit))
		}
		t := &table{
			head: []string{"DUE (UTC)", "STARTED (UTC)", "STATE", "TOOK", "RESULT", "BY", "INSTANCE"}, wide: 4,
			none: "the job has not run yet",
		}
		for i := range list {
			r := &list[i]
			by := r.By
			if by == "" {
				by = "schedule"
			}
			t.add(append(append([]string{moment(r.DueAt)}, runCells(r)...), by, r.Instance)...)
		}
		return a.printTable(struct {
			Runs []client.JobRun `json:"runs"`
		}{list}, t)
	})
}

// jobPoll is how often a command that waits for a run looks at it.
const jobPoll = 200 * time.Millisecond

func runJob(ctx context.Context, a *app, name string, wait bool) error {
	return atRunning(ctx, a, func(ctx context.Context, c *client.Store) error {
		run, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (*client.JobRun, error) { return c.RunJob(ctx, name) })
		if err != nil {
			return ofJob(name, err)
		}
		if wait {
			if run, err = awaitRun(ctx, a, c, run); err != nil {
				return err
			}
		}
		if err := a.print(run, func(w io.Writer, _ screen) error {
			text := fmt.Sprintf("job %s is asked for; `tenet jobs history %s` shows how it ends", name, name)
			if run.State == "done" {
				text = fmt.Sprintf("job %s done in %s: %s", name,
					time.Duration(run.Took*float64(time.Second)).Round(10*time.Millisecond), run.Changed)
			}
			if run.Error != "" {
				return nil
			}
			_, err := fmt.Fprintln(w, text)
			return err
		}); err != nil {
			return err
		}
		if run.Error != "" {
			return fmt.Errorf("job %s %s: %s", name, run.State, run.Error)
		}
		return nil
	})
}

// awaitRun waits until a run has ended, with a bar for who watches.
func awaitRun(ctx context.Context, a *app, c *client.Store, asked *client.JobRun) (*client.JobRun, error) {
	bar := a.progress("running "+asked.Job, -1)
	defer bar.done()
	for {
		select {
		case <-time.After(jobPoll):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		runs, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) ([]client.JobRun, error) { return c.JobRuns(ctx, asked.Job, 5) })
		if err != nil {
			return nil, err
		}
		for i := range runs {
			r := &runs[i]
			if !r.DueAt.Equal(asked.DueAt.Time) {
				continue
			}
			if r.EndedAt != nil {
				return r, nil
			}
			bar.set(int(r.Done))
		}
	}
}

func pauseJob(ctx context.Context, a *app, name string, paused bool) error {
	return atRunning(ctx, a, func(ctx context.Context, c *client.Store) error {
		job, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (*client.Job, error) { return c.PauseJob(ctx, name, paused) })
		if err != nil {
			return ofJob(name, err)
		}
		return a.print(job, func(w io.Writer, _ screen) error {
			text := "job " + name + " is paused"
			if !paused {
				text = "job " + name + " runs by its schedule again"
				if job.NextAt != nil {
					text += ", next " + moment(*job.NextAt) + " UTC"
				}
			}
			_, err := fmt.Fprintln(w, text)
			return err
		})
	})
}

// jobNames offers the names of the jobs.
func jobNames(a *app) func(*cobra.Command, string) []string {
	return func(cmd *cobra.Command, _ string) []string {
		if a.load(cmd, nil) != nil {
			return nil
		}
		var names []string
		// who can't be asked offers nothing
		_ = atRunning(cmd.Context(), a, func(ctx context.Context, c *client.Store) error {
			list, err := withTimeout(ctx, a.Timeout, c.Jobs)
			for i := range list {
				names = append(names, list[i].Name+"\t"+list[i].Doc)
			}
			return err
		})
		return names
	}
}
