package upkeep

import (
	"context"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Standing is a job's description and state.
type Standing struct {
	Name     string         `json:"name"`
	Doc      string         `json:"doc"`
	Schedule string         `json:"schedule"` // "" if it only runs on demand
	Heavy    bool           `json:"heavy"`
	Local    bool           `json:"local"`
	PausedBy string         `json:"paused_by,omitempty"`
	Next     knowledge.Time `json:"next_at"` // zero if it is paused or has no schedule
	Last     *store.Run     `json:"last"`    // nil if it never ran
}

// Jobs returns the state of all jobs, in the order of their descriptions. While the shared database is down, only this
// instance's jobs are complete; the others come without their last run, together with the error.
func (k *Keeper) Jobs(ctx context.Context) ([]Standing, error) {
	list := make([]Standing, 0, len(k.o.Jobs))
	var failed error
	for i := range k.o.Jobs {
		s, err := k.standing(ctx, &k.o.Jobs[i])
		if err != nil {
			failed = err
		}
		list = append(list, s)
	}
	return list, failed
}

func (k *Keeper) standing(ctx context.Context, j *Job) (Standing, error) {
	s := Standing{Name: j.Name, Doc: j.Doc, Schedule: j.Schedule, Heavy: j.Heavy, Local: j.Book == Local}
	paused, err := k.book(j).PausedJobs(ctx)
	if err != nil {
		return s, err
	}
	s.PausedBy = paused[j.Name]
	now := time.Now()
	last, ahead, err := k.newest(ctx, j, now)
	if err != nil {
		return s, err
	}
	from := now
	if last != nil {
		if s.Last = last; ahead == nil || !k.alone(j) {
			from = last.Due.Time
		}
		k.mine(now, s.Last)
	}
	if plan := k.plans[j.Name]; plan != nil && s.PausedBy == "" {
		due := plan.due(from, now)
		if j.Heavy {
			due = k.o.Window.open(due, now)
		}
		s.Next = knowledge.At(due)
	}
	return s, nil
}

// mine replaces a run by what this process knows of it, where it is carrying it out or could not store its result yet.
func (k *Keeper) mine(now time.Time, r *store.Run) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if mine := k.running[r.Job]; mine != nil && mine.Due == r.Due && r.State == store.RunRunning {
		*r = mine.now(now)
	}
}

// Start claims a run of a job now, paused or not, lets the keeper carry it out, and returns it. It is
// [store.ErrNotFound] if there is no such job, [store.ErrConflict] while the job runs, and the book's error where the
// run can't be written down: the caller would wait for its end for ever.
func (k *Keeper) Start(ctx context.Context, name, by string) (store.Run, error) {
	j := k.job(name)
	if j == nil {
		return store.Run{}, fmt.Errorf("job %q: %w", name, store.ErrNotFound)
	}
	now := time.Now()
	last, _, err := k.newest(ctx, j, now)
	if err != nil {
		return store.Run{}, err
	}
	if last != nil && last.State == store.RunRunning {
		if k.alive(j, last, now) {
			return store.Run{}, fmt.Errorf("job %s is already running, since %s: %w", name,
				last.Started.Format(time.RFC3339), store.ErrConflict)
		}
		k.lose(ctx, j, *last) // this run takes its place
	}
	at := knowledge.At(now)
	r := store.Run{
		Job: name, Due: at, Instance: k.o.Instance, By: by, State: store.RunRunning, Attempt: 1,
		Started: at, Beat: at,
	}
	mine := &run{Run: r}
	if !k.enter(mine) {
		return store.Run{}, fmt.Errorf("job %s is already running: %w", name, store.ErrConflict)
	}
	claimed, err := k.claim(ctx, j, &r)
	if err != nil || !claimed {
		k.leave(name)
		if err == nil {
			err = fmt.Errorf("job %s is already running elsewhere: %w", name, store.ErrConflict)
		}
		return store.Run{}, err
	}
	k.mu.Lock()
	k.asked = append(k.asked, mine)
	k.mu.Unlock()
	k.nudge()
	return r, nil
}

// History returns runs of a job, the newest first. It is [store.ErrNotFound] if there is no such job.
func (k *Keeper) History(ctx context.Context, q store.RunQuery) ([]store.Run, error) {
	j := k.job(q.Job)
	if j == nil {
		return nil, fmt.Errorf("job %q: %w", q.Job, store.ErrNotFound)
	}
	list, err := k.book(j).Runs(ctx, q)
	for i := range list {
		k.mine(time.Now(), &list[i])
	}
	return list, err
}

// Pause pauses a job's schedule, or resumes it. It is [store.ErrNotFound] if there is no such job.
func (k *Keeper) Pause(ctx context.Context, name, by string, paused bool) error {
	j := k.job(name)
	if j == nil {
		return fmt.Errorf("job %q: %w", name, store.ErrNotFound)
	}
	err := k.book(j).PauseJob(ctx, name, by, paused)
	k.nudge()
	return err
}
