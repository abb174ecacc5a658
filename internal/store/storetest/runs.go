package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// RunBook holds a store of runs to what jobs rely on: a run is claimed once, whoever asks at the same time; one whose
// claimer has died is taken over once, and the dead one can't write into it any more. The book must be empty.
func RunBook(t *testing.T, book store.RunBook) {
	b := runBook{book, knowledge.At(time.Date(2026, 1, 31, 2, 0, 0, 0, time.UTC))}
	t.Run("a run is claimed by one of many", b.claimsOnce)
	t.Run("a run whose claimer has died is taken over", b.handsOver)
	t.Run("a job is paused and resumed", b.pauses)
	t.Run("old runs are forgotten, and never the newest of a job", b.forgets)
}

// A runBook is a store of runs under test. Its runs begin at the time at.
type runBook struct {
	book store.RunBook
	at   knowledge.Time
}

// claim returns a run as an instance claims it.
func claim(job, instance string, due, now time.Time) store.Run {
	n := knowledge.At(now)
	return store.Run{
		Job: job, Due: knowledge.At(due), Instance: instance, State: store.RunRunning, Attempt: 1,
		Started: n, Beat: n,
	}
}

func (b runBook) claimsOnce(t *testing.T) {
	var got atomic.Int32
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			ok, err := b.book.ClaimRun(t.Context(), claim("race", fmt.Sprint("i", i), b.at.Time, b.at.Time),
				knowledge.At(b.at.Add(-time.Minute)))
			if err != nil {
				t.Error("claim:", err)
			}
			if ok {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 1 {
		t.Errorf("%d instances have claimed one run, want 1", got.Load())
	}
}

func (b runBook) handsOver(t *testing.T) {
	first := claim("heir", "dead", b.at.Time, b.at.Time)
	if ok, err := b.book.ClaimRun(t.Context(), first, knowledge.At(b.at.Add(-time.Minute))); !ok || err != nil {
		t.Fatal("claim:", ok, err)
	}
	later := b.at.Add(time.Hour)
	heir := claim("heir", "heir", b.at.Time, later)
	if ok, err := b.book.ClaimRun(t.Context(), heir, knowledge.At(later.Add(-time.Minute))); !ok || err != nil {
		t.Fatal("claim of a dead run:", ok, err)
	}
	first.State, first.Ended = store.RunDone, knowledge.At(later)
	if err := b.book.UpdateRun(t.Context(), first); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the dead instance wrote into the run of its heir: %v, want %v", err, store.ErrNotFound)
	}
	heir.State, heir.Ended, heir.Beat, heir.Changed, heir.Done, heir.Total = store.RunDone, knowledge.At(later),
		knowledge.At(later), "7 rows", 7, 9
	if err := b.book.UpdateRun(t.Context(), heir); err != nil {
		t.Fatal("end:", err)
	}
	runs, err := b.book.Runs(t.Context(), store.RunQuery{Job: "heir", Limit: 5})
	if err != nil || len(runs) != 1 {
		t.Fatalf("runs: %+v, %v", runs, err)
	}
	if r := runs[0]; r.State != store.RunDone || r.Attempt != 2 || r.Instance != "heir" || r.Changed != "7 rows" ||
		r.Done != 7 || r.Total != 9 || !r.Ended.Equal(later) {
		t.Errorf("the run reads %+v", r)
	}
	if ok, err := b.book.ClaimRun(t.Context(), heir, knowledge.At(later.Add(time.Hour))); ok || err != nil {
		t.Errorf("a run that has ended was claimed again: %v, %v", ok, err)
	}
}

func (b runBook) pauses(t *testing.T) {
	for range 2 { // twice is once
		if err := b.book.PauseJob(t.Context(), "nightly", "anna", true); err != nil {
			t.Fatal(err)
		}
	}
	if paused, err := b.book.PausedJobs(t.Context()); err != nil || paused["nightly"] != "anna" {
		t.Errorf("paused: %v, %v", paused, err)
	}
	if err := b.book.PauseJob(t.Context(), "nightly", "anna", false); err != nil {
		t.Fatal(err)
	}
	if paused, err := b.book.PausedJobs(t.Context()); err != nil || len(paused) != 0 {
		t.Errorf("paused after the resume: %v, %v", paused, err)
	}
}

func (b runBook) forgets(t *testing.T) {
	for day := range 4 {
		r := claim("daily", "a", b.at.AddDate(0, 0, day), b.at.AddDate(0, 0, day))
		if ok, err := b.book.ClaimRun(t.Context(), r, knowledge.At(b.at.Add(-time.Hour))); !ok || err != nil {
			t.Fatal(ok, err)
		}
		r.State, r.Ended = store.RunFailed, r.Started
		if err := b.book.UpdateRun(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	var days []int
	for q := (store.RunQuery{Job: "daily", Limit: 3}); ; {
		page, err := b.book.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			days = append(days, int(page[i].Due.Sub(b.at.Time)/(24*time.Hour)))
		}
		q.Before = page[len(page)-1].Due
	}
	if !slices.Equal(days, []int{3, 2, 1, 0}) {
		t.Errorf("page by page there are the runs of the days %v, want each once, the newest first", days)
	}
	if _, err := b.book.ForgetRuns(t.Context(), knowledge.At(b.at.AddDate(1, 0, 0))); err != nil {
		t.Fatal(err)
	}
	runs, err := b.book.Runs(t.Context(), store.RunQuery{Job: "daily", Limit: 10})
	if err != nil || len(runs) != 1 || !runs[0].Due.Equal(b.at.AddDate(0, 0, 3)) {
		t.Errorf("kept: %+v, %v; want the newest alone", runs, err)
	}
}
