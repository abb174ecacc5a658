package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tenet/internal/server"
)

type migrateSettings struct {
	To int64 `name:"to" default:"-1" by:"flag" doc:"Schema to go to (default: the newest)"`
}

type grantSettings struct {
	App    string `name:"app" default:"tenet_app" by:"flag" blank:"none" doc:"Role of the program; empty for none"`
	Reader string `name:"reader" default:"tenet_reader" by:"flag" blank:"none" doc:"Role that only reads; empty for none"`
	DryRun bool   `name:"dry-run" by:"flag" doc:"Show the statements, and run none"`
}

type migrateUpSettings struct {
	migrateSettings

	Grants bool `name:"grants" by:"flag" doc:"Then give tenet_app and tenet_reader their rights (tenet migrate grants)"`
}

type migrateDownSettings struct {
	To       int64  `name:"to" default:"-1" by:"flag" doc:"Schema to go to (default: the one before)"`
	Yes      bool   `name:"yes" by:"flag" doc:"Do it: without this the command says what would be lost, and does nothing"`
	Database string `name:"database" by:"flag" doc:"For --to 0, which empties the database: its name, to be sure"`
}

func addMigrate(a *app) {
	group := &cobra.Command{
		Use:   "migrate",
		Short: "Change the database's schema",
		Long: `Changes the schema of the database: of the embedded one in the data directory, which no server may be
using, or of the PostgreSQL that --database-url names. "tenet serve" migrates up by itself when its role may; where
the application's role has no rights to do so, run "tenet migrate up" under another role.`,
	}
	a.root.AddCommand(group)
	addMigrateUp(a, group)
	addMigrateGrants(a, group)
	addMigrateDown(a, group)
	a.command(group, &cobra.Command{
		Use: "status", Short: "Show which schema the database has",
		Long:    `Shows the schema of the database and the newest one that this program knows.`,
		Example: `  tenet migrate status --output json`,
	}, nil, func(ctx context.Context, _ []string) error {
		s, err := server.ReadSchema(ctx, a.localOptions())
		if err != nil {
			return err
		}
		return printSchema(a, s)
	})
}

func addMigrateUp(a *app, group *cobra.Command) {
	var up migrateUpSettings
	a.command(group, &cobra.Command{
		Use: "up", Short: "Migrate to the newest schema",
		Long:    `Migrates to the newest schema that this program knows, or to --to.`,
		Example: `  tenet migrate up`,
	}, &up, func(ctx context.Context, _ []string) error {
		if up.To < -1 {
			return usageError("--to %d: want a schema, as tenet migrate status shows it", up.To)
		}
		s, err := server.Migrate(ctx, a.localOptions(), up.To)
		if err != nil {
			return err
		}
		if up.Grants {
			if _, err := server.GrantRights(ctx, a.localOptions(), "tenet_app", "tenet_reader", false); err != nil {
				return err
			}
		}
		return printSchema(a, s)
	})
}

func addMigrateDown(a *app, group *cobra.Command) {
	var down migrateDownSettings
	a.command(group, &cobra.Command{
		Use: "down", Short: "Migrate to the schema before",
		Long: `Migrates one schema down, or to --to. What only the newer schema can hold is lost: export first.
Without --yes it says how much the database holds, and does nothing. It refuses while a server is at work on the
database; --to 0 empties it and wants its name as --database.`,
		Example: `  tenet export before.jsonl && tenet migrate down --yes`,
	}, &down, func(ctx context.Context, _ []string) error {
		to := down.To
		if to < -1 {
			return usageError("--to %d: want a schema, as tenet migrate status shows it", to)
		}
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
		if err := mayGoDown(ctx, a, &down, to); err != nil {
			return err
		}
		s, err := server.Migrate(ctx, a.localOptions(), to)
		if err != nil {
			return err
		}
		return printSchema(a, s)
	})
}

func addMigrateGrants(a *app, group *cobra.Command) {
	var s grantSettings
	a.command(group, &cobra.Command{
		Use: "grants", Short: "Give the roles of a PostgreSQL their rights",
		Long: `Gives the program's role and the reader's what they need, and takes away everything else, also from
everybody (PUBLIC). It wants the address of the role that owns the tables; deploy/postgres/roles.sql makes the roles.
The program's role can neither change nor delete the log of changes, the ledger of batches, purges or the audit, nor
anything of the schema. Run it again after each migration.`,
		Example: `  tenet migrate grants --database-url postgres://tenet_owner@db.example.org/tenet?sslmode=verify-full
  tenet migrate grants --dry-run`,
	}, &s, func(ctx context.Context, _ []string) error {
		list, err := server.GrantRights(ctx, a.localOptions(), s.App, s.Reader, s.DryRun)
		if err != nil {
			return err
		}
		return a.print(struct {
			Statements []string `json:"statements"`
			Done       bool     `json:"done"`
		}{list, !s.DryRun}, func(w io.Writer, _ screen) error {
			if !s.DryRun {
				_, err := fmt.Fprintf(w, "%s done: `tenet doctor postgres --role %s` looks at what is in "+
					"force\n", plural(int64(len(list)), "statement", "statements"), s.App)
				return err
			}
			for _, sql := range list {
				if _, err := fmt.Fprintln(w, sql+";"); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// mayGoDown returns an error unless the operator knows what that costs, and nobody else is at work on the
// database.
func mayGoDown(ctx context.Context, a *app, s *migrateDownSettings, to int64) error {
	if to != 0 {
		if err := a.idle("but for --to 0", "database"); err != nil {
			return err
		}
	}
	c, name, err := server.ReadContents(ctx, a.localOptions())
	if err != nil {
		return err
	}
	holds := fmt.Sprintf("%s, %s and %s", plural(c.Documents, "document", "documents"),
		plural(c.Principals, "principal with its tokens", "principals with their tokens"),
		plural(c.Changes, "change", "changes"))
	switch {
	case c.Tenets > 0:
		return usageError("a server is at work on the database (%s): stop every one, then go down",
			plural(c.Tenets, "session", "sessions"))
	case to == 0 && s.Database != name:
		return usageError("schema 0 is an empty database: %s would be lost; to go there, name the database with "+
			"--database %s, and give --yes", holds, name)
	case !s.Yes:
		return usageError("the database holds %s; what only its schema can hold would be lost in schema %d: export "+
			"first, then give --yes", holds, to)
	}
	return nil
}

func printSchema(a *app, s server.Schema) error {
	return a.print(s, func(w io.Writer, _ screen) error {
		state := "the newest"
		if s.Version < s.Newest {
			state = fmt.Sprintf("%d is the newest: run `tenet migrate up`", s.Newest)
		}
		_, err := fmt.Fprintf(w, "%s has schema %d, %s\n", s.Place, s.Version, state)
		return err
	})
}
