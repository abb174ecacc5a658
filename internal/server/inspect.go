package server

import (
	"context"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
)

// GrantRights gives the roles of a PostgreSQL what they need and takes away everything else; dry only says how. It
// returns the statements.
func GrantRights(ctx context.Context, o Options, app, reader string, dry bool) ([]string, error) {
	if o.DatabaseURL == "" {
		return nil, knowledge.BadQuery("", "roles are those of a PostgreSQL: name it with --database-url")
	}
	if err := o.badAddress(); err != nil {
		return nil, err
	}
	return postgres.Grant(ctx, o.postgresAddress(), postgres.Roles{App: app, Reader: reader}, dry)
}

// InspectPostgres looks at the PostgreSQL that the options name as somebody would who runs databases: what the role of
// its address, or another, may do; how its settings differ from those of deploy/postgres/tenet.conf; what it has
// counted, and what it is doing.
func InspectPostgres(ctx context.Context, o Options, role string) ([]Finding, error) {
	i, err := o.inspection(ctx)
	if err != nil {
		return nil, err
	}
	defer i.Close(ctx)
	found, err := inspectRights(ctx, i, role)
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		look func(context.Context) ([]postgres.Remark, error)
		fine Finding
	}{
		{i.Settings, Finding{"settings", FoundOK, "as in deploy/postgres/tenet.conf, or better"}},
		{i.Health, Finding{"health", FoundOK, "no old transactions, idle slots, bloat, idle or double indexes"}},
	} {
		remarks, err := part.look(ctx)
		if err != nil {
			return nil, err
		}
		if len(remarks) == 0 {
			found = append(found, part.fine)
		}
		for _, r := range remarks {
			found = append(found, Finding{r.Check, []string{FoundOK, FoundWarning, FoundWrong}[r.Level], r.Text})
		}
	}
	found = append(found, examineCertificates(i.Certificates(), time.Now())...)
	costs, there, err := i.Statements(ctx, 5)
	switch {
	case err != nil:
		return nil, err
	case !there:
		found = append(found, Finding{
			"statements", FoundWarning,
			"which cost most is not known: CREATE EXTENSION pg_stat_statements in this database, with it in " +
				"shared_preload_libraries",
		})
	}
	for _, c := range costs {
		found = append(found, Finding{"statements", FoundOK, fmt.Sprintf("%s: %s, %.0f ms in all, %.3f ms each",
			c.Name, knowledge.Count(c.Calls, "call", "calls"), c.Total, c.Mean)})
	}
	return found, nil
}

// examineCertificates says when the certificates of a session end, where it has some.
func examineCertificates(c postgres.Certificates, now time.Time) (found []Finding) {
	for _, one := range []struct {
		of   string
		ends time.Time
	}{{"PostgreSQL's certificate", c.Server}, {"the client certificate", c.Client}} {
		state := FoundOK
		switch left := one.ends.Sub(now); {
		case one.ends.IsZero():
			continue
		case left < 3*day:
			state = FoundWrong
		case left < 14*day:
			state = FoundWarning
		}
		found = append(found, Finding{"certificate", state, fmt.Sprintf("%s ends at %s", one.of,
			one.ends.UTC().Format(time.RFC3339))})
	}
	return found
}

// ExplainPostgres tells how the PostgreSQL carries out one of the program's statements; with analyze it does so, and
// says what it took.
func ExplainPostgres(ctx context.Context, o Options, name string, analyze bool) (string, error) {
	i, err := o.inspection(ctx)
	if err != nil {
		return "", err
	}
	defer i.Close(ctx)
	return i.Plan(ctx, name, analyze)
}

// StatementNames returns the names that [ExplainPostgres] knows.
func StatementNames() []string { return postgres.QueryNames() }

func (o *Options) inspection(ctx context.Context) (*postgres.Inspection, error) {
	if o.DatabaseURL == "" {
		return nil, knowledge.BadQuery("", "this looks at a PostgreSQL: name it with --database-url")
	}
	if err := o.badAddress(); err != nil {
		return nil, err
	}
	return postgres.Inspect(ctx, o.postgresAddress())
}

// inspectRights has a line for each right too many or too few.
func inspectRights(ctx context.Context, i *postgres.Inspection, role string) ([]Finding, error) {
	faults, err := i.RightsFaults(ctx, role)
	if err != nil {
		return nil, err
	}
	who := "the role of the address"
	if role != "" {
		who = "role " + role
	}
	if len(faults) == 0 {
		return []Finding{{"rights", FoundOK, who + " may do what tenet needs and no more"}}, nil
	}
	var found []Finding
	for _, f := range faults {
		state := FoundWarning
		if f.Missing {
			state = FoundWrong
		}
		found = append(found, Finding{"rights", state, fmt.Sprintf("%s: %s", who, f)})
	}
	return found, nil
}
