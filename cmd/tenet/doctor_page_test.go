package main

import (
	"testing"
	"time"

	"tenet/internal/backup"
	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/server"
)

func TestADiagnosisBeginsWithTheWorstAndSaysWhatToDo(t *testing.T) {
	list := diagnose([]server.Finding{
		{Check: "disk", State: stateOK, Text: "a"},
		{Check: "conflicts", State: stateWarn, Text: "b"},
		{Check: "jobs", State: stateBad, Text: "c"},
	})
	want := []string{"jobs", "conflicts", "disk"}
	for i, d := range list {
		if d.Check != want[i] || (d.State == stateOK) != (d.Do == "") || (d.State == stateOK) != (d.Means == "") {
			t.Errorf("diagnosis %d: %+v; want %s, with advice unless all is well", i, d, want[i])
		}
	}
}

func TestADiagnosisHoldsBackupsAgainstTheGoals(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) knowledge.Time { return knowledge.At(now.Add(-d)) }
	goals := recoveryGoals{RecoveryTime: time.Hour, RecoveryPoint: time.Minute}
	sound := func() *health {
		h := &health{}
		h.Backups = &struct {
			Error  string        `json:"error"`
			Copies int           `json:"copies"`
			Newest *backup.Copy  `json:"newest"`
			Drill  *backup.Drill `json:"drill"`
		}{Copies: 1, Newest: &backup.Copy{At: ago(time.Hour)}, Drill: &backup.Drill{At: ago(time.Hour), RTO: 5, RPO: 5}}
		return h
	}
	for name, test := range map[string]struct {
		change       func(h *health)
		backups, had string
	}{
		"sound":             {func(*health) {}, stateOK, stateOK},
		"none are made":     {func(h *health) { h.Backups = nil }, stateWarn, ""},
		"can't be read":     {func(h *health) { h.Backups.Error = "damaged" }, stateBad, stateOK},
		"none yet":          {func(h *health) { h.Backups.Newest, h.Backups.Drill = nil, nil }, stateBad, stateWarn},
		"an old one":        {func(h *health) { h.Backups.Newest.At = ago(27 * time.Hour) }, stateBad, stateOK},
		"a drill that fell": {func(h *health) { h.Backups.Drill.Error = "restore: damaged" }, stateOK, stateBad},
		"an old drill":      {func(h *health) { h.Backups.Drill.At = ago(9 * 24 * time.Hour) }, stateOK, stateWarn},
		"a slow restore":    {func(h *health) { h.Backups.Drill.RTO = 3601 }, stateOK, stateWarn},
		"too much lost":     {func(h *health) { h.Backups.Drill.RPO = 61 }, stateOK, stateWarn},
	} {
		h := sound()
		test.change(h)
		got := map[string]string{}
		for _, f := range examineBackups(h, goals, now) {
			got[f.Check] = f.State
		}
		if got["backups"] != test.backups || got["proof"] != test.had {
			t.Errorf("%s: backups %q and proof %q; want %q and %q", name, got["backups"], got["proof"], test.backups,
				test.had)
		}
	}
}

func TestADiagnosisNamesJobsThatFailedOrArePaused(t *testing.T) {
	found := examineJobs([]client.Job{
		{Name: "a", Last: &client.JobRun{State: "failed", Error: "why"}},
		{Name: "b", PausedBy: "ann"},
		{Name: "c", Last: &client.JobRun{State: "done"}},
		{Name: "d"},
	})
	if len(found) != 2 || found[0].State != stateBad || found[1].State != stateWarn {
		t.Errorf("jobs: %+v; want one that failed and one that is paused", found)
	}
}
