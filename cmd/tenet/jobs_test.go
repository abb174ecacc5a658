package main

import (
	"context"
	"database/sql" //nolint:depguard // somebody writes past the engine
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// TestJobsOfAServerWhoseClockWasAheadGoOn starts a server on a database in which a job ran 40 years from now.
func TestJobsOfAServerWhoseClockWasAheadGoOn(t *testing.T) {
	dir := filledDirectory(t)
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := knowledge.At(time.Now().AddDate(40, 0, 0))
	run := store.Run{Job: "log.head", Due: at, Instance: "then", State: store.RunRunning, Started: at, Beat: at}
	if ok, err := s.RunBook().ClaimRun(t.Context(), run, at); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p := serveProcess(t, dir, "")
	jobs, err := p.client(t).Jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range jobs {
		if j := &jobs[i]; j.Name == "log.head" && (j.NextAt == nil || time.Until(j.NextAt.Time) > 2*time.Hour) {
			t.Errorf("it runs next at %v, want within the hour", j.NextAt)
		}
	}
	p.command(t, "jobs", "run", "log.head")
	if said := p.command(t, "jobs", "history", "log.head"); !strings.Contains(said, "lost") {
		t.Errorf("the history says\n%s\nwant the run of then lost", said)
	}
	p.end(t)
}

// TestWhoWaitsForAJobIsToldItsResultThoughItCannotBeStored lets the database refuse the results of jobs.
func TestWhoWaitsForAJobIsToldItsResultThoughItCannotBeStored(t *testing.T) {
	p := serveProcess(t, filledDirectory(t), "")
	db, err := sql.Open("sqlite", filepath.Join(p.dir, "tenet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const full = "CREATE TRIGGER full BEFORE UPDATE ON job_runs BEGIN SELECT RAISE(FAIL, 'full'); END"
	if _, err := db.ExecContext(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	said, err := exec.CommandContext(ctx, "tenet", "jobs", "run", "fleet.look", "--data-dir", p.dir).CombinedOutput()
	if err != nil || !strings.Contains(string(said), "job fleet.look done") {
		t.Errorf("%v: it says %s", err, said)
	}
	p.end(t)
}
