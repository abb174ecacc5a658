package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
)

func addDoctor(a *app) {
	var looked doctorSettings
	group := a.command(a.root, &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with this install",
		Long: `Looks over the install and shows, the worst first, what is wrong, what that means and what to do: the
settings, the data directory and its rights, the admin token, the disk, the clock, the way to the server or the
database, and the schema; of a running tenet also an outage, what waits in the journal, conflicts, jobs that failed,
backups, their proof, and whether that meets the goals. The exit code is 1 when something is wrong, and with --strict
also when there are warnings.`,
		Example: `  tenet doctor
  tenet doctor --strict --output json
  tenet doctor changes
  tenet doctor audit
  tenet doctor mirror`,
	}, &looked, func(ctx context.Context, _ []string) error { return doctor(ctx, a, &looked) })
	var s changesSettings
	a.command(group, &cobra.Command{
		Use:   "changes",
		Short: "Verify the log of changes",
		Long: `Reads the whole log of changes and verifies it: numbers without gaps, and a chain value on every change
that is made of the one before it. The actor and the time of a change are compared with the stamps in its document.
Where the command opens the database itself, each document is compared with its hash too; a running tenet's answers
don't show that, and the command says so.

Who writes past tenet can make the whole chain anew, or cut off its end. The head that is shown, noted elsewhere and
given with --head later, shows that too.`,
		Example: `  tenet doctor changes
  tenet doctor changes --head 42-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`,
	}, &s, func(ctx context.Context, _ []string) error { return doctorChanges(ctx, a, s.Head) })
	addDoctorAudit(a, group)
	addDoctorMirror(a, group)
	addDoctorSearch(a, group)
	addDoctorJournal(a, group)
	addDoctorDocuments(a, group)
	addDoctorPostgres(a, group)
	addDoctorQuery(a, group)
}

type changesSettings struct {
	Head string `name:"head" by:"flag" doc:"A head that this command has shown earlier: the log must still hold it"`
}

func doctorChanges(ctx context.Context, a *app, head string) error {
	want, err := parseAnchor(head)
	if err != nil {
		return err
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	bar := a.progress("verifying", -1)
	report, err := verifyChanges(ctx, d, a.Timeout, want, func(n int64) { bar.set(int(n)) })
	bar.done()
	if err != nil {
		return err
	}
	if d.local != nil {
		err = verifyDocuments(ctx, d.local, report)
	} else {
		err = verifyThere(ctx, a, d, report)
	}
	if err != nil {
		return err
	}
	if err := a.print(report, func(w io.Writer, _ screen) error { return writeChainReport(w, d, report) }); err != nil {
		return err
	}
	if len(report.Faults) > 0 {
		return errors.New("the log of changes does not verify: somebody or something has written into the database " +
			"past tenet; " +
			"compare it with a backup")
	}
	return nil
}

// verifyDocuments lets the database compare every document with its hash.
func verifyDocuments(ctx context.Context, l *server.Local, r *chainReport) error {
	err := l.VerifyChanges(ctx, func(knowledge.Seq, knowledge.Seq) {})
	if contract := errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrClosed) ||
		ctx.Err() != nil; contract {
		return err
	}
	if r.Documents = true; err != nil {
		r.fault("%s", err)
	}
	return nil
}

// verifyThere lets a running tenet do the same, which only an admin may ask for.
func verifyThere(ctx context.Context, a *app, d *door, r *chainReport) error {
	run, err := d.remote.RunJob(ctx, "log.verify")
	if err == nil {
		run, err = awaitRun(ctx, a, d.remote, run)
	}
	switch {
	case errors.Is(err, store.ErrForbidden), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict):
		r.Why = err.Error()
		return nil
	case err != nil:
		return err
	}
	if r.Documents = true; run.Error != "" {
		r.fault("%s", run.Error)
	}
	return nil
}

func writeChainReport(w io.Writer, d *door, r *chainReport) error {
	var b strings.Builder
	for _, f := range r.Faults {
		b.WriteString(f + "\n")
	}
	switch {
	case r.Changes == 0:
		fmt.Fprintf(&b, "the log of %s is empty\n", d.place())
	case len(r.Faults) == 0:
		fmt.Fprintf(&b, "%s of %s verified, from %d to %d\n", plural(r.Changes, "change", "changes"), d.place(), r.From, r.To)
		fmt.Fprintf(&b, "head %s: note it elsewhere, and give it with --head later\n", r.Head)
		if !r.Documents {
			fmt.Fprintf(&b, "that each document is the one of its hash was not checked: %s\n", r.Why)
		}
		if r.Erased > 0 {
			fmt.Fprintf(&b, "%s had a person erased: that each is as its erasure left it, the "+
				"database itself checks\n", plural(r.Erased, "change", "changes"))
		}
		if r.Unattested > 0 {
			fmt.Fprintf(&b, "%s of before the hash held who made it and when: that can't be checked\n",
				plural(r.Unattested, "purge", "purges"))
		}
		if !r.Anchored {
			b.WriteString("older changes are no longer kept, so that what came before the first one can't be checked\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// States of a finding.
const (
	stateOK   = "ok"
	stateWarn = "warning"
	stateBad  = "wrong"
)

type doctorSettings struct {
	recoveryGoals
	Strict bool `name:"strict" by:"flag" doc:"End with exit code 1 for warnings too"`
}

// doctor prints what the checks find.
func doctor(ctx context.Context, a *app, s *doctorSettings) error {
	findings := server.Examine(a.localOptions(), time.Now())
	findings = append(findings, examineSettings(a))
	findings = append(findings, examineStore(ctx, a, s.recoveryGoals)...)
	return printDiagnosis(a, findings, s.Strict)
}

func examineSettings(a *app) server.Finding {
	if a.file.path == "" {
		return server.Finding{
			Check: "settings", State: stateOK,
			Text: "no settings file; `tenet config` shows what is in force",
		}
	}
	return server.Finding{Check: "settings", State: stateOK, Text: a.file.path + " is read"}
}

// examineStore looks at what answers.
func examineStore(ctx context.Context, a *app, goals recoveryGoals) []server.Finding {
	if a.URL == "" && !server.HasDatabase(a.localOptions()) {
		return []server.Finding{{
			Check: "store", State: stateWarn,
			Text: "there is none yet: the first `tenet serve` makes it",
		}}
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return []server.Finding{{Check: "store", State: stateBad, Text: explain(err)}}
	}
	defer a.close(d)
	s, err := withTimeout(ctx, a.Timeout, d.status)
	if err != nil {
		return []server.Finding{{Check: "store", State: stateBad, Text: explain(err)}}
	}
	found := []server.Finding{{
		Check: "store", State: stateOK,
		Text: fmt.Sprintf("%s answers, mode %s, newest change %d", s.Place, s.Mode, s.Seq),
	}}
	if !s.Ready {
		found[0].State, found[0].Text = stateBad, s.Place+" is not ready: "+strings.Join(s.Reasons, "; ")
	}
	if d.local != nil {
		return append(found, d.local.Examine(ctx)...)
	}
	if d.remote != nil {
		found = append(found, examineRunning(ctx, d.remote, s, goals)...)
		found = append(found, examineRecord(ctx, a, d, s)...)
	}
	return found
}

// examineRecord lets a running tenet look at its database, which only an admin may ask for.
func examineRecord(ctx context.Context, a *app, d *door, s *statusShown) []server.Finding {
	run, err := d.remote.RunJob(ctx, "log.head")
	if err == nil {
		run, err = awaitRun(ctx, a, d.remote, run)
	}
	f := server.Finding{Check: "record", State: stateOK}
	switch {
	case errors.Is(err, store.ErrForbidden), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict),
		byOutage(s, err):
		return nil
	case err != nil:
		f.State, f.Text = stateBad, explain(err)
	case run.Error != "":
		f.State, f.Text = stateBad, run.Error
	case strings.Contains(run.Changed, server.Drifted), strings.Contains(run.Changed, server.Exposure):
		f.State, f.Text = stateWarn, run.Changed
	default:
		f.Text = "the log is guarded, and the schema is that of the migrations; " + run.Changed
	}
	return []server.Finding{f}
}
