package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenet/internal/backup"
	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
)

// A diagnosis is a finding with what it means and what to do about it. Both are empty where all is well.
type diagnosis struct {
	server.Finding
	Means string `json:"means,omitempty"`
	Do    string `json:"do,omitempty"`
}

// advice says of each check what it means when it finds something, and what to do. The finding itself says what was
// found.
func advice() map[string][2]string {
	return map[string][2]string{
		"settings":       {"the server runs with other settings than the file says", "`tenet config` shows what is in force, and where each comes from"},
		"data directory": {"what is kept there can't be written, or can be read by others", "give the directory to the account that runs the server, with mode 0700"},
		"admin token":    {"anybody who has read it may do everything", "`chmod 600` it; if somebody may have read it: remove the file, start the server anew, and look at `tenet history principal/admin`"},
		"disk":           {"when it is full, writes are refused; reads go on", "free some space, or move the data directory to a larger disk"},
		"clock":          {"changes get wrong times, and tokens expire too early or too late", "set the clock, and keep it set with NTP"},
		"store":          {"nothing can be read or written here", "what it says, then `tenet status`; docs/operations/outage.md, \"When something is wrong\""},
		"rights":         {"an attacker who takes over the program may do it, too; or the program can't do its work", "`tenet migrate grants`, as the owner of the tables"},
		"setting":        {"the server works as it comes, and not as tenet needs it", "deploy/postgres/tenet.conf into conf.d, and start PostgreSQL anew"},
		"certificate":    {"when it ends no connection can be made", "put a new one in its place; docs/runbooks/alerts.md, TenetCertificateEnds"},
		"policy":         {"what was to be reviewed, or to be read by few, is like all else", "correct the setting of the server, or write what it names; `tenet config` shows where it comes from"},
		"schema":         {"the program and the database are of different versions", "`tenet migrate status`, then `tenet migrate up`"},
		"shape":          {"somebody has changed the database past tenet: it may be slow, or take what it should refuse", "compare it with docs/schema.md, and put back what is gone"},
		"record":         {"a write may leave no trace, or the database was changed past tenet", "`tenet doctor changes`; docs/operations/run.md, \"Verify the log\""},
		"audit":          {"who was refused and who read what can't be told with certainty any more", "`tenet doctor audit`; docs/operations/run.md, \"Answer an auditor\""},
		"times":          {"a clock was wrong when it was written: changes may seem to come before others", "compare the clocks of all machines with a server"},
		"damage":         {"the disk or its controller lies, and more may be lost with each write", "stop the server, copy the file away, `tenet backup restore` into a new directory"},
		"outage":         {"answers come from the copy on this machine, and writes wait here", "mend PostgreSQL; docs/runbooks/alerts.md, TenetDegraded"},
		"journal":        {"writes that were acknowledged are on this machine alone", "`tenet doctor journal` shows them; docs/runbooks/alerts.md, TenetJournalWaits"},
		"conflicts":      {"writes of an outage do not fit, and nobody reads them meanwhile", "`tenet conflicts list`, then `show` and `resolve`"},
		"jobs":           {"scheduled work is not done", "`tenet jobs history NAME` says why; `tenet jobs run NAME` tries again"},
		"backups": {"a lost disk loses everything since the newest backup", "where none are made: `tenet backup setup --backup-dir DIR --write`, and start the server anew; else " +
			"`tenet backup check`, then `tenet backup run`; docs/runbooks/alerts.md, TenetBackupOld"},
		"proof": {"nobody knows whether the backups restore, and how fast", "`tenet backup drill` restores one beside everything else and measures"},
	}
}

// diagnose sorts findings, the worst first, and says what they mean.
func diagnose(findings []server.Finding) []diagnosis {
	rank := map[string]int{stateBad: 0, stateWarn: 1, stateOK: 2}
	known := advice()
	list := make([]diagnosis, len(findings))
	for i, f := range findings {
		list[i].Finding = f
		if f.State != stateOK {
			list[i].Means, list[i].Do = known[f.Check][0], known[f.Check][1]
		}
	}
	slices.SortStableFunc(list, func(a, b diagnosis) int { return rank[a.State] - rank[b.State] })
	return list
}

// printDiagnosis prints what checks have found, the worst first, with what it means and what to do. The error says that
// something is wrong, or, where it is strict, that anything is to be said.
func printDiagnosis(a *app, findings []server.Finding, strict bool) error {
	list := diagnose(findings)
	t := &table{head: []string{"CHECK", "STATE", "FINDING"}, wide: 2, wrap: true}
	bad, warned := 0, 0
	for _, d := range list {
		t.add(d.Check, d.State, d.Text)
		if d.Means != "" {
			t.add("", "", "means: "+d.Means)
		}
		if d.Do != "" {
			t.add("", "", "do: "+d.Do)
		}
		switch d.State {
		case stateBad:
			bad++
		case stateWarn:
			warned++
		}
	}
	err := a.printTable(struct {
		Wrong    int         `json:"wrong"`
		Warnings int         `json:"warnings"`
		Findings []diagnosis `json:"findings"`
	}{bad, warned, list}, t)
	switch {
	case err != nil:
		return err
	case bad > 0:
		return fmt.Errorf("%d of %d checks found something wrong", bad, len(list))
	case strict && warned > 0:
		return fmt.Errorf("%d of %d checks found something to look at", warned, len(list))
	}
	return nil
}

// A health is what a running tenet tells of itself, as far as a diagnosis looks at it.
type health struct {
	Outage *struct {
		Why     string `json:"why"`
		Journal struct {
			Depth  int64 `json:"depth"`
			Parked int64 `json:"parked"`
		} `json:"journal"`
	} `json:"outage"`
	Backups *struct {
		Error  string        `json:"error"`
		Copies int           `json:"copies"`
		Newest *backup.Copy  `json:"newest"`
		Drill  *backup.Drill `json:"drill"`
	} `json:"backups"`
	Policy []string `json:"policy"` // what its settings name and is not there
}

// examineRunning looks at what a running tenet tells of itself.
func examineRunning(ctx context.Context, remote *client.Store, s *statusShown, goals recoveryGoals) []server.Finding {
	var h health
	if len(s.Details) > 0 {
		if err := json.Unmarshal(s.Details, &h); err != nil {
			return []server.Finding{{
				Check: "store", State: stateWarn,
				Text: "its status can't be read: is it of the same version? " + err.Error(),
			}}
		}
	}
	var found []server.Finding
	for _, what := range h.Policy {
		found = append(found, server.Finding{Check: "policy", State: stateWarn, Text: what})
	}
	if h.Outage != nil {
		found = append(found, examineOutage(s, &h)...)
	}
	jobs, err := remote.Jobs(ctx)
	switch {
	case errors.Is(err, store.ErrForbidden):
		// Who may not see the jobs is not shown the backups either.
		return append(found, server.Finding{Check: "jobs", State: stateOK, Text: "only an admin may look at them"})
	case h.Outage != nil && byOutage(s, err):
		found[0].Text += "; the jobs and the record of changes can't be looked at meanwhile"
	case err != nil:
		found = append(found, server.Finding{Check: "jobs", State: stateBad, Text: explain(err)})
	default:
		found = append(found, examineJobs(jobs)...)
	}
	return append(found, examineBackups(&h, goals, time.Now())...)
}

// byOutage reports whether a question failed for no other reason than an outage, which has a finding of its own.
func byOutage(s *statusShown, err error) bool {
	return s.Mode != knowledge.ModeNormal && errors.Is(err, store.ErrUnavailable)
}

func examineOutage(s *statusShown, h *health) []server.Finding {
	found := []server.Finding{{Check: "outage", State: stateOK, Text: "PostgreSQL answers"}}
	if s.Mode != knowledge.ModeNormal {
		found[0].State, found[0].Text = stateBad, fmt.Sprintf("the mode is %s%s", s.Mode, colon(h.Outage.Why))
	}
	if s.Mode == knowledge.ModeRecovering { // it ends by itself
		found[0].State = stateWarn
	}
	if n := h.Outage.Journal.Depth; n > 0 {
		found = append(found, server.Finding{
			Check: "journal", State: stateWarn,
			Text: plural(n, "batch waits", "batches wait") + " for PostgreSQL",
		})
	}
	if n := h.Outage.Journal.Parked; n > 0 {
		found = append(found, server.Finding{
			Check: "conflicts", State: stateWarn,
			Text: plural(n, "write waits", "writes wait") + " for a person",
		})
	}
	return found
}

// examineJobs names the jobs whose last run failed, and those that are paused.
func examineJobs(jobs []client.Job) (found []server.Finding) {
	for i := range jobs {
		j := &jobs[i]
		if j.PausedBy != "" {
			found = append(found, server.Finding{
				Check: "jobs", State: stateWarn,
				Text: fmt.Sprintf("%s is paused by %s", j.Name, j.PausedBy),
			})
		}
		if r := j.Last; r != nil && (r.State == "failed" || r.State == "lost") {
			found = append(found, server.Finding{Check: "jobs", State: stateBad, Text: fmt.Sprintf("%s %s at %s: %s",
				j.Name, r.State, moment(r.Started), r.Error)})
		}
	}
	if found == nil {
		found = append(found, server.Finding{Check: "jobs", State: stateOK, Text: plural(int64(len(jobs)), "job",
			"jobs") + ": none failed when it ran last"})
	}
	return found
}

// recoveryGoals are what a restore may cost.
type recoveryGoals struct {
	RecoveryTime  time.Duration `name:"recovery-time" default:"4h" doc:"Goal: how long a restore may take; tenet doctor holds the last drill against it"`
	RecoveryPoint time.Duration `name:"recovery-point" default:"15m" doc:"Goal: how much written time a restore may lose; tenet doctor holds the last drill against it"`
}

// Ages beyond which backups are not what they should be.
const (
	oldBackup = 26 * time.Hour
	oldDrill  = 8 * 24 * time.Hour
)

// examineBackups looks whether there are backups, whether they are proven, and whether the proof meets the goals.
func examineBackups(h *health, goals recoveryGoals, now time.Time) []server.Finding {
	b := h.Backups
	made := server.Finding{Check: "backups", State: stateOK}
	switch {
	case b == nil:
		made.State, made.Text = stateWarn, "this server makes none"
		return []server.Finding{made}
	case b.Error != "":
		made.State, made.Text = stateBad, b.Error
	case b.Newest == nil:
		made.State, made.Text = stateBad, "there is none yet"
	case b.Newest.At.Sub(now) > time.Hour:
		made.State, made.Text = stateBad, "one is of "+moment(b.Newest.At)+" UTC, which is yet to come: a clock is or "+
			"was wrong; `tenet backup check` says more"
	case now.Sub(b.Newest.At.Time) > oldBackup:
		made.State, made.Text = stateBad, "the newest is of "+moment(b.Newest.At)+" UTC"
	default:
		made.Text = fmt.Sprintf("%d, the newest of %s UTC", b.Copies, moment(b.Newest.At))
	}
	proof := server.Finding{Check: "proof", State: stateOK}
	switch d := b.Drill; {
	case d == nil:
		proof.State, proof.Text = stateWarn, "no backup was ever restored"
	case d.Error != "":
		proof.State, proof.Text = stateBad, "the last drill failed: "+d.Error
	case now.Sub(d.At.Time) > oldDrill:
		proof.State, proof.Text = stateWarn, "the last drill was at "+moment(d.At)+" UTC"
	default:
		proof.Text = fmt.Sprintf("restored in %s, and at most %s of writes would have been lost",
			d.RTO.Duration().Round(time.Millisecond), d.RPO.Duration().Round(time.Second))
		var over []string
		if goals.RecoveryTime > 0 && d.RTO.Duration() > goals.RecoveryTime {
			over = append(over, fmt.Sprintf("%s is the goal for a restore", goals.RecoveryTime))
		}
		if goals.RecoveryPoint > 0 && d.RPO.Duration() > goals.RecoveryPoint {
			over = append(over, fmt.Sprintf("%s is the goal for what may be lost", goals.RecoveryPoint))
		}
		if over != nil {
			proof.State, proof.Text = stateWarn, proof.Text+": "+strings.Join(over, ", and ")
		}
	}
	return []server.Finding{made, proof}
}
