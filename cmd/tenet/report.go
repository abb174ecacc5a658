package main

import (
	"context"
	"os"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"tenet/internal/check"
	"tenet/internal/knowledge"
)

type reportSettings struct {
	Path       string `name:"path" by:"flag" doc:"File in which the rule is broken"`
	Line       int64  `name:"line" by:"flag" doc:"Line in the file, from 1"`
	Message    string `name:"message" short:"m" by:"flag" doc:"What is wrong there"`
	Severity   string `name:"severity" by:"flag" doc:"CRITICAL, ERROR, WARNING or INFO (default: as the rule says)"`
	Repository string `name:"repository" by:"flag" doc:"Repository of the file (default: the one in .tenet.yaml)"`
	Source     string `name:"source" default:"person" by:"flag" doc:"Who or what found it"`
	DryRun     dryRun `name:"dry-run" by:"flag" doc:"Write nothing, and show what would be done; =server asks the server"`
	Batch      string `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
}

func addReport(a *app) {
	var s reportSettings
	a.command(a.root, &cobra.Command{
		Use:   "report RULE",
		Short: "Report that a rule is broken somewhere",
		Long: `Reports a place where a rule is broken, as a violation that "tenet list violations" shows. In a git
work tree the path is taken from its root. "tenet check --report" reports what the checks of rules find.`,
		Example: `  tenet report SEC-001 --path internal/auth/login.go --line 42 --message 'the password is logged'
  tenet report SEC-001 --path db.go --message 'built by hand' --repository payments-api --severity CRITICAL`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeOf(a, knowledge.KindRule),
		Annotations:       prints(asName),
	}, &s, func(ctx context.Context, args []string) error {
		if len(args) == 1 {
			args = []string{string(knowledge.KindRule) + "/" + trimKind(args[0], knowledge.KindRule)}
		}
		key, err := oneKey(args)
		if err != nil {
			return err
		}
		if key.Kind != knowledge.KindRule {
			return usageError("%s is no rule: a violation is of a rule", key)
		}
		return report(ctx, a, key, &s)
	})
}

func report(ctx context.Context, a *app, rule knowledge.Key, s *reportSettings) error {
	if s.Message == "" {
		return usageError("say with --message what is wrong there")
	}
	id, err := batchID(s.Batch)
	if err != nil {
		return err
	}
	v := &check.Place{
		Rule: rule.ID, Source: s.Source, Repository: s.Repository, Line: s.Line, Message: s.Message,
		Severity: s.Severity,
	}
	if s.Path != "" {
		if v.Path, err = inWorkTree(s.Path); err != nil {
			return err
		}
	}
	if v.Repository == "" {
		dir, err := os.Getwd()
		if err != nil {
			return usageError("%s", err)
		}
		tree, err := openTree(a, dir)
		if err != nil {
			return err
		}
		v.Repository = tree.config.Repository
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) {
		return d.Get(ctx, rule)
	})
	if err != nil {
		return err
	}
	if v.Severity == "" {
		v.Severity = fieldText(rec.JSON, "severity")
	}
	// Its id is made of the batch's, so that the same command with the same --batch is the same write.
	doc := v.Document(uuid.NewSHA1(id, []byte(rule.String())).String())
	if err := doc.Validate(); err != nil {
		return err
	}
	ops := []knowledge.Op{knowledge.Put(doc, knowledge.NoVersion)}
	return applyOr(ctx, a, d, s.DryRun, knowledge.Batch{ID: id, Ops: ops})
}
