// Package upkeep runs scheduled jobs: each job once when it is due, whatever the number of instances.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Job is scheduled work.
type Job struct {
	Name     string        // such as "backup.full"
	Doc      string        // what it does, one sentence
	Schedule string        // five cron fields in UTC, or "@hourly" and the like; "" if it only runs on demand
	Heavy    bool          // it waits for the maintenance window
	Book     Book          // where its runs are claimed
	Timeout  time.Duration // longest time for one run; 0 means 1 h
	// Do does the work and returns what it changed. It reports its progress to p if it can.
	Do func(ctx context.Context, p *Progress) (changed string, err error)
}

// A Book selects where the runs of a job are claimed.
type Book int

// The books.
const (
	// Shared is the database that all instances share: for work that one instance does for all.
	Shared Book = iota
	// Local is this instance's own file: for work on this instance, which goes on while the database is down.
	Local
)

// Options configures a [Keeper].
type Options struct {
	Jobs     []Job
	Shared   store.RunBook
	Local    store.RunBook // nil means Shared
	Alone    bool          // no other instance uses the shared database
	Instance string        // host and process, unique among the instances
	Window   Window        // when heavy jobs may start; the zero window means always
	// Ended is called with every run that has ended here; may be nil. It must not block.
	Ended func(store.Run)
	Log   *slog.Logger
}

// Intervals of the keeper.
const (
	beatEvery      = 20 * time.Second
	deadAfter      = 4 * beatEvery // a run without a beat for this long is lost
	lookEvery      = time.Minute   // longest time between two looks, which find lost runs of other instances
	defaultTimeout = time.Hour
	bookTimeout    = 10 * time.Second
	maxAttempts    = 3
)

// A Keeper runs jobs when they are due.
type Keeper struct {
	o     Options
	plans map[string]schedule
	wake  chan struct{}
	work  sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	running   map[string]*run
	asked     []*run               // claimed for a person, and not begun yet
	failing   map[Book]bool        // the failure of a book was logged
	anew      map[string]time.Time // since when a job is due, where the clock was set back
	toldAhead bool                 // that runs are dated ahead was logged
}

// A run is a run that this process carries out.
type run struct {
	store.Run // guarded by the keeper's lock once the run is noted
	progress  Progress
	unstored  bool // that its result could not be stored was logged
}

// New returns a keeper of jobs. An invalid schedule or a duplicate name is an error that names the job.
func New(o Options) (*Keeper, error) {
	k := &Keeper{
		o: o, plans: map[string]schedule{}, wake: make(chan struct{}, 1), running: map[string]*run{},
		failing: map[Book]bool{}, anew: map[string]time.Time{},
	}
	if k.o.Local == nil {
		k.o.Local = k.o.Shared
	}
	if k.o.Log == nil {
		k.o.Log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	for i := range o.Jobs {
		j := &o.Jobs[i]
		if _, twice := k.plans[j.Name]; twice {
			errs = append(errs, fmt.Errorf("job %s is defined twice", j.Name))
		}
		plan, err := parseSchedule(j.Schedule)
		if err != nil {
			errs = append(errs, fmt.Errorf("schedule of job %s: %w", j.Name, err))
		}
		k.plans[j.Name] = plan
	}
	return k, errors.Join(errs...)
}

// Run runs the jobs until ctx ends, and returns when all of them have ended.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.work.Wait()
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-k.wake:
		}
		timer.Reset(k.look(ctx, began))
	}
}

// look starts the jobs that are due, and returns the time until the next look.
func (k *Keeper) look(ctx context.Context, began time.Time) time.Duration {
	k.mu.Lock()
	asked := k.asked
	k.asked = nil
	k.mu.Unlock()
	for _, mine := range asked {
		k.work.Go(func() {
			defer k.nudge()
			defer k.leave(mine.Job)
			k.carryOut(ctx, k.job(mine.Job), mine)
		})
	}
	next := lookEvery
	paused := map[Book]map[string]string{}
	for _, b := range []Book{Shared, Local} {
		list, err := k.paused(ctx, b)
		if err != nil {
			k.bookFailed(ctx, b, err)
			continue
		}
		paused[b] = list
	}
	for i := range k.o.Jobs {
		j := &k.o.Jobs[i]
		list, answers := paused[j.Book]
		if _, is := list[j.Name]; is || !answers || k.plans[j.Name] == nil {
			continue
		}
		wait, err := k.consider(ctx, j, began)
		if err != nil {
			k.bookFailed(ctx, j.Book, err)
			continue
		}
		k.bookAnswered(ctx, j.Book)
		next = min(next, wait)
	}
	return max(next, time.Millisecond)
}

// consider starts a job if it is due, and returns when to look again.
func (k *Keeper) consider(ctx context.Context, j *Job, began time.Time) (time.Duration, error) {
	own, cancel := context.WithTimeout(ctx, bookTimeout)
	defer cancel()
	now := time.Now()
	last, ahead, err := k.newest(own, j, now)
	if err != nil {
		return 0, err
	}
	for _, r := range []*store.Run{last, ahead} {
		if r == nil || r.State != store.RunRunning {
			continue
		}
		switch {
		case k.alive(j, r, now):
			return lookEvery, nil // one run of a job at a time
		case r == last && r.Attempt < maxAttempts && r.Beat.Before(now.Add(k.slack(j))):
			again := *r
			again.Instance = k.o.Instance
			k.start(ctx, j, again)
			return lookEvery, nil
		case r == last || k.alone(j):
			k.lose(own, j, *r)
		}
	}
	due := k.plans[j.Name].due(k.since(ctx, j, last, ahead, began, now), now)
	start := due
	if j.Heavy {
		start = k.o.Window.open(due, now)
	}
	if wait := start.Sub(now); wait > 0 {
		return wait, nil
	}
	k.start(ctx, j, store.Run{Job: j.Name, Due: k.dueAs(j, due, ahead, now)})
	return lookEvery, nil
}

// alone reports whether no other process carries out runs of a job: its book is in a file of this instance.
func (k *Keeper) alone(j *Job) bool { return j.Book == Local || k.o.Alone }

// alive reports whether the process of a run that has not ended is there. In a file of this instance every run of an
// earlier process has ended with that; elsewhere its beats tell, unless a clock that was wrong has dated them.
func (k *Keeper) alive(j *Job, r *store.Run, now time.Time) bool {
	if !k.alone(j) {
		age := now.Sub(r.Beat.Time)
		return age < deadAfter && age > -k.slack(j)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.running[j.Name] != nil
}

// deadBefore returns the beat before which a run that has not ended may be claimed again.
func (k *Keeper) deadBefore(j *Job, now knowledge.Time) knowledge.Time {
	if k.alone(j) {
		return knowledge.At(now.Add(slackAlone))
	}
	return knowledge.At(now.Add(-deadAfter))
}

// lose ends a run that has been lost.
func (k *Keeper) lose(ctx context.Context, j *Job, r store.Run) {
	r.State, r.Ended = store.RunLost, r.Beat
	r.Error = "the process running it ended before it was done"
	if r.Attempt > 1 {
		r.Error += fmt.Sprintf(", %d times", r.Attempt)
	}
	if err := k.book(j).UpdateRun(ctx, r); err != nil && !errors.Is(err, store.ErrNotFound) {
		k.bookFailed(ctx, j.Book, err)
		return
	}
	k.o.Log.LogAttrs(ctx, slog.LevelError, "job lost", slog.String("job", j.Name), slog.Int("attempts", r.Attempt))
}

// start claims a run and carries it out in a goroutine.
func (k *Keeper) start(ctx context.Context, j *Job, r store.Run) {
	r.Job, r.Instance, r.Started = j.Name, k.o.Instance, knowledge.At(time.Now())
	r.State, r.Beat, r.Attempt = store.RunRunning, r.Started, max(1, r.Attempt)
	mine := &run{Run: r}
	if !k.enter(mine) {
		return
	}
	k.work.Go(func() {
		defer k.nudge()
		defer k.leave(j.Name)
		claimed, err := k.claim(ctx, j, &r)
		if err != nil {
			k.bookFailed(ctx, j.Book, err)
		}
		if claimed {
			k.carryOut(ctx, j, mine)
		}
	})
}

// enter notes a run as one of this process, and reports whether there was none of its job.
func (k *Keeper) enter(mine *run) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running[mine.Job] != nil {
		return false
	}
	k.running[mine.Job] = mine
	return true
}

func (k *Keeper) leave(job string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.running, job)
}

// claim writes a run into its book, and reports whether it is this process's.
func (k *Keeper) claim(ctx context.Context, j *Job, r *store.Run) (bool, error) {
	own, cancel := context.WithTimeout(ctx, bookTimeout)
	defer cancel()
	return k.book(j).ClaimRun(own, *r, k.deadBefore(j, r.Started))
}

// carryOut carries out a claimed run and stores its result.
func (k *Keeper) carryOut(ctx context.Context, j *Job, mine *run) {
	timeout := j.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	work, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	beats := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(beats)
		k.beat(work, cancel, j, mine, ended)
	}()
	changed, err := guarded(work, j, &mine.progress)
	close(ended)
	<-beats
	r := mine.now(time.Now())
	r.Ended, r.State, r.Changed = r.Beat, store.RunDone, changed
	if err != nil {
		r.State, r.Error = store.RunFailed, reason(work, timeout, err)
	}
	k.mu.Lock()
	mine.Run = r
	k.mu.Unlock()
	stored := k.store(ctx, j, mine)
	k.tell(ctx, &r)
	for !stored && ctx.Err() == nil {
		store.Pause(ctx, lookEvery)
		stored = k.store(ctx, j, mine)
	}
}

// store stores the result of a run that has ended, and reports whether that is settled. While it can't be stored, the
// run stays with this process, which tells the result and does not run the job again.
func (k *Keeper) store(ctx context.Context, j *Job, mine *run) bool {
	note, stop := context.WithTimeout(context.WithoutCancel(ctx), bookTimeout)
	defer stop()
	err := k.book(j).UpdateRun(note, mine.Run)
	if err != nil && !mine.unstored {
		mine.unstored = true
		k.o.Log.LogAttrs(ctx, slog.LevelWarn, "result of a job was not stored: it is tried again, and told by this "+
			"process meanwhile", slog.String("job", j.Name), slog.Any("error", err))
	}
	return err == nil || errors.Is(err, store.ErrNotFound)
}

// reason returns why a run failed.
func reason(ctx context.Context, timeout time.Duration, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("it was not done within %s: %s", timeout, err)
	}
	return err.Error()
}

// tell logs the result of a run and passes it to Ended.
func (k *Keeper) tell(ctx context.Context, r *store.Run) {
	level := slog.LevelInfo
	if r.State != store.RunDone {
		level = slog.LevelError
	}
	k.o.Log.LogAttrs(ctx, level, "job ended", slog.String("job", r.Job), slog.String("state", string(r.State)),
		slog.Time("due", r.Due.Time), slog.Duration("took", r.Took()),
		slog.String("changed", r.Changed), slog.String("error", r.Error))
	if k.o.Ended != nil {
		k.o.Ended(*r)
	}
}

// guarded runs a job. A panic fails the run, not the process.
func guarded(ctx context.Context, j *Job, p *Progress) (changed string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in job %s: %v\n%s", j.Name, v, debug.Stack())
		}
	}()
	return j.Do(ctx, p)
}

// beat updates a run's sign of life from time to time. It cancels a run that another instance has taken over.
func (k *Keeper) beat(ctx context.Context, end context.CancelFunc, j *Job, mine *run, ended <-chan struct{}) {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			return
		case <-t.C:
		}
		own, cancel := context.WithTimeout(ctx, bookTimeout)
		err := k.book(j).UpdateRun(own, mine.now(time.Now()))
		cancel()
		switch {
		case errors.Is(err, store.ErrNotFound):
			k.o.Log.LogAttrs(ctx, slog.LevelWarn, "job was taken over by another instance", slog.String("job", j.Name))
			end()
			return
		case err != nil:
			k.bookFailed(ctx, j.Book, err)
		}
	}
}

// now returns the run's current state.
func (r *run) now(at time.Time) store.Run {
	c := r.Run
	if !c.Ended.IsZero() {
		return c
	}
	c.Beat = knowledge.At(at)
	c.Done, c.Total = r.progress.load()
	return c
}

func (k *Keeper) job(name string) *Job {
	i := slices.IndexFunc(k.o.Jobs, func(j Job) bool { return j.Name == name })
	if i < 0 {
		return nil
	}
	return &k.o.Jobs[i]
}

func (k *Keeper) book(j *Job) store.RunBook {
	if j.Book == Local {
		return k.o.Local
	}
	return k.o.Shared
}

func (k *Keeper) paused(ctx context.Context, b Book) (map[string]string, error) {
	own, cancel := context.WithTimeout(ctx, bookTimeout)
	defer cancel()
	return k.book(&Job{Book: b}).PausedJobs(own)
}

// bookFailed logs once that a book fails, until it answers again.
func (k *Keeper) bookFailed(ctx context.Context, b Book, err error) {
	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	told := k.failing[b]
	k.failing[b] = true
	k.mu.Unlock()
	if !told {
		k.o.Log.LogAttrs(ctx, slog.LevelWarn, "jobs are waiting: runs can't be claimed", slog.Any("error", err))
	}
}

func (k *Keeper) bookAnswered(ctx context.Context, b Book) {
	k.mu.Lock()
	failing := k.failing[b]
	delete(k.failing, b)
	k.mu.Unlock()
	if failing {
		k.o.Log.LogAttrs(ctx, slog.LevelInfo, "jobs continue: runs can be claimed again")
	}
}

// nudge makes the keeper look now.
func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}
