package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
)

// searchJob is the job of a running tenet that rebuilds its search index.
const searchJob = "search.rebuild"

func addDoctorSearch(a *app, group *cobra.Command) {
	a.command(group, &cobra.Command{
		Use:   "search",
		Short: "Rebuild the search index",
		Long: `Rebuilds what lists and searches find documents by: the search index, and the rows by tag and language. It
is what to do when "tenet doctor changes" says that lists or searches do not find what is there. No document changes.
Until it is done searches may find some of the documents only. A running tenet is asked for its job
` + searchJob + `, which only an admin may do; it looks after the mirror of its machine too.`,
		Example: `  tenet doctor search`,
	}, &struct{}{}, func(ctx context.Context, _ []string) error { return doctorSearch(ctx, a) })
}

func doctorSearch(ctx context.Context, a *app) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	did := ""
	if d.local != nil {
		bar, n := a.progress("indexing", -1), 0
		err = d.local.Reindex(ctx, func(done int) { n = done; bar.set(done) })
		bar.done()
		did = knowledge.Count(int64(n), "document", "documents") + " indexed"
	} else {
		did, err = searchThere(ctx, a, d)
	}
	if err != nil {
		return err
	}
	return a.print(struct {
		Did string `json:"did"`
	}{did}, func(w io.Writer, _ screen) error {
		_, err := fmt.Fprintf(w, "%s of %s\n", did, d.place())
		return err
	})
}

// searchThere lets a running tenet do it.
func searchThere(ctx context.Context, a *app, d *door) (string, error) {
	run, err := d.remote.RunJob(ctx, searchJob)
	if err == nil {
		run, err = awaitRun(ctx, a, d.remote, run)
	}
	if err == nil && run.Error != "" {
		err = errors.New(run.Error)
	}
	if err != nil {
		return "", err
	}
	return run.Changed, nil
}
