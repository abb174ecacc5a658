package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// RunBook holds a store of runs to what jobs rely on: a run is claimed once, whoever asks at the same time; one whose claimer has
// died is taken over once, and the dead one can't write into it any more. The book must be empty.
func RunBook(t *testing.T, book store.RunBook) {
	at := knowledge.At(time.Date(2026, 1, 31, 2, 0, 0, 0, time.UTC))
	claim := func(job, instance string, due, now time.Time) store.Run {
		n := knowledge.At(now)
		return store.Run{Job: job, Due: knowledge.At(due), Instance: instance, State: store.RunRunning, Attempt: 1, Started: n, Beat: n}
	}
	t.Run("a run is claimed by one of many", func(t *testing.T) {
		var got atomic.Int32
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				ok, err := book.ClaimRun(t.Context(), claim("race", fmt.Sprint("i", i), at.Time, at.Time), knowledge.At(at.Add(-time.Minute)))
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
	})
	t.Run("a run whose claimer has died is taken over", func(t *testing.T) {
		first := claim("heir", "dead", at.Time, at.Time)
		if ok, err := book.ClaimRun(t.Context(), first, knowledge.At(at.Add(-time.Minute))); !ok || err != nil {
			t.Fatal("claim:", ok, err)
		}
		later := at.Add(time.Hour)
		heir := claim("heir", "heir", at.Time, later)
		if ok, err := book.ClaimRun(t.Context(), heir, knowledge.At(later.Add(-time.Minute))); !ok || err != nil {
			t.Fatal("claim of a dead run:", ok, err)
		}
		first.State, first.Ended = store.RunDone, knowledge.At(later)
		if err := book.UpdateRun(t.Context(), first); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the dead instance wrote into the run of its heir: %v, want %v", err, store.ErrNotFound)
		}
		heir.State, heir.Ended, heir.Beat, heir.Changed, heir.Done, heir.Total = store.RunDone, knowledge.At(later), knowledge.At(later), "7 rows", 7, 9
		if err := book.UpdateRun(t.Context(), heir); err != nil {
			t.Fatal("end:", err)
		}
		runs, err := book.Runs(t.Context(), "heir", 5)
		if err != nil || len(runs) != 1 {
			t.Fatalf("runs: %+v, %v", runs, err)
		}
		if r := runs[0]; r.State != store.RunDone || r.Attempt != 2 || r.Instance != "heir" || r.Changed != "7 rows" || r.Done != 7 || r.Total != 9 || !r.Ended.Equal(later) {
			t.Errorf("the run reads %+v", r)
		}
		if ok, err := book.ClaimRun(t.Context(), heir, knowledge.At(later.Add(time.Hour))); ok || err != nil {
			t.Errorf("a run that has ended was claimed again: %v, %v", ok, err)
		}
	})
	t.Run("a job is paused and resumed", func(t *testing.T) {
		for range 2 { // twice is once
			if err := book.PauseJob(t.Context(), "nightly", "anna", true); err != nil {
				t.Fatal(err)
			}
		}
		if paused, err := book.PausedJobs(t.Context()); err != nil || paused["nightly"] != "anna" {
			t.Errorf("paused: %v, %v", paused, err)
		}
		if err := book.PauseJob(t.Context(), "nightly", "anna", false); err != nil {
			t.Fatal(err)
		}
		if paused, err := book.PausedJobs(t.Context()); err != nil || len(paused) != 0 {
			t.Errorf("paused after the resume: %v, %v", paused, err)
		}
	})
	t.Run("old runs are forgotten, and never the newest of a job", func(t *testing.T) {
		for day := range 4 {
			r := claim("daily", "a", at.AddDate(0, 0, day), at.AddDate(0, 0, day))
			if ok, err := book.ClaimRun(t.Context(), r, knowledge.At(at.Add(-time.Hour))); !ok || err != nil {
				t.Fatal(ok, err)
			}
			r.State, r.Ended = store.RunFailed, r.Started
			if err := book.UpdateRun(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := book.ForgetRuns(t.Context(), knowledge.At(at.AddDate(1, 0, 0))); err != nil {
			t.Fatal(err)
		}
		runs, err := book.Runs(t.Context(), "daily", 10)
		if err != nil || len(runs) != 1 || !runs[0].Due.Equal(at.AddDate(0, 0, 3)) {
			t.Errorf("kept: %+v, %v; want the newest alone", runs, err)
		}
	})
}
