package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
)

type tokenCreateSettings struct {
	whySettings
	Name    string `name:"name" by:"flag" doc:"Name to show (default: the id)"`
	Role    string `name:"role" by:"flag" doc:"viewer reads; contributor writes drafts of rules, reports violations and proposes; maintainer publishes and waives; admin manages principals and purges (default: viewer, contributor with --agent)"`
	Agent   bool   `name:"agent" by:"flag" doc:"A program that decides by itself: it only reads, reports and proposes"`
	Expires string `name:"expires" by:"flag" doc:"When it expires: a time, a day, or an age such as 720h (default: never)"`
	Batch   string `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
}

func addToken(a *app) {
	group := &cobra.Command{
		Use:   "token",
		Short: "Manage who may call, and with which token",
		Long: `Makes, lists and revokes tokens. A token stands for a principal, who has a role. Only admins may do
this.`,
	}
	a.root.AddCommand(group)
	var create tokenCreateSettings
	a.command(group, &cobra.Command{
		Use:   "create ID",
		Short: "Make a principal with a token",
		Long: `Makes a principal and prints its token, which is shown this once and kept nowhere. The name of the
token's file or variable is up to its user; every command takes it from TENET_TOKEN or --token-file.`,
		Example: `  tenet token create ci-payments --role contributor --expires 2160h
  tenet token create assistant --agent
  TENET_TOKEN=$(tenet token create laptop --role maintainer --quiet)`,
		Args: cobra.ExactArgs(1),
	}, &create, func(ctx context.Context, args []string) error { return createToken(ctx, a, args[0], &create) })
	var rotate tokenRotateSettings
	a.command(group, &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a principal another token",
		Long: `Gives a principal another token and prints it, shown this once; the old one opens nothing from then on.
A revoked principal is in use again. When the old token is the admin's in the data directory of this machine, its file
gets the new one.`,
		Example: `  tenet token rotate ci-payments --expires 2160h`, Args: cobra.ExactArgs(1),
	}, &rotate, func(ctx context.Context, args []string) error { return rotateToken(ctx, a, args[0], &rotate) })
	var list filters
	list.Active, list.Limit = "any", knowledge.MaxLimit
	a.command(group, &cobra.Command{
		Use: "list", Short: "List principals",
		Long:    `Lists the principals, with the beginning of their tokens, by which a token can be told.`,
		Example: `  tenet token list`, Annotations: printsLists(),
	}, nil, func(ctx context.Context, _ []string) error {
		list.All, list.Sort = true, string(knowledge.OrderID)
		return listDocuments(ctx, a, knowledge.KindPrincipal, &list)
	})
	var revoke verbSettings
	a.command(group, &cobra.Command{
		Use: "revoke ID...", Short: "Revoke tokens at once",
		Long: `Disables principals: their tokens open nothing from now on. "tenet restore principal/ID" takes it
back.`,
		Example: `  tenet token revoke ci-payments`, Args: cobra.MinimumNArgs(1),
	}, &revoke, func(ctx context.Context, args []string) error {
		keys := make([]string, len(args))
		for i, id := range args {
			keys[i] = string(knowledge.KindPrincipal) + "/" + trimKind(id, knowledge.KindPrincipal)
		}
		return doVerb(ctx, a, knowledge.VerbRetire, keys, revoke)
	})
}

func createToken(ctx context.Context, a *app, id string, s *tokenCreateSettings) error {
	batch, err := batchID(s.Batch)
	if err != nil {
		return err
	}
	if _, err := parseKey(string(knowledge.KindPrincipal) + "/" + id); err != nil {
		return err
	}
	p, token, err := access.NewPrincipal(id, cmp.Or(s.Role, access.RoleOf(s.Agent)))
	if err != nil {
		return err
	}
	p.Name, p.Agent = s.Name, s.Agent
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
	var was *knowledge.Record
	if s.Batch == "" { // else it may be there by the same batch
		if was, err = principalRecord(ctx, a, d, id); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	b := knowledge.Batch{ID: batch, Message: s.Message, Ops: []knowledge.Op{access.Issue(p, was)}}
	if b.Actor, err = withTimeout(ctx, a.Timeout, d.actor); err != nil {
		return err
	}
	_, err = withTimeout(ctx, a.Timeout, func(ctx context.Context) (knowledge.Receipt, error) {
		return d.Apply(ctx, b)
	})
	if errors.Is(err, store.ErrConflict) && s.Batch == "" {
		return fmt.Errorf("%w: `tenet token rotate %s` gives it another token, and `tenet patch principal/%[2]s "+
			"--set role=ROLE` another role", err, id)
	}
	if err != nil {
		return err
	}
	return showToken(a, p, token)
}

// showToken prints a token, this once.
func showToken(a *app, p *knowledge.Principal, token string) error {
	until := "it is revoked"
	if !p.Expiry.IsZero() {
		until = moment(p.Expiry) + " UTC"
	}
	as := p.Role
	if p.Agent {
		as += " (agent)"
	}
	a.say("%s may call as %s until %s, with the token", p.PrincipalID, as, until)
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

type tokenRotateSettings struct {
	whySettings
	Expires string `name:"expires" by:"flag" doc:"When it expires: a time, a day, or an age such as 720h (default: as the old one)"`
}

// principalRecord returns the record of a principal.
func principalRecord(ctx context.Context, a *app, d *door, id string) (*knowledge.Record, error) {
	return withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) {
		return d.Get(ctx, knowledge.Key{Kind: knowledge.KindPrincipal, ID: id})
	})
}

// rotated returns the principal of a record with another token, and both as they are and were.
func rotated(rec *knowledge.Record, s *tokenRotateSettings) (next, was *knowledge.Principal, token string, err error) {
	var until *knowledge.Time
	if s.Expires != "" {
		at, err := expiry(s.Expires, time.Now())
		if err != nil {
			return nil, nil, "", err
		}
		until = &at
	}
	doc, err := rec.Document()
	if err != nil {
		return nil, nil, "", err
	}
	was, ok := doc.(*knowledge.Principal)
	if !ok {
		return nil, nil, "", fmt.Errorf("%s is no principal", rec.Key)
	}
	next, token, err = access.Rotate(was, until, time.Now())
	if expired, ok := errors.AsType[*access.ExpiredError](err); ok {
		return nil, nil, "", usageError("%s, with --expires", expired)
	}
	return next, was, token, err
}

func rotateToken(ctx context.Context, a *app, id string, s *tokenRotateSettings) error {
	id = trimKind(id, knowledge.KindPrincipal) // as token list --output name prints it
	if _, err := parseKey(string(knowledge.KindPrincipal) + "/" + id); err != nil {
		return err
	}
	if _, err := expiry(s.Expires, time.Now()); err != nil {
		return err
	}
	d, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	rec, err := principalRecord(ctx, a, d, id)
	if err != nil {
		return err
	}
	next, p, token, err := rotated(rec, s)
	if err != nil {
		return err
	}
	b := knowledge.Batch{
		ID: knowledge.NewBatchID(), Message: s.Message, Ops: []knowledge.Op{knowledge.Put(next, rec.Version)},
	}
	if b.Actor, err = withTimeout(ctx, a.Timeout, d.actor); err != nil {
		return err
	}
	path := filepath.Join(a.DataDir, server.TokenFile)
	own := tokenFileHolds(path, p.TokenHash)
	if own { // the file comes first: a token that is known and in no file would be an admin that nobody can be
		if err := os.WriteFile(path+".new", []byte(token+"\n"), 0o600); err != nil {
			return fmt.Errorf("keep the new token: %w", err)
		}
	}
	if _, err = withTimeout(ctx, a.Timeout, func(ctx context.Context) (knowledge.Receipt, error) {
		return d.Apply(ctx, b)
	}); err != nil {
		return err
	}
	if own {
		if err := os.Rename(path+".new", path); err != nil {
			return fmt.Errorf("the new token stands in %s.new, and %s still holds the old one: %w", path, path, err)
		}
		a.say("%s holds the new token", path)
	}
	return showToken(a, next, token)
}

// tokenFileHolds reports whether a file holds the token with a hash.
func tokenFileHolds(path, hash string) bool {
	data, err := os.ReadFile(path) //nolint:gosec // in the data directory that the user chose
	return err == nil && access.HashToken(strings.TrimSpace(string(data))) == hash
}

// expiry reads when a token expires: a time, a day, or a span from now.
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
	return knowledge.Time{}, usageError("--expires %q: want a time such as 2027-01-31T12:00:00Z, a day such as "+
		"2027-01-31, or a span such as 720h", text)
}
