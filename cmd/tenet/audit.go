package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type auditSettings struct {
	Actor  string `name:"actor" by:"flag" doc:"Only the calls of one principal"`
	Before string `name:"before" by:"flag" doc:"Only what is older than this time, as in 2026-11-24T08:00:00Z"`
	Limit  int    `name:"limit" default:"50" by:"flag" doc:"How many at most, 500 at most"`
}

func addAudit(a *app) {
	var s auditSettings
	a.command(a.root, &cobra.Command{
		Use: "audit", Short: "Show the calls that were refused",
		Long: `Shows who was refused what, when and from where, the newest first; who applied a proposal without its approvals; and who entered a write under another's name or another time.
What was done stands in the log of changes: see "tenet history". Only admins may ask a running tenet.

How long refusals are kept says --retain-audit of "tenet serve". Of one principal, or of one address without a token, a minute's
first 60 are kept one by one; the rest is counted.`,
		Example: `  tenet audit
  tenet audit --actor ada --limit 500 --output json`,
		Args: cobra.NoArgs,
	}, &s, func(ctx context.Context, _ []string) error { return showAudit(ctx, a, &s) })
}

func showAudit(ctx context.Context, a *app, s *auditSettings) error {
	var before knowledge.Time
	if s.Before != "" {
		at, err := time.Parse(time.RFC3339Nano, s.Before)
		if err != nil {
			return usageError("--before %q: want a time such as 2026-11-24T08:00:00Z", s.Before)
		}
		before = knowledge.At(at)
	}
	if s.Limit < 1 || s.Limit > 500 {
		return usageError("--limit %d: want 1 to 500", s.Limit)
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	list, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]store.Refusal, error) {
		if d.remote != nil {
			return d.remote.Refusals(ctx, before, s.Actor, s.Limit)
		}
		return d.local.Refusals(ctx, before, s.Actor, s.Limit)
	})
	if err != nil {
		return err
	}
	t := &table{head: []string{"AT (UTC)", "ACTOR", "FROM", "ACTION", "KEY", "REASON"}, wide: 5}
	for i := range list {
		r := &list[i]
		t.add(moment(r.At), orDash(r.Actor), orDash(r.Peer), r.Action, orDash(r.Key), r.Reason)
	}
	return a.printTable(struct {
		Refusals []store.Refusal `json:"refusals"`
	}{list}, t)
}
