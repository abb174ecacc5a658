package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
)

type verbSettings struct {
	IfVersion int64  `name:"if-version" by:"flag" doc:"Only if this is the version that is there"`
	Batch     string `name:"batch" by:"flag" doc:"Id of the write, a UUID: given again after a lost answer, nothing is done twice"`
}

func (a *app) addVerbs() {
	a.addVerb(knowledge.VerbRetire, &cobra.Command{
		Use:     "retire KEY...",
		Short:   "Take documents out of use",
		Long:    `Takes documents out of use. They stay, with their history, and "tenet restore" brings them back.`,
		Example: `  tenet retire rule/SEC-001`,
	})
	a.addVerb(knowledge.VerbRestore, &cobra.Command{
		Use:     "restore KEY...",
		Short:   "Bring retired documents back",
		Long:    `Brings retired documents back into use.`,
		Example: `  tenet restore rule/SEC-001`,
	})
	a.addPurge()
}

func (a *app) addVerb(verb knowledge.Verb, cmd *cobra.Command) {
	var s verbSettings
	cmd.Args = cobra.MinimumNArgs(1)
	cmd.ValidArgsFunction = a.completeKeys
	a.command(a.root, cmd, &s, func(ctx context.Context, args []string) error {
		return a.doVerb(ctx, verb, args, s.IfVersion, s.Batch)
	})
}

type purgeSettings struct {
	IfVersion int64  `name:"if-version" by:"flag" doc:"Only if this is the version that is there"`
	Batch     string `name:"batch" by:"flag" doc:"Id of the write, a UUID: given again after a lost answer, nothing is done twice"`
	Yes       bool   `name:"yes" short:"y" by:"flag" doc:"Do not ask"`
}

func (a *app) addPurge() {
	var s purgeSettings
	a.command(a.root, &cobra.Command{
		Use:   "purge KEY...",
		Short: "Remove documents for ever, their texts from the history too",
		Long: `Removes documents, and their texts from every version in the log; the log keeps that there was something and who removed it.
This can't be undone. Only admins may do it. To take a document out of use, "tenet retire" is what you want.`,
		Example:           `  tenet purge rule/SEC-001 --yes`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeKeys,
	}, &s, func(ctx context.Context, args []string) error {
		if !s.Yes {
			if err := a.confirm(fmt.Sprintf("Remove %s for ever?", strings.Join(args, ", "))); err != nil {
				return err
			}
		}
		return a.doVerb(ctx, knowledge.VerbPurge, args, s.IfVersion, s.Batch)
	})
}

func (a *app) doVerb(ctx context.Context, verb knowledge.Verb, args []string, ifVersion int64, batch string) error {
	id, err := batchID(batch)
	if err != nil {
		return err
	}
	if len(args) > 1 && ifVersion != 0 {
		return usageError("--if-version is for one document, and %d are named", len(args))
	}
	ops := make([]knowledge.Op, len(args))
	for i, text := range args {
		key, err := parseKey(text)
		if err != nil {
			return err
		}
		ops[i] = knowledge.Op{Verb: verb, Key: key, IfVersion: ifVersion}
	}
	d, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	return a.apply(ctx, d, id, ops)
}

// confirm asks a person, and refuses where there is none to ask.
func (a *app) confirm(question string) error {
	if !isTerminal(a.in) {
		return usageError("%s Say --yes to do it; there is nobody to ask", question)
	}
	if _, err := fmt.Fprintf(a.err, "%s [y/N] ", question); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "y" && answer != "yes" {
		return usageError("nothing was done")
	}
	return nil
}
