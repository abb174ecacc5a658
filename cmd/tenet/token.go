package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/server"
)

type tokenCreateSettings struct {
	Name    string `name:"name" by:"flag" doc:"Name to show (default: the id)"`
	Role    string `name:"role" default:"viewer" by:"flag" doc:"viewer reads; contributor writes drafts of rules and reports violations; maintainer publishes and waives; admin manages principals and purges"`
	Expires string `name:"expires" by:"flag" doc:"When the token ends: a time, a day, or how long it lives, such as 720h (default: never)"`
	Batch   string `name:"batch" by:"flag" doc:"Id of the write, a UUID: given again after a lost answer, nothing is done twice"`
}

func (a *app) addToken() {
	group := &cobra.Command{
		Use:   "token",
		Short: "Manage who may call, and with which token",
		Long:  `Makes, lists and revokes tokens. A token stands for a principal, who has a role. Only admins may do this.`,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("no command %q: want token create, list or revoke", args[0])
			}
			return cmd.Help()
		},
	}
	a.root.AddCommand(group)
	var create tokenCreateSettings
	a.command(group, &cobra.Command{
		Use:   "create ID",
		Short: "Make a principal with a token",
		Long: `Makes a principal and prints its token, which is shown this once and kept nowhere. The name of the token's file or variable is
up to whoever uses it; every tenet command takes it from TENET_TOKEN or --token-file.`,
		Example: `  tenet token create ci-payments --role contributor --expires 2160h
  TENET_TOKEN=$(tenet token create laptop --role maintainer --quiet)`,
		Args: cobra.ExactArgs(1),
	}, &create, func(ctx context.Context, args []string) error { return a.createToken(ctx, args[0], &create) })
	var list filters
	list.Active, list.Limit = "any", knowledge.MaxLimit
	a.command(group, &cobra.Command{
		Use: "list", Short: "List principals", Long: `Lists the principals, with the beginning of their tokens, by which a token can be told.`,
		Example: `  tenet token list`,
	}, nil, func(ctx context.Context, _ []string) error {
		list.All, list.Sort = true, string(knowledge.OrderID)
		return a.list(ctx, knowledge.KindPrincipal, &list)
	})
	var revoke verbSettings
	a.command(group, &cobra.Command{
		Use: "revoke ID...", Short: "Make tokens worthless", Long: `Disables principals: their tokens open nothing from now on. "tenet restore principal/ID" takes it back.`,
		Example: `  tenet token revoke ci-payments`, Args: cobra.MinimumNArgs(1),
	}, &revoke, func(ctx context.Context, args []string) error {
		keys := make([]string, len(args))
		for i, id := range args {
			keys[i] = string(knowledge.KindPrincipal) + "/" + id
		}
		return a.doVerb(ctx, knowledge.VerbRetire, keys, revoke.IfVersion, revoke.Batch)
	})
}

func (a *app) createToken(ctx context.Context, id string, s *tokenCreateSettings) error {
	batch, err := batchID(s.Batch)
	if err != nil {
		return err
	}
	if _, err := parseKey(string(knowledge.KindPrincipal) + "/" + id); err != nil {
		return err
	}
	p, token, err := server.NewPrincipal(id, s.Role)
	if err != nil {
		return err
	}
	p.Name = s.Name
	if p.Expiry, err = expiry(s.Expires, time.Now()); err != nil {
		return err
	}
	p.Normalize()
	if err := p.Validate(); err != nil {
		return err
	}
	d, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	b := knowledge.Batch{ID: batch, Ops: []knowledge.Op{knowledge.Put(p, knowledge.NoVersion)}}
	if b.Actor, err = withTimeout(ctx, a.Timeout, d.actor); err != nil {
		return err
	}
	_, err = withTimeout(ctx, a.Timeout, func(ctx context.Context) (knowledge.Receipt, error) { return d.Apply(ctx, b) })
	if err != nil {
		return err
	}
	a.say("%s may call as %s until %s, with the token", p.PrincipalID, p.Role, day(p.Expiry, "it is revoked"))
	return a.print(struct {
		ID     string         `json:"id"`
		Role   string         `json:"role"`
		Expiry knowledge.Time `json:"expiry"`
		Token  string         `json:"token"`
	}{p.PrincipalID, p.Role, p.Expiry, token}, func(w io.Writer, _ screen) error {
		_, err := fmt.Fprintln(w, token)
		return err
	})
}

// expiry reads when a token ends: a time, a day, or a span from now.
func expiry(text string, now time.Time) (knowledge.Time, error) {
	if text == "" {
		return knowledge.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			if !t.After(now) {
				return knowledge.Time{}, usageError("--expires %q is past", text)
			}
			return knowledge.At(t), nil
		}
	}
	if span, err := time.ParseDuration(text); err == nil && span > 0 {
		return knowledge.At(now.Add(span)), nil
	}
	return knowledge.Time{}, usageError("--expires %q: want a time such as 2027-01-31T12:00:00Z, a day such as 2027-01-31, or a span such as 720h", text)
}
