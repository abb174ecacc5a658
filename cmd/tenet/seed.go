package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/seed"
	"tenet/internal/server"
)

func addSeed(a *app) {
	var about strings.Builder
	var names []string
	for _, s := range seed.Stacks() {
		fmt.Fprintf(&about, "\n- %s: %s", s.Name, s.About)
		names = append(names, s.Name)
	}
	var all struct {
		All bool `help:"Write every stack"`
	}
	a.command(a.root, &cobra.Command{
		Use:   "seed [STACK...]",
		Short: "Write the starter set, or bring it up to date",
		Long: `Writes the starter set of categories, rules, practices, templates and packs: what is missing is created, and what an older
version of tenet wrote is brought up to date. What anybody has edited, retired or purged since is left alone. A new install
is seeded by itself, without the stacks, which are for one technology each:
` + about.String() + `

A stack that was written once is brought up to date with the rest.`,
		Example:   "  tenet seed\n  tenet seed jvm web",
		Args:      cobra.ArbitraryArgs,
		ValidArgs: names,
	}, &all, func(ctx context.Context, stacks []string) error {
		for _, name := range stacks {
			if !slices.Contains(names, name) {
				return usageError("there is no stack %q: want %s", name, strings.Join(names, ", "))
			}
		}
		if all.All {
			stacks = names
		}
		d, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		report, err := server.Seed(ctx, d, stacks...)
		if err != nil {
			return err
		}
		t := &table{head: []string{"CREATED", "UPDATED", "CURRENT", "EDITED HERE", "OF OTHER STACKS"}}
		t.add(itoa(int64(report.Created)), itoa(int64(report.Updated)), itoa(int64(report.Current)),
			itoa(int64(report.Edited)),
			itoa(int64(report.Left)))
		return a.printTable(report, t)
	})
}
