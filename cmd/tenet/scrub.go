package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/erasure"
	"tenet/internal/server"
	"tenet/internal/store"
)

type scrubSettings struct {
	To      string `name:"to" by:"flag" doc:"Where the copy goes: a new or empty directory, or an empty PostgreSQL"`
	KeyFile string `name:"key-file" by:"flag" doc:"A secret that decides the pseudonyms, at least 16 bytes: the same secret gives the same ones again; a new one each time when left out"`
}

func addScrub(a *app) {
	var s scrubSettings
	a.command(a.root, &cobra.Command{
		Use: "scrub", Short: "Copy everything for a test system, without people",
		Long: `Copies documents and their history into a new database, for a test system. People's ids and names are
replaced by pseudonyms, in the fields of people and where texts name them whole; addresses of e-mail are replaced too,
and no token of the copy opens anything. Refused calls and the history of jobs are not copied. It never writes into a
database that holds anything. A part of a name in a text, such as a first name alone, is not found.`,
		Example: "  tenet scrub --to /srv/staging/data\n  tenet scrub --to postgres://staging.internal/tenet " +
			"--key-file scrub.key",
	}, &s, func(ctx context.Context, _ []string) error { return scrub(ctx, a, &s) })
}

// showLeftOut says which changes a scrub has not copied, and why.
func showLeftOut(w io.Writer, r *erasure.ScrubReport) (err error) {
	if r.Purged > 0 {
		_, err = fmt.Fprintf(w, "%s not copied, since a purge has taken the text out of the log\n",
			plural(r.Purged, "change", "changes"))
	}
	if r.NotTaken > 0 {
		_, failed := fmt.Fprintf(w, "%s refused by the copy:\n  %s\n", plural(r.NotTaken, "change", "changes"),
			strings.Join(r.Reasons, "\n  "))
		err = errors.Join(err, failed)
	}
	if more := r.NotTaken - int64(len(r.Reasons)); more > 0 {
		_, failed := fmt.Fprintf(w, "  and %d more\n", more)
		err = errors.Join(err, failed)
	}
	return err
}

func scrub(ctx context.Context, a *app, s *scrubSettings) error {
	if s.To == "" {
		return usageError("--to is missing: want a directory or the address of a PostgreSQL")
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	if s.KeyFile != "" {
		var err error
		if key, err = os.ReadFile(s.KeyFile); err != nil {
			return usageError("--key-file: %s", err)
		}
		if len(key) < 16 {
			return usageError("--key-file: %d bytes: want at least 16", len(key))
		}
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	o := server.Options{DataDir: s.To, Version: buildInfo().Version}
	if strings.Contains(s.To, "://") {
		o.DatabaseURL, o.AllowUnverifiedTLS = s.To, a.AllowUnverifiedTLS
	}
	r, err := server.Scrub(store.WithLeaving(ctx), d, o, key)
	if err != nil {
		return err
	}
	return a.print(r, func(w io.Writer, _ screen) error {
		_, err := fmt.Fprintf(w, "%s copied\npseudonyms for %s; replaced in texts: %s and %s; dropped: %s\n",
			plural(r.Changes, "change", "changes"), plural(r.People, "person", "people"),
			plural(r.Mentions, "mention", "mentions"), plural(r.Addresses, "address", "addresses"),
			plural(r.Tokens, "token", "tokens"))
		return errors.Join(err, showLeftOut(w, r))
	})
}
