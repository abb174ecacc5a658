package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tenet/internal/client"
	"tenet/internal/knowledge"
)

// addResolveAll adds the command that decides many conflicts at once.
func addResolveAll(a *app, group *cobra.Command) {
	var s conflictFilters
	a.command(group, &cobra.Command{
		Use:   "resolve-all theirs|ours",
		Short: "Decide many conflicts at once",
		Long: `Decides all conflicts that wait, or those that the filters name, in the order in which their batches
were acknowledged: what was made on top of another comes after it. They are decided as they stand when the command
lists them; where something is written meanwhile, nothing of that page of 200 is done. It needs the rights of deciding
each.`,
		Example: `  tenet conflicts resolve-all theirs --actor importer
  tenet conflicts resolve-all ours --kind rule --document SEC-001`,
		Args: cobra.ExactArgs(1), ValidArgs: []string{"theirs", "ours"},
	}, &s, func(ctx context.Context, args []string) error { return resolveAll(ctx, a, args[0], s.query()) })
}

// resolvedAll is what a decision about many conflicts did.
type resolvedAll struct {
	Decided int    `json:"decided"`           // how many
	Queued  int    `json:"queued"`            // how many of them wait for PostgreSQL
	Stopped string `json:"stopped,omitempty"` // why the rest was not
}

func resolveAll(ctx context.Context, a *app, how string, q client.ConflictQuery) error {
	if how != "theirs" && how != "ours" {
		return usageError("%q: want theirs or ours; a merged document is for one conflict", how)
	}
	d, err := openRunning(ctx, a)
	if err != nil {
		return err
	}
	defer a.close(d)
	list, err := allConflicts(ctx, a, d, q, 0)
	if err != nil {
		return err
	}
	var all resolvedAll
	for end := len(list); end > 0 && all.Stopped == ""; end -= conflictPage { // the oldest are the last, and come first
		page := list[max(0, end-conflictPage):end]
		if end < len(list) && how == "ours" { // what was written just now may be what they are about
			if page, err = again(ctx, a, d, page); err != nil {
				return err
			}
		}
		done, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*client.ResolutionOfMany, error) {
			return d.remote.ResolveMany(ctx, how, page)
		})
		if err != nil {
			return err
		}
		all.Decided, all.Stopped = all.Decided+len(done.Decided), done.Stopped
		for _, one := range done.Decided {
			if one.State == knowledge.BatchQueued {
				all.Queued++
			}
		}
	}
	err = a.print(all, func(w io.Writer, _ screen) error {
		text := plural(int64(all.Decided), "conflict was decided", "conflicts were decided") + " as " + how
		if all.Queued > 0 {
			text += fmt.Sprintf("; of them %d wait for PostgreSQL, which has gone again", all.Queued)
		}
		_, err := fmt.Fprintln(w, text)
		return err
	})
	if err == nil && all.Stopped != "" {
		return fmt.Errorf("the rest still waits: %s", all.Stopped)
	}
	return err
}

// again looks at conflicts once more.
func again(ctx context.Context, a *app, d *door, list []client.Conflict) ([]client.Conflict, error) {
	fresh := make([]client.Conflict, len(list))
	for i := range list {
		c, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (*client.Conflict, error) { return d.remote.Conflict(ctx, list[i].ID) })
		if err != nil {
			return nil, err
		}
		fresh[i] = *c
	}
	return fresh, nil
}
