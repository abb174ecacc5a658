package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tenet/internal/server"
)

type migrateSettings struct {
	To int64 `name:"to" default:"-1" by:"flag" doc:"Schema to go to (up: the newest; down: the one before)"`
}

func (a *app) addMigrate() {
	group := &cobra.Command{
		Use:   "migrate",
		Short: "Change the database's schema",
		Long: `Changes the schema of the database: of the embedded one in the data directory, which no tenet may be using, or of the
PostgreSQL that --database-url names. "tenet serve" migrates up by itself when its role may; where the application's role
has no rights to do so, run "tenet migrate up" under another role.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("no command %q: want migrate up, down or status", args[0])
			}
			return cmd.Help()
		},
	}
	a.root.AddCommand(group)
	var up, down migrateSettings
	a.command(group, &cobra.Command{
		Use: "up", Short: "Migrate to the newest schema", Long: `Migrates to the newest schema that this program knows, or to --to.`,
		Example: `  tenet migrate up`,
	}, &up, func(ctx context.Context, _ []string) error {
		s, err := server.Migrate(ctx, a.localOptions(), up.To)
		if err != nil {
			return err
		}
		return a.printSchema(s)
	})
	a.command(group, &cobra.Command{
		Use: "down", Short: "Migrate to the schema before",
		Long:    `Migrates one schema down, or to --to. What only the newer schema can hold is lost: export first.`,
		Example: `  tenet export before.jsonl && tenet migrate down`,
	}, &down, func(ctx context.Context, _ []string) error {
		to := down.To
		if to < 0 {
			s, err := server.ReadSchema(ctx, a.localOptions())
			if err != nil {
				return err
			}
			if s.Version == 0 {
				return usageError("there is no schema to go down from")
			}
			to = s.Version - 1
		}
		s, err := server.Migrate(ctx, a.localOptions(), to)
		if err != nil {
			return err
		}
		return a.printSchema(s)
	})
	a.command(group, &cobra.Command{
		Use: "status", Short: "Show which schema the database has", Long: `Shows the schema of the database and the newest one that this program knows.`,
		Example: `  tenet migrate status --output json`,
	}, nil, func(ctx context.Context, _ []string) error {
		s, err := server.ReadSchema(ctx, a.localOptions())
		if err != nil {
			return err
		}
		return a.printSchema(s)
	})
}

func (a *app) printSchema(s server.Schema) error {
	return a.print(s, func(w io.Writer, _ screen) error {
		state := "the newest"
		if s.Version < s.Newest {
			state = fmt.Sprintf("%d is the newest: run `tenet migrate up`", s.Newest)
		}
		_, err := fmt.Fprintf(w, "%s has schema %d, %s\n", s.Place, s.Version, state)
		return err
	})
}
