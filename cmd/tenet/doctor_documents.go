package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/server"
)

// documentsJob is the job of a running tenet that looks at its documents.
const documentsJob = "documents.check"

func addDoctorDocuments(a *app, group *cobra.Command) {
	a.command(group, &cobra.Command{
		Use:   "documents",
		Short: "Look for documents that were written past tenet, and that it would refuse",
		Long: `Validates every document in the database as if it were written now, retired ones too, and names each that
the server would refuse, with each fault and what would be right: unknown words, wrong types, invisible characters,
empty titles, keys and passwords, two principals with one token. Such a document came in by another way than tenet, as
with psql. Of a running tenet its job ` + documentsJob + ` looks, which only an admin may ask for. The exit code is 1
when something is found.

To mend a document, write it without the fault, with ` + "`tenet put` or `tenet edit`" + `; an export that holds such
documents is restored with ` + "`tenet import --accept-invalid`" + `.`,
		Example: `  tenet doctor documents
  tenet doctor documents --output json`,
	}, &struct{}{}, func(ctx context.Context, _ []string) error { return doctorDocuments(ctx, a) })
}

func doctorDocuments(ctx context.Context, a *app) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	if d.local == nil {
		return documentsThere(ctx, a, d)
	}
	bar := a.progress("looking", -1)
	report, err := d.local.CheckDocuments(ctx, func(n int64) { bar.set(int(n)) })
	bar.done()
	if err != nil {
		return err
	}
	return printStored(a, d, report)
}

// documentsThere lets a running tenet look.
func documentsThere(ctx context.Context, a *app, d *door) error {
	run, err := d.remote.RunJob(ctx, documentsJob)
	if err == nil {
		run, err = awaitRun(ctx, a, d.remote, run)
	}
	if err != nil {
		return err
	}
	report := &server.StoredReport{Faults: []string{}}
	found, ok := strings.CutPrefix(run.Error, server.FoundInvalid)
	switch {
	case ok:
		report.Faults = strings.Split(found, "\n")
	case run.Error != "":
		return errors.New(run.Error)
	default:
		_, err = fmt.Sscanf(run.Changed, "%d", &report.Documents)
	}
	return errors.Join(err, printStored(a, d, report))
}

func printStored(a *app, d *door, r *server.StoredReport) error {
	err := a.print(r, func(w io.Writer, _ screen) error {
		var b strings.Builder
		for _, f := range r.Faults {
			b.WriteString(f + "\n")
		}
		if r.More > 0 {
			fmt.Fprintf(&b, "and %d more\n", r.More)
		}
		if len(r.Faults) == 0 {
			b.WriteString(plural(r.Documents, "document of "+d.place()+" is as tenet would take it",
				"documents of "+d.place()+" are as tenet would take them") + "\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
	if err == nil && len(r.Faults) > 0 {
		err = errors.New("there are documents that the server would refuse: they were written past it; write " +
			"them anew " +
			"as they should be")
	}
	return err
}
