package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type fleetSettings struct {
	State string `name:"state" by:"flag" doc:"Only this state: silent, edited, missing, behind, exempt or current"`
	Limit int    `name:"limit" default:"200" by:"flag" doc:"How many repositories at most"`
	After string `name:"after" by:"flag" doc:"Only repositories whose ids come after this one"`
}

func addFleet(a *app) {
	var s fleetSettings
	a.command(a.root, &cobra.Command{
		Use:   "fleet [REPOSITORY]",
		Short: "Show which repositories are behind",
		Long: `Shows how repositories stand to what they take, by what "tenet sync" and "tenet check" told of them
when they ran last. The states, the one that matters most first:

  silent    nothing was heard of it for 14 days, or ever
  edited    somebody has changed by hand what sync has written
  missing   files that sync would write are not there
  behind    what it takes has changed since
  exempt    it is current, but for rules that need not hold in it for a while
  current   it has what it takes

With a repository it shows which documents have changed since that took them. A running tenet looks every 15 minutes
at which repositories others' changes have left behind ("tenet jobs run fleet.look" looks now).`,
		Example: `  tenet fleet
  tenet fleet --state behind
  tenet fleet acme.pay`,
		Args: cobra.MaximumNArgs(1), Annotations: printsLists(),
	}, &s, func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			if err := a.idle("for one repository", "state", "limit", "after"); err != nil {
				return err
			}
			return fleetNews(ctx, a, args[0])
		}
		return listFleet(ctx, a, &s)
	})
}

// keepsFleet is what only a running tenet does for these commands.
const keepsFleet = "keeps a fleet"

// withFleet calls fn with the running tenet, which alone does what the command is about.
func withFleet[T any](ctx context.Context, a *app, does string,
	fn func(context.Context, client.Fleet) (T, error),
) (got T, err error) {
	d, err := a.openToLook(ctx)
	if err != nil {
		return got, err
	}
	defer a.close(d)
	if d.remote == nil {
		return got, usageError("no server runs on %s, and only a running one %s: start it with `tenet serve`, or "+
			"name it with --url", a.DataDir, does)
	}
	return withTimeout(ctx, a.Timeout, func(ctx context.Context) (T, error) {
		return fn(ctx, client.Fleet{Store: d.remote})
	})
}

func listFleet(ctx context.Context, a *app, s *fleetSettings) error {
	states := store.FleetStates()
	if s.State != "" && !slices.Contains(states, store.FleetState(s.State)) {
		return usageError("--state %q: want one of silent, edited, missing, behind, exempt, current", s.State)
	}
	if s.Limit < 1 || s.Limit > store.MaxFleetLimit {
		return usageError("--limit %d: want 1 to %d", s.Limit, store.MaxFleetLimit)
	}
	page, err := withFleet(ctx, a, keepsFleet, func(ctx context.Context, c client.Fleet) (*client.FleetPage, error) {
		return c.Page(ctx, s.State, s.After, s.Limit)
	})
	if err != nil {
		return err
	}
	t := &table{
		head: []string{"REPOSITORY", "STATE", "FOR", "SEEN", "BRANCH", "BY", "WHY"},
		wide: 6, wrap: true, none: "no repositories are here",
	}
	for i := range page.Repositories {
		r := &page.Repositories[i]
		t.add(r.Repository, string(r.State), since(r.Since), since(r.LastSeen), orDash(r.Branch), orDash(r.By),
			whyFleet(r))
	}
	if err := a.printTable(page, t); err != nil {
		return err
	}
	var sums []string
	for _, c := range page.Counts {
		sums = append(sums, fmt.Sprintf("%d %s", c.Repositories, c.State))
	}
	if len(sums) > 0 {
		a.say("of all repositories %s, as counted at %s UTC", strings.Join(sums, ", "), moment(page.CountedAt))
	}
	if page.Next != "" {
		a.sayMore(len(page.Repositories), "--after "+page.Next+" shows them")
	}
	return nil
}

// since says how long ago something was.
func since(t knowledge.Time) string {
	if t.IsZero() {
		return "never"
	}
	if text := ago(t.Time); text != justNow {
		return text
	}
	return "just now"
}

// whyFleet says what made a repository's state.
func whyFleet(r *client.FleetStanding) string {
	f := r.Files
	if f == nil {
		f = &store.FleetFiles{}
	}
	switch r.State {
	case store.FleetSilent:
		if r.LastSeen.IsZero() {
			return "it never told anything"
		}
		return "not heard of since " + r.LastSeen.Format(time.DateOnly)
	case store.FleetEdited:
		return plural(int64(f.Edited), "file", "files") + " changed by hand"
	case store.FleetMissing:
		return plural(int64(f.Missing), "file", "files") + " missing"
	case store.FleetBehind:
		switch {
		case r.Fault != "":
			return r.Fault
		case f.Behind > 0:
			return plural(int64(f.Behind), "file", "files") + " written earlier"
		}
		return fmt.Sprintf("what it takes has changed since change %d", r.Seq)
	case store.FleetExempt:
		return plural(int64(r.Exemptions), "exemption", "exemptions") + " in force"
	case store.FleetCurrent:
	}
	return ""
}

func fleetNews(ctx context.Context, a *app, id string) error {
	n, err := withFleet(ctx, a, keepsFleet, func(ctx context.Context, c client.Fleet) (*client.FleetNews, error) {
		return c.News(ctx, id)
	})
	if err != nil {
		return err
	}
	err = a.print(n, func(w io.Writer, sc screen) error {
		r := &n.Standing
		line := fmt.Sprintf("%s is %s", r.Repository, r.State)
		if n := len(n.Changed); n > 0 && (r.State == store.FleetCurrent || r.State == store.FleetExempt) {
			line = fmt.Sprintf("%s was %s when it was last looked at, and is behind by %s now", r.Repository, r.State,
				plural(int64(n), "document", "documents"))
		}
		if why := whyFleet(r); why != "" {
			line += ": " + why
		}
		if !r.LastSeen.IsZero() {
			line += fmt.Sprintf("; last seen %s UTC by %s on %s", moment(r.LastSeen), orDash(r.By), orDash(r.Branch))
		}
		if h := r.Hooks; h != nil {
			line += fmt.Sprintf("; its hooks judged %s and denied %d", plural(int64(h.Edits), "edit", "edits"),
				h.Denied)
		}
		if _, err := fmt.Fprintln(w, cell(line)); err != nil || len(n.Changed) == 0 {
			return err
		}
		t := &table{head: []string{"DOCUMENT", "WHAT", "VERSION", "WHEN (UTC)", "BY", "TITLE"}, wide: 5}
		for i := range n.Changed {
			m := &n.Changed[i]
			t.add(m.Key, m.How, itoa(m.Version), moment(m.At), m.By, m.Title)
		}
		return t.write(w, sc)
	})
	if err == nil && n.More {
		a.say("there is more: not every change since was looked at")
	}
	return err
}
