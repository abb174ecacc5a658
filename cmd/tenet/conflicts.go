package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"tenet/internal/client"
	"tenet/internal/interchange"
	"tenet/internal/knowledge"
)

// conflictFilters say which conflicts are meant.
type conflictFilters struct {
	Kind     string `name:"kind" by:"flag" doc:"Only those about documents of a kind"`
	Document string `name:"document" by:"flag" doc:"Only those about the document of an id"`
	Actor    string `name:"actor" by:"flag" doc:"Only what this principal wrote"`
}

func (f conflictFilters) query() client.ConflictQuery {
	return client.ConflictQuery{Kind: f.Kind, DocumentID: f.Document, Actor: f.Actor}
}

type conflictsSettings struct {
	Resolved bool   `name:"resolved" by:"flag" doc:"Also those that were decided"`
	Limit    int    `name:"limit" by:"flag" doc:"How many at most; 0 for all" default:"0"`
	Kind     string `name:"kind" by:"flag" doc:"Only those about documents of a kind"`
	Document string `name:"document" by:"flag" doc:"Only those about the document of an id"`
	Actor    string `name:"actor" by:"flag" doc:"Only what this principal wrote"`
}

type resolveSettings struct {
	Seen string `name:"seen" by:"flag" doc:"The seen of tenet conflicts show; needed for ours and merged"`
}

func addConflicts(a *app) {
	group := &cobra.Command{
		Use:   "conflicts",
		Short: "Decide what becomes of writes that did not fit after an outage",
		Long: `Shows and decides the writes that were acknowledged while PostgreSQL was down and did not fit when it
came back, because the document had been changed there meanwhile. Nothing of them is lost: each waits until a person
decides.

They lie beside a running tenet that works on a PostgreSQL, so these commands speak to such a server only.`,
	}
	a.root.AddCommand(group)
	var s conflictsSettings
	a.command(group, &cobra.Command{
		Use:   "list",
		Short: "List the conflicts",
		Long:  `Lists the conflicts that wait for a decision, the newest first.`,
		Example: `  tenet conflicts list
  tenet conflicts list --kind rule --actor anna
  tenet conflicts list --resolved --output json`,
		Annotations: printsLists(),
	}, &s, func(ctx context.Context, _ []string) error { return listConflicts(ctx, a, &s) })
	var seen resolveSettings
	a.command(group, &cobra.Command{
		Use:   "show ID",
		Short: "Show both sides of a conflict",
		Long: `Shows a conflict as two differences: what was changed at the primary, and what the write would have
changed, both against the document that its writer saw. The ID may be cut short as long as it names one conflict.`,
		Example: `  tenet conflicts show 018f4a3e
  tenet conflicts show 018f4a3e --output json | jq .ours > merged.json`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: withConflicts(a),
	}, nil, func(ctx context.Context, args []string) error { return showConflict(ctx, a, args[0]) })
	a.command(group, &cobra.Command{
		Use:   "resolve ID theirs|ours|merged [FILE|-]",
		Short: "Decide a conflict",
		Long: `Decides a conflict. "theirs" leaves everything as it is at the primary, "ours" writes the whole batch
over it, and "merged" writes the document of a JSON or YAML file in place of both. It needs the role maintainer, or
admin where the batch is about a principal or purges. A conflict is decided once; the history of the document keeps
what was overwritten.

"ours" and "merged" say with --seen what they write over, as "tenet conflicts show" told it. Where something was
written since, they are refused: look again.`,
		Example: `  tenet conflicts resolve 018f4a3e theirs
  tenet conflicts resolve 018f4a3e ours --seen 8f1c5a90d2b7e364
  tenet conflicts resolve 018f4a3e merged merged.yaml --seen 8f1c5a90d2b7e364`,
		Args: cobra.RangeArgs(2, 3), ValidArgsFunction: withConflicts(a),
	}, &seen, func(ctx context.Context, args []string) error { return resolveConflict(ctx, a, args, seen.Seen) })
	addResolveAll(a, group)
}

// openRunning finds the running tenet, which alone can do what is asked for.
func openRunning(ctx context.Context, a *app) (*door, error) {
	d, err := a.openToLook(ctx)
	if err != nil {
		return nil, err
	}
	if d.remote != nil {
		return d, nil
	}
	a.close(d)
	return nil, usageError("no server runs on %s, and only a running one that works on a PostgreSQL can do this: "+
		"start it with "+
		"`tenet serve --database-url …`, or name it with --url", a.DataDir)
}

func listConflicts(ctx context.Context, a *app, s *conflictsSettings) error {
	d, err := openRunning(ctx, a)
	if err != nil {
		return err
	}
	defer a.close(d)
	q := conflictFilters{s.Kind, s.Document, s.Actor}.query()
	q.Resolved = s.Resolved
	list, err := allConflicts(ctx, a, d, q, s.Limit)
	if err != nil {
		return err
	}
	t := &table{
		head: []string{"ID", "DOCUMENT", "VERB", "BY", "SINCE (UTC)", "STATE", "WHY"}, wide: 6, wrap: true,
		none: "no conflicts",
	}
	for i := range list {
		c := &list[i]
		state := "waits"
		if c.Resolution != "" {
			state = c.Resolution + " by " + c.ResolvedBy
		}
		t.add(c.ID.String(), c.Key().String(), string(c.Verb), c.Actor, moment(c.ParkedAt), state, c.Why)
	}
	return a.printTable(struct {
		Conflicts []client.Conflict `json:"conflicts"`
	}{append([]client.Conflict{}, list...)}, t)
}

// maxCompleted is how many conflicts are offered to complete a command.
const maxCompleted = 200

// allConflicts reads conflicts page by page, at most so many; 0 for all.
func allConflicts(ctx context.Context, a *app, d *door, q client.ConflictQuery, most int) ([]client.Conflict, error) {
	var all []client.Conflict
	for {
		q.Limit = conflictPage
		if most > 0 {
			q.Limit = min(conflictPage, most-len(all))
		}
		page, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (conflictsPage, error) {
			list, next, err := d.remote.Conflicts(ctx, q)
			return conflictsPage{list, next}, err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page.list...)
		if q.Cursor = page.next; q.Cursor == "" || most > 0 && len(all) >= most {
			return all, nil
		}
	}
}

// conflictPage is how many conflicts are asked for at once.
const conflictPage = 200

type conflictsPage struct {
	list []client.Conflict
	next string
}

// findConflict returns the conflict that an id, or the beginning of one, names.
func findConflict(ctx context.Context, a *app, d *door, text string) (*client.Conflict, error) {
	if id, err := uuid.Parse(text); err == nil {
		return withTimeout(ctx, a.Timeout, func(ctx context.Context) (*client.Conflict, error) {
			return d.remote.Conflict(ctx, id)
		})
	}
	list, err := allConflicts(ctx, a, d, client.ConflictQuery{Resolved: true}, 0)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c client.Conflict) bool {
		return !strings.HasPrefix(c.ID.String(), strings.ToLower(text))
	})
	switch len(list) {
	case 0:
		return nil, usageError("no conflict %q: `tenet conflicts list` shows what there is", text)
	case 1:
		return &list[0], nil
	}
	return nil, usageError("%q names %d conflicts: give more of the id", text, len(list))
}

func showConflict(ctx context.Context, a *app, id string) error {
	d, err := openRunning(ctx, a)
	if err != nil {
		return err
	}
	defer a.close(d)
	c, err := findConflict(ctx, a, d, id)
	if err != nil {
		return err
	}
	return a.print(c, func(w io.Writer, sc screen) error { return writeConflict(w, sc, c) })
}

// writeConflict prints a conflict for a person.
func writeConflict(w io.Writer, sc screen, c *client.Conflict) error {
	t := &table{wide: 1}
	t.add("conflict", c.ID.String())
	t.add("document", c.Key().String())
	t.add("written by", c.Actor+", "+moment(c.QueuedAt))
	t.add("parked", moment(c.ParkedAt))
	t.add("why", c.Why)
	if c.Ops > 1 {
		t.add("batch", fmt.Sprintf("of %d ops; all of them wait", c.Ops))
	}
	if c.Resolution != "" && c.ResolvedAt != nil {
		t.add("decided", c.Resolution+" by "+c.ResolvedBy+", "+moment(*c.ResolvedAt))
	}
	if c.Lost != nil {
		t.add("lost", "batch "+c.Lost.String()+", by a failover of PostgreSQL")
	}
	if c.Seen != "" {
		t.add("seen", c.Seen+" (for --seen of a decision)")
	}
	if c.ResolvedAs != nil {
		t.add("written as", "batch "+c.ResolvedAs.String())
	}
	if err := t.writeRows(w, sc); err != nil {
		return err
	}
	base, err := sideText(c.Base)
	if err != nil {
		return err
	}
	for _, side := range []struct {
		name, none string
		document   json.RawMessage
	}{
		{"theirs, at the primary", "there is no such document at the primary", c.Theirs},
		{"ours, as it was acknowledged", "the write leaves no document", c.Ours},
	} {
		text, err := sideText(side.document)
		if err != nil {
			return err
		}
		shown := string(diff.Diff("base", base, side.name, text))
		switch {
		case len(text) == 0:
			shown = side.name + ": " + side.none + "\n"
		case shown == "":
			shown = side.name + ": nothing was changed\n"
		}
		if _, err := io.WriteString(w, "\n"+plainLines(shown)); err != nil {
			return err
		}
	}
	return nil
}

// sideText returns one side of a conflict as YAML without what the store writes by itself; nothing for no document.
func sideText(document json.RawMessage) ([]byte, error) {
	if len(document) == 0 || string(document) == "null" {
		return nil, nil
	}
	node, err := yamlOf(document)
	if err != nil {
		return nil, err
	}
	dropStamps(node)
	var b bytes.Buffer
	if err := interchange.EncodeYAML(&b, node); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// plainLines returns a text that can do nothing to a terminal.
func plainLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = cell(lines[i])
	}
	return strings.Join(lines, "\n")
}

func resolveConflict(ctx context.Context, a *app, args []string, seen string) error {
	how := args[1]
	if !slices.Contains(decisions(), how) {
		return usageError("%q: want theirs, ours or merged", how)
	}
	if (how == "merged") != (len(args) == 3) {
		return usageError("a file is for merged, and merged needs one: tenet conflicts resolve ID merged FILE")
	}
	if how != "theirs" && seen == "" {
		return usageError("%s needs --seen, so that nothing is overwritten that came since you looked: `tenet "+
			"conflicts show %s` tells it", how, args[0])
	}
	var document json.RawMessage
	if len(args) == 3 {
		data, err := readFile(ctx, a, args[2])
		if err != nil {
			return err
		}
		values, err := jsonOf(data)
		if err != nil {
			return fmt.Errorf("%s: %w", args[2], err)
		}
		if len(values) != 1 {
			return usageError("%s holds %d documents: want one", args[2], len(values))
		}
		document = values[0]
	}
	d, err := openRunning(ctx, a)
	if err != nil {
		return err
	}
	defer a.close(d)
	c, err := findConflict(ctx, a, d, args[0])
	if err != nil {
		return err
	}
	r, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*client.Resolution, error) {
		return d.remote.Resolve(ctx, c.ID, how, seen, document)
	})
	if err != nil {
		return err
	}
	return a.print(r, func(w io.Writer, _ screen) error {
		text := fmt.Sprintf("%s: %s stays as it is at the primary", c.ID, c.Key())
		switch {
		case r.State == knowledge.BatchQueued:
			text = fmt.Sprintf("%s: decided as %s; PostgreSQL has gone again, and the write waits for it", c.ID, how)
		case how != "theirs":
			text = fmt.Sprintf("%s: %s was written (%s), change %d", c.ID, c.Key(), how, r.Seq)
		}
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

// decisions are the ways to resolve a conflict.
func decisions() []string { return []string{"theirs", "ours", "merged"} }

// withConflicts completes the conflicts that wait, then the decisions, then files.
func withConflicts(a *app) cobra.CompletionFunc {
	const quiet = cobra.ShellCompDirectiveNoFileComp
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 1 && cmd.Name() == "resolve":
			return decisions(), quiet
		case len(args) == 2 && args[1] == "merged":
			return nil, cobra.ShellCompDirectiveDefault
		case len(args) > 0:
			return nil, quiet
		}
		d := toComplete(a, cmd)
		if d == nil {
			return nil, quiet
		}
		defer a.close(d)
		if d.remote == nil {
			return nil, quiet
		}
		list, err := allConflicts(cmd.Context(), a, d, client.ConflictQuery{}, maxCompleted)
		if err != nil {
			return nil, quiet
		}
		var ids []string
		for i := range list {
			if id := list[i].ID.String(); strings.HasPrefix(id, begun) {
				ids = append(ids, id+"\t"+list[i].Key().String())
			}
		}
		return ids, quiet
	}
}
