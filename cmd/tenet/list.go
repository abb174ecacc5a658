package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// filters are what narrows a list.
type filters struct {
	Category     string `name:"category" by:"flag" doc:"Only this category"`
	Tag          string `name:"tag" by:"flag" doc:"Only documents with this tag"`
	Language     string `name:"language" by:"flag" doc:"Only documents whose scope names this language"`
	Severity     string `name:"severity" by:"flag" doc:"Only this severity: CRITICAL, ERROR, WARNING or INFO"`
	Enforcement  string `name:"enforcement" by:"flag" doc:"Only this enforcement: mandatory, recommended, optional"`
	Source       string `name:"source" by:"flag" doc:"Only documents of this source (see \"tenet source list\")"`
	Status       string `name:"status" by:"flag" doc:"Only this status, as DRAFT, ACTIVE, DEPRECATED, or open, resolved"`
	Rule         string `name:"rule" by:"flag" doc:"Only violations of this rule"`
	Repository   string `name:"repository" by:"flag" doc:"Only violations in this repository"`
	Active       string `name:"active" default:"true" by:"flag" doc:"true: active ones, false: retired ones, or any"`
	UpdatedSince string `name:"updated-since" by:"flag" doc:"Only documents changed since: a time such as 2026-01-31T12:00:00Z, a day, or an age such as 24h"`
	Sort         string `name:"sort" by:"flag" doc:"Order: house (what matters most first), updated, title or id"`
	Limit        int    `name:"limit" default:"50" by:"flag" doc:"How many at most"`
	Cursor       string `name:"cursor" by:"flag" doc:"Where to go on: next of an earlier answer"`
	All          bool   `name:"all" by:"flag" doc:"All there are"`
	Label        string `name:"label" by:"flag" doc:"The documents as they stand where this label does"`
	Fields       string `name:"fields" by:"flag" doc:"Only these fields, as in severity,scope.globs: see tenet explain"`
}

// query returns the filters as a question.
func (f *filters) query(kind knowledge.Kind, now time.Time) (knowledge.Query, error) {
	status := strings.ToLower(f.Status)
	if kind == knowledge.KindRule {
		status = strings.ToUpper(f.Status)
	}
	q := knowledge.Query{
		Kind: kind, Category: f.Category, Tag: f.Tag, Language: f.Language, Severity: strings.ToUpper(f.Severity),
		Enforcement: strings.ToLower(f.Enforcement),
		Status:      status, Rule: f.Rule, Repository: f.Repository, Order: knowledge.Order(f.Sort), Cursor: f.Cursor,
	}
	if f.Source != "" {
		if f.Tag != "" {
			return q, usageError("--source and --tag can't be given together")
		}
		q.Tag = interchange.SourceTag(f.Source)
	}
	switch f.Active {
	case "true":
	case "false":
		q.Activity = knowledge.RetiredOnly
	case "any":
		q.Activity = knowledge.AnyActivity
	default:
		return q, usageError("--active %q: want true, false or any", f.Active)
	}
	if f.Limit < 1 {
		return q, usageError("--limit %d: want 1 or more, or --all", f.Limit)
	}
	if f.UpdatedSince != "" {
		since, err := parseTime(f.UpdatedSince, now)
		if err != nil {
			return q, usageError("--updated-since %s", err)
		}
		q.UpdatedSince = since
	}
	return q, nil
}

// parseTime reads a time, a day, or an age before now.
func parseTime(text string, now time.Time) (knowledge.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return knowledge.At(t), nil
		}
	}
	if age, err := time.ParseDuration(text); err == nil && age > 0 {
		return knowledge.At(now.Add(-age)), nil
	}
	return knowledge.Time{}, usageError("%q: want a time such as 2026-01-31T12:00:00Z, a day such as 2026-01-31, or "+
		"an age such as 24h", text)
}

func addList(a *app) {
	var f filters
	a.command(a.root, &cobra.Command{
		Use:   "list KIND",
		Short: "List documents of one kind",
		Long: `Lists documents of one kind: rules, practices, templates, categories, violations, packs, repositories,
labels, proposals or principals. Filters narrow the list; one that the kind has no field for is refused. --output wide
shows more of each and cuts nothing, csv is for spreadsheets, and name prints keys only, which other commands take.`,
		Example: `  tenet list rules --severity CRITICAL
  tenet list rules --language go --output json
  tenet list rules --fields rule_id,severity,title --output csv
  tenet list rules --label production
  tenet list violations --status open --repository payments-api --all`,
		Annotations:       prints(asWide, asCSV, asName),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeKinds,
	}, &f, func(ctx context.Context, args []string) error {
		kind, err := parseKind(args[0])
		if err != nil {
			return usageError("%s", err)
		}
		return listDocuments(ctx, a, kind, &f)
	})
}

func listDocuments(ctx context.Context, a *app, kind knowledge.Kind, f *filters) error {
	q, err := f.query(kind, time.Now())
	if err == nil && f.All {
		err = a.idle("with --all", "limit")
	}
	if err != nil {
		return err
	}
	fields, err := splitFields(kind, f.Fields)
	if err != nil {
		return err
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	page, err := gather(ctx, a, d, q, f)
	if err != nil {
		return err
	}
	if kind == knowledge.KindProposal && (q.Order == "" || q.Order == knowledge.OrderHouse) {
		if page.Records, err = store.NewestFirst(page.Records); err != nil {
			return err
		}
	}
	if err := printRecords(a, kind, page, fields); err != nil {
		return err
	}
	a.sayAt(page.At)
	if a.Output != asJSON && a.Output != asYAML {
		switch {
		case len(page.Records) == 0:
			a.say("no %s match%s", kind.Plural(), unknownCategory(ctx, d, f.Category))
		case page.Next != "":
			a.say("%d shown, and there are more: --all shows all, --cursor %s the next", len(page.Records), page.Next)
		}
	}
	return nil
}

// printRecords prints documents of one kind, or some of their fields.
func printRecords(a *app, kind knowledge.Kind, page *knowledge.Page, fields []string) error {
	records := page.Records
	if a.Output == asName {
		return writeNames(a.out, keysOfRecords(records))
	}
	if len(fields) > 0 {
		l := listingOf(page)
		for i := range l.Items {
			var err error
			if l.Items[i], err = chosen(l.Items[i], fields); err != nil {
				return err
			}
		}
		return a.printTable(l, fieldTable(records, fields))
	}
	whole := a.Output == asWide || a.Output == asCSV
	t := columns(kind)
	if whole {
		t.head = append(t.head, "VERSION", "UPDATED (UTC)", "BY")
	}
	for _, r := range records {
		cells, err := row(r, whole)
		if err != nil {
			return err
		}
		t.add(cells...)
	}
	return a.printTable(listingOf(page), t)
}

// gather asks for pages until there are as many records as wanted.
func gather(ctx context.Context, a *app, d *door, q knowledge.Query, f *filters) (*knowledge.Page, error) {
	all := &knowledge.Page{Records: []*knowledge.Record{}}
	for {
		q.Limit = knowledge.MaxLimit
		if !f.All {
			q.Limit = min(q.Limit, f.Limit-len(all.Records))
		}
		page, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (*knowledge.Page, error) { return d.listAt(ctx, f.Label, q) })
		if err != nil {
			return nil, err
		}
		if len(all.Records) > 0 && page.At != all.At {
			return nil, fmt.Errorf("label %s was moved from change %d to %d while its documents were listed: list "+
				"them again", page.At.Label, all.At.Seq, page.At.Seq)
		}
		all.Records, all.Next, all.At = append(all.Records, page.Records...), page.Next, page.At
		if page.Next == "" || !f.All && len(all.Records) >= f.Limit {
			return all, nil
		}
		q.Cursor = page.Next
	}
}

// completeKinds completes the name of a kind.
func completeKinds(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, k := range knowledge.Kinds() {
		names = append(names, k.Plural())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
