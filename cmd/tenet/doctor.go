package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/server"
)

func (a *app) addDoctor() {
	group := a.command(a.root, &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with this install",
		Long: `Checks the settings, the data directory and its rights, the admin token, the disk, the clock, the way to the tenet or the
database, and the schema. The exit code is 1 when something is wrong.`,
		Example: `  tenet doctor
  tenet doctor changes
  tenet doctor mirror`,
		Args: cobra.NoArgs,
	}, nil, func(ctx context.Context, _ []string) error { return a.doctor(ctx) })
	a.command(group, &cobra.Command{
		Use:   "changes",
		Short: "Verify the log of changes",
		Long: `Reads the whole log of changes and verifies it: numbers without gaps, and a chain value on every change that is made of the one
before it, so that nothing can be changed, taken out or put in without a trace.`,
		Example: `  tenet doctor changes`,
	}, nil, func(ctx context.Context, _ []string) error { return a.doctorChanges(ctx) })
	a.addDoctorMirror(group)
	a.addDoctorJournal(group)
}

func (a *app) doctorChanges(ctx context.Context) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	bar := a.progress("verifying", -1)
	report, err := verifyChanges(ctx, d, a.Timeout, func(n int64) { bar.set(int(n)) })
	bar.done()
	if err != nil {
		return err
	}
	if err := a.print(report, func(w io.Writer, _ screen) error { return writeChainReport(w, d, report) }); err != nil {
		return err
	}
	if len(report.Faults) > 0 {
		return errors.New("the log of changes does not verify: somebody or something has written into the database past tenet; " +
			"compare it with a backup")
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
		fmt.Fprintf(&b, "%d changes of %s verified, from %d to %d\n", r.Changes, d.place(), r.From, r.To)
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

// doctor prints what the checks find.
func (a *app) doctor(ctx context.Context) error {
	findings := server.Examine(a.localOptions(), time.Now())
	findings = append(findings, a.examineSettings())
	findings = append(findings, a.examineStore(ctx)...)
	t := &table{head: []string{"CHECK", "STATE", "FINDING"}, wide: 2}
	bad := 0
	for _, f := range findings {
		t.add(f.Check, f.State, f.Text)
		if f.State == stateBad {
			bad++
		}
	}
	if err := a.printTable(struct {
		Findings []server.Finding `json:"findings"`
	}{findings}, t); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks found something wrong", bad, len(findings))
	}
	return nil
}

func (a *app) examineSettings() server.Finding {
	if a.file.path == "" {
		return server.Finding{Check: "settings", State: stateOK, Text: "no settings file; `tenet config` shows what is in force"}
	}
	return server.Finding{Check: "settings", State: stateOK, Text: a.file.path + " is read"}
}

// examineStore looks at what answers.
func (a *app) examineStore(ctx context.Context) []server.Finding {
	if a.URL == "" && !server.HasDatabase(a.localOptions()) {
		return []server.Finding{{Check: "store", State: stateWarn, Text: "there is none yet: the first `tenet serve` makes it"}}
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
	found := []server.Finding{{Check: "store", State: stateOK, Text: fmt.Sprintf("%s answers, mode %s, newest change %d", s.Place, s.Mode, s.Seq)}}
	if !s.Ready {
		found[0].State, found[0].Text = stateBad, s.Place+" is not ready: "+strings.Join(s.Reasons, "; ")
	}
	if d.local != nil {
		found = append(found, d.local.Examine(ctx)...)
	}
	return found
}
