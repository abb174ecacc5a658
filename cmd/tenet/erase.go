package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/client"
)

type eraseSettings struct {
	backupSettings
	Dry bool `name:"dry-run" by:"flag" doc:"Only say what would be done"`
	Yes bool `name:"yes" by:"flag" doc:"Do it: it can't be undone"`
}

func addErase(a *app) {
	group := &cobra.Command{
		Use:   "erase",
		Short: "Erase a person",
		Long:  `Erases a person from everything that the server keeps. Only admins may do this.`,
	}
	a.root.AddCommand(group)
	var s eraseSettings
	a.command(group, &cobra.Command{
		Use: "principal ID", Short: "Replace a person by a pseudonym, everywhere",
		Long: `Replaces the id and the names of a person by a pseudonym in every field that names people: in
documents, in the log of changes, the audit, jobs, conflicts and what waits, here and on every instance. The token
opens nothing from then on. The log still verifies, and "tenet doctor changes" says how many changes were rewritten.

Texts that name the person are listed, for people to rewrite. Backups made before hold the name until they are
removed: they are listed with the day. A backup that is restored later is brought up to the ledger of erasures, which
lies in the data directory and beside the backups, and holds hashes alone. It can't be undone. While PostgreSQL is
down it is refused.`,
		Example: `  tenet erase principal ada --dry-run
  tenet erase principal ada --yes`,
		Args: cobra.ExactArgs(1),
	}, &s, func(ctx context.Context, args []string) error { return erasePrincipal(ctx, a, args[0], &s) })
}

func erasePrincipal(ctx context.Context, a *app, id string, s *eraseSettings) error {
	if s.Dry && s.Yes {
		return usageError("--dry-run and --yes: want one of them")
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	dry := !s.Yes
	r, err := erase(ctx, a, d, id, dry, &s.backupSettings)
	if err != nil {
		return err
	}
	err = a.print(r, func(w io.Writer, _ screen) error { return showErasure(w, id, r) })
	if err == nil && dry && !s.Dry {
		err = usageError("nothing was erased, and it can't be undone: say --yes to do it")
	}
	return err
}

// eraseTimeout is how long an erasure may take, which reads the whole log.
const eraseTimeout = 30 * time.Minute

// erase asks the running tenet, or the database.
func erase(ctx context.Context, a *app, d *door, id string, dry bool, s *backupSettings) (*client.Erasure, error) {
	if d.remote != nil {
		return withTimeout(ctx, eraseTimeout,
			func(ctx context.Context) (*client.Erasure, error) { return d.remote.Erase(ctx, id, dry) })
	}
	o := a.localOptions()
	o.Backups = s.Backups
	report, err := d.local.Erase(ctx, o, id, dry)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(report)
	if err != nil {
		return nil, err
	}
	r := new(client.Erasure)
	return r, json.Unmarshal(raw, r)
}

func showErasure(w io.Writer, id string, r *client.Erasure) error {
	var b strings.Builder
	switch {
	case r.Dry:
		fmt.Fprintf(&b, "%s would be erased\n", id)
	case r.Again && r.Seq == 0:
		fmt.Fprintf(&b, "erased before, as %s, and nothing has come in since\n", r.Pseudonym)
	case r.Again:
		fmt.Fprintf(&b, "erased before, as %s; what had come in since is erased too, by change %d\n", r.Pseudonym,
			r.Seq)
	default:
		fmt.Fprintf(&b, "erased, and called %s from now on, by change %d\n", r.Pseudonym, r.Seq)
	}
	for _, table := range slices.Sorted(maps.Keys(r.Rows)) {
		fmt.Fprintf(&b, "  %-14s %d\n", table, r.Rows[table])
	}
	if len(r.Mentions) > 0 {
		b.WriteString("texts that name the person, for you to rewrite (earlier versions keep them; a purge removes " +
			"those):\n")
	}
	for _, m := range r.Mentions {
		fmt.Fprintf(&b, "  %s: %s\n", m.Key, strings.Join(m.Fields, ", "))
	}
	if r.More {
		b.WriteString("  and more\n")
	}
	if len(r.Held) > 0 {
		b.WriteString("backups that hold the name, and until when at the latest:\n")
	}
	for _, h := range r.Held {
		fmt.Fprintf(&b, "  %s, of %s UTC: until %s\n", h.Name, moment(h.At), h.Until.Format(time.DateOnly))
	}
	if r.Note != "" {
		b.WriteString(r.Note + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
