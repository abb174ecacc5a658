package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
	"tenet/internal/upkeep"
)

// memory is a book in memory: time in a synctest bubble stands still for what happens outside of it, as in a database.
type memory struct {
	mu     sync.Mutex // guards what follows
	runs   []store.Run
	paused map[string]string
	away   error // what every call answers while it is set
	full   error // what updates answer while it is set
}

func (m *memory) lock() error {
	m.mu.Lock()
	return m.away
}

func (m *memory) ClaimRun(_ context.Context, r store.Run, alive knowledge.Time) (bool, error) {
	defer m.mu.Unlock()
	if err := m.lock(); err != nil {
		return false, err
	}
	for i := range m.runs {
		if old := &m.runs[i]; old.Job == r.Job && old.Due == r.Due {
			if old.State != store.RunRunning || !old.Beat.Before(alive.Time) {
				return false, nil
			}
			old.Instance, old.Attempt, old.Started, old.Beat = r.Instance, old.Attempt+1, r.Started, r.Started
			return true, nil
		}
	}
	r.Attempt = 1
	m.runs = append(m.runs, r)
	return true, nil
}

func (m *memory) UpdateRun(_ context.Context, r store.Run) error {
	defer m.mu.Unlock()
	if err := m.lock(); err != nil {
		return err
	}
	for i := range m.runs {
		if m.full != nil {
			return m.full
		}
		if old := &m.runs[i]; old.Job == r.Job && old.Due == r.Due && old.Instance == r.Instance &&
			old.State == store.RunRunning {
			attempt := old.Attempt
			*old = r
			old.Attempt = attempt
			return nil
		}
	}
	return store.ErrNotFound
}

func (m *memory) Runs(_ context.Context, q store.RunQuery) ([]store.Run, error) {
	defer m.mu.Unlock()
	if err := m.lock(); err != nil {
		return nil, err
	}
	var list []store.Run
	for _, r := range m.runs {
		if r.Job == q.Job && (q.Before.IsZero() || r.Due.Before(q.Before.Time)) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b store.Run) int { return b.Due.Compare(a.Due.Time) })
	return list[:min(q.Limit, len(list))], nil
}

func (m *memory) PauseJob(_ context.Context, job, by string, paused bool) error {
	defer m.mu.Unlock()
	if err := m.lock(); err != nil {
		return err
	}
	if m.paused == nil {
		m.paused = map[string]string{}
	}
	delete(m.paused, job)
	if paused {
		m.paused[job] = by
	}
	return nil
}

func (m *memory) PausedJobs(context.Context) (map[string]string, error) {
	defer m.mu.Unlock()
	if err := m.lock(); err != nil {
		return nil, err
	}
	return maps.Clone(m.paused), nil
}

func (m *memory) ForgetRuns(_ context.Context, before knowledge.Time) (int64, error) {
	defer m.mu.Unlock()
	if err := m.lock(); err != nil {
		return 0, err
	}
	newest := map[string]time.Time{}
	for _, r := range m.runs {
		if r.Due.After(newest[r.Job]) {
			newest[r.Job] = r.Due.Time
		}
	}
	n := len(m.runs)
	m.runs = slices.DeleteFunc(m.runs, func(r store.Run) bool {
		return r.Started.Before(before.Time) && r.State != store.RunRunning && !r.Due.Equal(newest[r.Job])
	})
	return int64(n - len(m.runs)), nil
}

func (m *memory) setAway(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = err
}

func (m *memory) setFull(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full = err
}

// at returns the i-th run of a book, the zero run when there is none.
func (m *memory) at(i int) store.Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i >= len(m.runs) {
		return store.Run{}
	}
	return m.runs[i]
}

func TestTheTestsOwnBookKeepsTheLaws(t *testing.T) { storetest.RunBook(t, &memory{}) }

// dues returns when the runs of a book were due, with their states.
func (m *memory) dues() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for _, r := range m.runs {
		list = append(list, r.Due.Format("15:04")+" "+string(r.State))
	}
	return strings.Join(list, ", ")
}

// keep runs a keeper until the test ends its context.
func keep(ctx context.Context, t *testing.T, o upkeep.Options) *upkeep.Keeper {
	t.Helper()
	k, err := upkeep.New(o)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = k.Run(ctx) }()
	return k
}

func nothing(context.Context, *upkeep.Progress) (string, error) { return "", nil }

func TestEachRunIsDoneOnceByOneOfManyInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book := &memory{}
		var mu sync.Mutex // guards ran
		ran := map[string]int{}
		for i := range 3 {
			keep(ctx, t, upkeep.Options{Shared: book, Instance: fmt.Sprint("i", i), Jobs: []upkeep.Job{{
				Name: "hourly", Schedule: "@hourly", Do: func(context.Context, *upkeep.Progress) (string, error) {
					mu.Lock()
					defer mu.Unlock()
					ran[time.Now().UTC().Format("15:04")]++
					return "something", nil
				},
			}}})
		}
		time.Sleep(4*time.Hour + time.Minute) // the bubble's clock
		stop()
		synctest.Wait()
		// A bubble begins at midnight UTC.
		if got, want := book.dues(), "01:00 done, 02:00 done, 03:00 done, 04:00 done"; got != want {
			t.Errorf("runs of three instances: %s, want %s", got, want)
		}
		for at, n := range ran {
			if n != 1 {
				t.Errorf("the run of %s was done %d times", at, n)
			}
		}
	})
}

func TestARunThatWasMissedIsMadeUpForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book := &memory{}
		began := knowledge.At(time.Now())
		book.runs = []store.Run{{
			Job: "daily", Due: began, State: store.RunDone, Started: began, Beat: began,
			Ended: began,
		}}
		time.Sleep(75 * time.Hour) // nobody runs for three days
		keep(ctx, t, upkeep.Options{Shared: book, Jobs: []upkeep.Job{{Name: "daily", Schedule: "@daily", Do: nothing}}})
		time.Sleep(time.Minute)
		stop()
		synctest.Wait()
		if len(book.runs) != 2 || !book.at(1).Due.Equal(began.Add(72*time.Hour)) {
			t.Errorf("after three days away the runs are %s; want the last missed one, once", book.dues())
		}
	})
}

func TestARunWhoseInstanceDiedIsDoneByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book := &memory{}
		at := knowledge.At(time.Now())
		book.runs = []store.Run{{
			Job: "daily", Due: at, Instance: "dead", State: store.RunRunning, Attempt: 1,
			Started: at, Beat: at,
		}}
		keep(ctx, t, upkeep.Options{
			Shared: book, Instance: "heir",
			Jobs: []upkeep.Job{{Name: "daily", Schedule: "@daily", Do: nothing}},
		})
		time.Sleep(10 * time.Minute)
		stop()
		synctest.Wait()
		if r := book.at(0); len(book.runs) != 1 || r.State != store.RunDone || r.Instance != "heir" || r.Attempt != 2 {
			t.Errorf("the run of a dead instance: %+v; want it done by the heir at the second attempt", book.runs)
		}
	})
}

// In a file that this process alone uses, whoever has begun a run before it is dead: nobody waits for beats.
func TestARunOfAnEarlierProcessIsDoneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		at := knowledge.At(time.Now())
		left := store.Run{
			Job: "daily", Due: at, Instance: "same/1", State: store.RunRunning, Attempt: 1, Started: at, Beat: at,
		}
		book, asked := &memory{runs: []store.Run{left}}, &memory{runs: []store.Run{left}}
		jobs := func(schedule string) []upkeep.Job {
			return []upkeep.Job{{Name: "daily", Schedule: schedule, Do: nothing}}
		}
		time.Sleep(time.Second)
		keep(ctx, t, upkeep.Options{Shared: book, Alone: true, Instance: "same/1", Jobs: jobs("@daily")})
		k := keep(ctx, t, upkeep.Options{Shared: asked, Alone: true, Instance: "same/1", Jobs: jobs("")})
		synctest.Wait()
		if r := book.at(0); len(book.runs) != 1 || r.State != store.RunDone || r.Attempt != 2 {
			t.Errorf("the run of an earlier process: %+v; want it done at the second attempt", book.runs)
		}
		if _, err := k.Start(ctx, "daily", "ana"); err != nil {
			t.Errorf("a person's run in place of one that is lost: %v", err)
		}
		synctest.Wait()
		stop()
		synctest.Wait()
		if r := asked.at(0); r.State != store.RunLost || r.Error == "" || asked.at(1).State != store.RunDone {
			t.Errorf("the runs are %+v; want the first lost, with the reason, and the second done", asked.runs)
		}
	})
}

func TestARunThatKillsItsProcessIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book := &memory{}
		at := knowledge.At(time.Now())
		book.runs = []store.Run{{
			Job: "daily", Due: at, Instance: "dead", State: store.RunRunning, Attempt: 3,
			Started: at, Beat: at,
		}}
		keep(ctx, t, upkeep.Options{
			Shared: book, Instance: "next",
			Jobs: []upkeep.Job{{Name: "daily", Schedule: "@daily", Do: nothing}},
		})
		time.Sleep(10 * time.Minute)
		stop()
		synctest.Wait()
		if r := book.at(0); r.State != store.RunLost || r.Error == "" {
			t.Errorf("a run that has killed three processes: %+v; want it lost, with the reason", r)
		}
	})
}

func TestALongRunIsAliveAndTheNextOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book := &memory{}
		var mu sync.Mutex // guards most and now
		var most, now int
		job := upkeep.Job{
			Name: "slow", Schedule: "@hourly", Timeout: 5 * time.Hour,
			Do: func(ctx context.Context, p *upkeep.Progress) (string, error) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				p.Set(1, 2)
				defer func() { mu.Lock(); defer mu.Unlock(); now-- }()
				select {
				case <-time.After(150 * time.Minute):
					return "", nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			},
		}
		for i := range 2 {
			keep(ctx, t, upkeep.Options{Shared: book, Instance: fmt.Sprint(i), Jobs: []upkeep.Job{job}})
		}
		time.Sleep(2 * time.Hour)
		if r := book.at(0); r.Done != 1 || r.Total != 2 || time.Since(r.Beat.Time) > time.Minute {
			t.Errorf("a run of an hour reads %+v; want its progress, and that it was alive a moment ago", r)
		}
		time.Sleep(3 * time.Hour)
		stop()
		synctest.Wait()
		if most != 1 {
			t.Errorf("%d runs of one job at a time", most)
		}
		if got := book.dues(); !strings.HasPrefix(got, "01:00 done, 03:00 ") {
			t.Errorf("runs of a job that is slower than its schedule: %s; want the missed one of 02:00 left out", got)
		}
	})
}

func TestAFailureAndAPanicAreNotedAndEndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book := &memory{}
		var ended []store.Run
		keep(ctx, t, upkeep.Options{
			Shared: book, Ended: func(r store.Run) { ended = append(ended, r) },
			Jobs: []upkeep.Job{
				{
					Name: "fails", Schedule: "0 1 * * *",
					Do: func(context.Context, *upkeep.Progress) (string, error) { return "", errors.New("no space") },
				},
				{
					Name: "panics", Schedule: "0 2 * * *",
					Do: func(context.Context, *upkeep.Progress) (string, error) { panic("oh") },
				},
				{
					Name: "hangs", Schedule: "0 3 * * *", Timeout: time.Minute,
					Do: func(ctx context.Context, _ *upkeep.Progress) (string, error) {
						<-ctx.Done()
						return "", ctx.Err()
					},
				},
			},
		})
		time.Sleep(4 * time.Hour)
		stop()
		synctest.Wait()
		if len(ended) != 3 {
			t.Fatalf("%d runs have ended, want 3: %+v", len(ended), ended)
		}
		for i, want := range []string{"no space", "panic in job panics: oh", "not done within 1m0s"} {
			if r := ended[i]; r.State != store.RunFailed || !strings.Contains(r.Error, want) {
				t.Errorf("run %d: %s, %q; want failed with %q", i, r.State, r.Error, want)
			}
		}
	})
}

func TestJobsOfThisMachineGoOnWhileTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		shared, local := &memory{}, &memory{}
		shared.setAway(&store.UnavailableError{Reason: "away"})
		k := keep(ctx, t, upkeep.Options{Shared: shared, Local: local, Jobs: []upkeep.Job{
			{Name: "data", Schedule: "@hourly", Do: nothing},
			{Name: "machine", Schedule: "@hourly", Book: upkeep.Local, Do: nothing},
		}})
		time.Sleep(2*time.Hour + time.Minute)
		if got, want := local.dues(), "01:00 done, 02:00 done"; got != want {
			t.Errorf("runs of this machine's job: %s, want %s", got, want)
		}
		jobs, err := k.Jobs(ctx)
		if !errors.Is(err, store.ErrUnavailable) || len(jobs) != 2 || jobs[1].Last == nil {
			t.Errorf("jobs while the database is away: %+v, %v; want this machine's, and the error", jobs, err)
		}
		shared.setAway(nil)
		time.Sleep(2 * time.Minute)
		stop()
		synctest.Wait()
		if got, want := shared.dues(), "02:00 done"; got != want {
			t.Errorf("runs after the database came back: %s, want %s", got, want)
		}
	})
}

// A clock that was years ahead has left runs of then, one of which its process did not end. When it is put right, jobs
// go on at once by the time that it tells, and nothing is run twice.
func TestRunsOfAClockThatWasAheadHoldNoJobUp(t *testing.T) {
	for name, alone := range map[string]bool{"one process": true, "many": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				run := func(after time.Duration, state store.RunState) store.Run {
					at := knowledge.At(time.Now().Add(after))
					return store.Run{Job: "hourly", Due: at, Instance: "then", State: state, Attempt: 1, Started: at, Beat: at}
				}
				const year = 365 * 24 * time.Hour
				book := &memory{runs: []store.Run{
					run(-30*time.Minute, store.RunDone), run(40*year, store.RunDone), run(41*year, store.RunRunning),
				}}
				ran := 0
				jobs := []upkeep.Job{{Name: "hourly", Schedule: "@hourly", Do: func(context.Context, *upkeep.Progress) (string,
					error,
				) {
					ran++
					return "", nil
				}}}
				k := keep(ctx, t, upkeep.Options{Shared: book, Alone: alone, Instance: "now", Jobs: jobs})
				time.Sleep(3*time.Hour + 30*time.Minute)
				list, err := k.Jobs(ctx)
				if err != nil || list[0].Next.Format("15:04") != "04:00" || list[0].Last == nil ||
					list[0].Last.Due.Format("15:04") != "03:00" {
					t.Errorf("the job stands as %+v, %v; want it to have run at 3 and to run at 4", list, err)
				}
				if _, err := k.Start(ctx, "hourly", "ana"); err != nil {
					t.Errorf("a person's run: %v", err)
				}
				synctest.Wait()
				stop()
				synctest.Wait()
				if want := 4 + 1; ran != want { // 0:00 was missed
					t.Errorf("the job ran %d times, want %d: %s", ran, want, book.dues())
				}
			})
		})
	}
}

// A clock that is set back by two days passes times again at which the job ran. Where no other process runs it, it runs
// at those again, once each.
func TestAJobRunsAgainAtTimesThatPassAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book := &memory{}
		for hour := range 48 {
			at := knowledge.At(time.Now().Add(time.Duration(hour+1) * time.Hour))
			book.runs = append(book.runs, store.Run{Job: "hourly", Due: at, State: store.RunDone, Started: at, Beat: at})
		}
		ran := map[string]int{}
		keep(ctx, t, upkeep.Options{Shared: book, Alone: true, Instance: "now", Jobs: []upkeep.Job{{
			Name: "hourly", Schedule: "@hourly", Do: func(context.Context, *upkeep.Progress) (string, error) {
				ran[time.Now().UTC().Format("02 15:04")]++
				return "", nil
			},
		}}})
		time.Sleep(60*time.Hour + time.Minute)
		stop()
		synctest.Wait()
		if len(ran) < 59 { // at the seam the last of then counts as done
			t.Errorf("the job ran at %d of 60 hours: %v", len(ran), ran)
		}
		for at, n := range ran {
			if n != 1 {
				t.Errorf("the run of %s was done %d times", at, n)
			}
		}
	})
}

// While the result of a run can't be stored, who asks is told it by the process that has it, and the job is not done
// once more; as soon as it can, it is.
func TestAResultThatCannotBeStoredIsToldAndStoredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book, ran := &memory{}, 0
		k := keep(ctx, t, upkeep.Options{Shared: book, Alone: true, Instance: "now", Jobs: []upkeep.Job{{
			Name: "hourly", Schedule: "@hourly", Do: func(context.Context, *upkeep.Progress) (string, error) {
				ran++
				book.setFull(&store.UnavailableError{Reason: "the disk is full"})
				return "much", nil
			},
		}}})
		time.Sleep(2*time.Hour + 30*time.Minute)
		list, err := k.History(ctx, store.RunQuery{Job: "hourly", Limit: 5})
		if err != nil || len(list) != 1 || list[0].State != store.RunDone || list[0].Changed != "much" ||
			list[0].Ended.Format("15:04") != "01:00" {
			t.Errorf("the history: %+v, %v; want the run done", list, err)
		}
		if dues := book.dues(); ran != 1 || dues != "01:00 running" {
			t.Errorf("the job ran %d times: %s; want once", ran, dues)
		}
		book.setFull(nil)
		time.Sleep(5 * time.Minute)
		stop()
		synctest.Wait()
		if got := book.at(0); got.State != store.RunDone || got.Changed != "much" || got.Attempt != 1 {
			t.Errorf("once there is room the book has %+v", got)
		}
	})
}

func TestAPersonRunsPausesAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book := &memory{}
		k := keep(ctx, t, upkeep.Options{
			Shared: book,
			Jobs:   []upkeep.Job{{Name: "hourly", Schedule: "@hourly", Do: nothing}},
		})
		if err := k.Pause(ctx, "hourly", "anna", true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if got := book.dues(); got != "" {
			t.Errorf("a paused job has run: %s", got)
		}
		time.Sleep(30 * time.Minute)
		if _, err := k.Start(ctx, "hourly", "anna"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got, want := book.dues(), "03:30 done"; got != want || book.at(0).By != "anna" {
			t.Errorf("after a run by hand: %s by %q, want %s by anna", got, book.at(0).By, want)
		}
		if err := k.Pause(ctx, "hourly", "anna", false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Minute)
		if got, want := book.dues(), "03:30 done, 04:00 done"; got != want {
			t.Errorf("after the resume: %s, want %s", got, want)
		}
		for _, err := range []error{
			k.Pause(ctx, "no", "", true), second(k.Start(ctx, "no", "")),
			second(k.History(ctx, store.RunQuery{Job: "no", Limit: 1})),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a job that there is not: %v, want %v", err, store.ErrNotFound)
			}
		}
		stop()
		synctest.Wait()
	})
}

func second[T any](_ T, err error) error { return err }

func TestHeavyJobsWaitForTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		book := &memory{}
		w, err := upkeep.ParseWindow("daily 03:00-05:00")
		if err != nil {
			t.Fatal(err)
		}
		keep(ctx, t, upkeep.Options{
			Shared: book, Window: w,
			Jobs: []upkeep.Job{{Name: "vacuum", Heavy: true, Schedule: "0 1 * * *", Do: nothing}},
		})
		time.Sleep(2 * time.Hour)
		if got := book.dues(); got != "" {
			t.Errorf("a heavy job ran before its window: %s", got)
		}
		time.Sleep(90 * time.Minute)
		stop()
		synctest.Wait()
		if got, want := book.dues(), "01:00 done"; got != want || book.at(0).Started.Format("15:04") != "03:00" {
			t.Errorf("in the window: %s, started %s; want %s, started 03:00", got, book.at(0).Started, want)
		}
	})
}

func TestSchedulesAndWindowsThatCannotBeReadAreRefused(t *testing.T) {
	for _, s := range []string{"every day", "@every 5m", "61 * * * *", "CRON_TZ=Europe/Berlin 0 2 * * *", "* * * *"} {
		if _, err := upkeep.New(upkeep.Options{Jobs: []upkeep.Job{{Name: "a", Schedule: s}}}); err == nil ||
			!strings.Contains(err.Error(), "job a") {
			t.Errorf("schedule %q: %v; want an error that names the job", s, err)
		}
	}
	for _, w := range []string{
		"sometimes", "sunday", "daily 5:00-4:00", "first daily 01:00-02:00", "sunday 1-2",
		"daily 03:00-25:00",
	} {
		if _, err := upkeep.ParseWindow(w); err == nil {
			t.Errorf("window %q was taken", w)
		}
	}
}
