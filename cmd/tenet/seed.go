package main

import (
	"context"

	"github.com/spf13/cobra"

	"tenet/internal/server"
)

func (a *app) addSeed() {
	a.command(a.root, &cobra.Command{
		Use:   "seed",
		Short: "Write the starter set, or bring it up to date",
		Long: `Writes the starter set of categories, rules, practices and templates: what is missing is created, and what an older version
of tenet wrote is brought up to date. What anybody has edited, retired or purged since is left alone. A new install is
seeded by itself.`,
		Example: `  tenet seed`,
	}, nil, func(ctx context.Context, _ []string) error {
		d, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		report, err := server.Seed(ctx, d)
		if err != nil {
			return err
		}
		t := &table{head: []string{"CREATED", "UPDATED", "CURRENT", "EDITED HERE"}}
		t.add(itoa(int64(report.Created)), itoa(int64(report.Updated)), itoa(int64(report.Current)), itoa(int64(report.Edited)))
		return a.printTable(report, t)
	})
}
