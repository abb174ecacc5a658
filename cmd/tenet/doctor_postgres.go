package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"tenet/internal/server"
)

type doctorPostgresSettings struct {
	Role string `name:"role" by:"flag" doc:"Role whose rights are looked at (default: that of the address)"`
}

func addDoctorPostgres(a *app, group *cobra.Command) {
	var s doctorPostgresSettings
	a.command(group, &cobra.Command{
		Use:   "postgres",
		Short: "Look at the PostgreSQL as its administrator would",
		Long: `Looks at the PostgreSQL that --database-url names: what the role of the address, or of --role, may do
and should not, and what it lacks; which settings differ from deploy/postgres/tenet.conf, and what that costs; old
transactions, slots that hold the log, wraparound, dead rows, indexes that nobody uses or that are there twice, an
archive that fails; and the statements that cost most, by tenet's names for them. It only reads. The exit code is 1
when something is wrong, and 0 when there are only warnings.`,
		Example: `  tenet doctor postgres
  tenet doctor postgres --role tenet_app`,
	}, &s, func(ctx context.Context, _ []string) error {
		findings, err := server.InspectPostgres(ctx, a.localOptions(), s.Role)
		if err != nil {
			return err
		}
		return printDiagnosis(a, findings, false)
	})
}

type doctorQuerySettings struct {
	Analyze bool `name:"analyze" by:"flag" doc:"Carry it out too, in a read-only transaction, and say what it took"`
}

func addDoctorQuery(a *app, group *cobra.Command) {
	var s doctorQuerySettings
	a.command(group, &cobra.Command{
		Use:   "query [NAME]",
		Short: "Show how PostgreSQL carries out one of tenet's statements",
		Long: `Shows the plan of a statement that the server reads with, by the name that measures, the log of slow
statements and doctor postgres give it. Without a name it lists the names.`,
		Example: `  tenet doctor query
  tenet doctor query "list rules of a category"
  tenet doctor query search --analyze`,
		Args: cobra.MaximumNArgs(1),
	}, &s, func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			if err := a.idle("without a NAME", "analyze"); err != nil {
				return err
			}
			t := &table{head: []string{"STATEMENT"}}
			names := server.StatementNames()
			slices.Sort(names)
			for _, name := range names {
				t.add(name)
			}
			return a.printTable(struct {
				Statements []string `json:"statements"`
			}{names}, t)
		}
		plan, err := server.ExplainPostgres(ctx, a.localOptions(), args[0], s.Analyze)
		if err != nil {
			return err
		}
		return a.print(struct {
			Statement string `json:"statement"`
			Plan      string `json:"plan"`
		}{args[0], plan}, func(w io.Writer, _ screen) error {
			_, err := fmt.Fprintln(w, plan)
			return err
		})
	})
}
