package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type archiveSettings struct {
	Kind  string `name:"kind" by:"flag" doc:"Only documents of this kind"`
	After string `name:"after" by:"flag" doc:"Only what comes after this document, as kind/id"`
	Limit int    `name:"limit" default:"100" by:"flag" doc:"How many at most, 500 at most"`
}

func addArchive(a *app) {
	group := &cobra.Command{
		Use: "archive", Short: "Show what was retired long ago, and bring it back",
		Long: `Documents that were retired long ago are in the archive: --archive-after of "tenet serve" says after
how long, and the job retention.archive moves them. No list, no search, no guidance and no copy has them; their
history stays.`,
	}
	a.root.AddCommand(group)
	var list archiveSettings
	a.command(group, &cobra.Command{
		Use: "list", Short: "List archived documents", Long: `Lists archived documents, by kind and id.`,
		Example:     "  tenet archive list\n  tenet archive list --kind rule --limit 500",
		Annotations: printsLists(),
	}, &list, func(ctx context.Context, _ []string) error { return listArchive(ctx, a, &list) })
	a.command(group, &cobra.Command{
		Use: "show KEY", Short: "Show an archived document", Long: `Shows a document as it was before it was archived.`,
		Example: "  tenet archive show rule/SEC-001", Args: cobra.RangeArgs(1, 2), Annotations: prints(asName, asWide),
	}, &struct{}{}, func(ctx context.Context, args []string) error { return showArchived(ctx, a, args) })
	var restore verbSettings
	a.command(group, &cobra.Command{
		Use: "restore KEY...", Short: "Bring archived documents back",
		Long: `Brings archived documents back into use, at the version after that of the archive and with their
history. "tenet restore" does the same.`,
		Example: "  tenet archive restore rule/SEC-001", Args: cobra.MinimumNArgs(1), Annotations: prints(asName),
	}, &restore, func(ctx context.Context, args []string) error {
		return doVerb(ctx, a, knowledge.VerbRestore, args, restore)
	})
}

// archived asks for a page of the archive, and whether another one comes after it.
func archived(ctx context.Context, a *app, q store.ArchiveQuery) (list []store.Archived, more bool, err error) {
	d, err := a.openToLook(ctx)
	if err != nil {
		return nil, false, err
	}
	defer a.close(d)
	list, err = withTimeout(ctx, a.Timeout, func(ctx context.Context) (page []store.Archived, err error) {
		if d.remote != nil {
			page, more, err = client.Archived(ctx, d.remote, q)
			return page, err
		}
		one := q
		one.Limit++
		page, err = d.local.Archived(ctx, one)
		more = len(page) > q.Limit
		return page[:min(len(page), q.Limit)], err
	})
	return list, more, err
}

func listArchive(ctx context.Context, a *app, s *archiveSettings) error {
	q := store.ArchiveQuery{Limit: s.Limit}
	if s.Limit < 1 || s.Limit > store.MaxArchived {
		return usageError("--limit %d: want 1 to %d", s.Limit, store.MaxArchived)
	}
	var err error
	if s.Kind != "" {
		if q.Kind, err = parseKind(s.Kind); err != nil {
			return usageError("--kind: %s", err)
		}
	}
	if s.After != "" {
		if q.After, err = parseKey(s.After); err != nil {
			return usageError("--after: %s", err)
		}
	}
	list, more, err := archived(ctx, a, q)
	if err != nil {
		return err
	}
	type row struct {
		Key     string         `json:"key"`
		Version int64          `json:"version"`
		At      knowledge.Time `json:"archived_at"`
		Title   string         `json:"title"`
	}
	rows := make([]row, len(list))
	t := &table{
		head: []string{"KEY", "VERSION", "ARCHIVED (UTC)", "TITLE"}, wide: 3, none: "no documents are in the archive",
	}
	for i := range list {
		d, err := list[i].Record.Document()
		if err != nil {
			return err
		}
		r := row{list[i].Key.String(), list[i].Version, list[i].At, d.Text().Title}
		rows[i] = r
		t.add(r.Key, itoa(r.Version), moment(r.At), r.Title)
	}
	if more {
		defer func() { a.sayMore(len(list), fmt.Sprintf("--after %s shows them", list[len(list)-1].Key)) }()
	}
	return a.printTable(struct {
		Documents []row `json:"documents"`
	}{rows}, t)
}

func showArchived(ctx context.Context, a *app, args []string) error {
	keys, err := readKeys(args)
	if err != nil {
		return err
	}
	if len(keys) != 1 {
		return usageError("%d documents are named: want one", len(keys))
	}
	return printArchived(ctx, a, keys[0], "")
}

// printArchived prints a document as it was before it was archived; fields names those to print, "" all.
func printArchived(ctx context.Context, a *app, key knowledge.Key, fields string) error {
	if key.Kind == "" {
		return usageError("%s: the archive is asked by kind and id, as in rule/%s", key.ID, key.ID)
	}
	only, err := splitFields(key.Kind, fields)
	if err != nil {
		return err
	}
	list, _, err := archived(ctx, a, store.ArchiveQuery{Kind: key.Kind, ID: key.ID, Limit: 1})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return &store.NotFoundError{Key: key}
	}
	return printDocument(a, list[0].Record, only)
}
