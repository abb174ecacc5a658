package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"tenet/internal/client"
	"tenet/internal/store"
)

type effectSettings struct {
	Verdict string `name:"verdict" by:"flag" doc:"Only what is dead, noisy or unserved"`
	Limit   int    `name:"limit" default:"200" by:"flag" doc:"How many documents at most"`
	After   string `name:"after" by:"flag" doc:"Only documents whose keys come after this one"`
}

func addEffect(a *app) {
	var s effectSettings
	a.command(a.root, &cobra.Command{
		Use:   "effect [KEY]",
		Short: "Show what rules and practices do",
		Long: `Shows for each rule and practice in use how often it was served (answers of guidance that held it),
followed and broken (runs of "tenet check", and edits that hooks judged) and exempt, in the last 180 days, and what
follows from that:

  ADOPTION   the share of the repositories that take it; - with fewer than 5 repositories
  EFFECT     by how much the share of runs that break it has fallen, from the first 14 days of its count to the last 14: 1 is to nothing, 0 is not
             at all; - where either had fewer than 20 runs, or nothing was broken at first
  VERDICT    dead: 20 runs or more looked for it, and none found it broken. noisy: it was broken or exempt in more than half of 20 runs or
             more. unserved: nobody was given it in 14 days or more

A night's work makes it of the counts ("tenet jobs run effect.work" does it now). Today is not counted: it is not
over.`,
		Example: `  tenet effect
  tenet effect --verdict noisy
  tenet effect rule/GO-001`,
		Args: cobra.MaximumNArgs(1), Annotations: printsLists(),
	}, &s, func(ctx context.Context, args []string) error {
		q := store.EffectQuery{Verdict: s.Verdict, After: s.After, Limit: s.Limit}
		if len(args) > 0 {
			if err := a.idle("for one document", "verdict", "limit", "after"); err != nil {
				return err
			}
			q.Key = args[0]
		}
		return showEffects(ctx, a, q)
	})
}

func showEffects(ctx context.Context, a *app, q store.EffectQuery) error {
	if !slices.Contains([]string{"", store.EffectDead, store.EffectNoisy, store.EffectUnserved}, q.Verdict) {
		return usageError("--verdict %q: want dead, noisy or unserved", q.Verdict)
	}
	if q.Limit < 1 || q.Limit > store.MaxFleetLimit {
		return usageError("--limit %d: want 1 to %d", q.Limit, store.MaxFleetLimit)
	}
	page, err := withFleet(ctx, a, "counts what rules do", func(ctx context.Context,
		c client.Fleet,
	) (*client.EffectPage, error) {
		return c.Effects(ctx, q)
	})
	if err != nil {
		return err
	}
	t := &table{head: []string{
		"DOCUMENT", "SERVED", "FOLLOWED", "BROKEN", "EXEMPT", "ADOPTION", "EFFECT", "VERDICT",
		"WHY",
	}, wide: 8, wrap: true}
	for i := range page.Documents {
		e := &page.Documents[i]
		t.add(e.Key, itoa(e.Served), itoa(e.Followed), itoa(e.Violated), itoa(e.Exempted),
			scoreCell(e.AdoptionRate, int64(e.AdoptionSample)),
			scoreCell(e.EffectivenessScore, e.EffectivenessSample), orDash(e.Verdict), e.Why)
	}
	if err := a.printTable(page, t); err != nil {
		return err
	}
	if len(page.Documents) == 0 && q == (store.EffectQuery{Limit: q.Limit}) {
		a.say("nothing was worked out yet: `tenet jobs run effect.work` does it now")
	}
	if page.Next != "" {
		a.sayMore(len(page.Documents), "--after "+page.Next+" shows them")
	}
	return nil
}

// scoreCell shows a score with its sample.
func scoreCell(score *float64, of int64) string {
	if score == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f of %d", *score, of)
}
