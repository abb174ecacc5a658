package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
)

// completeArguments lets shells complete the arguments of commands that name what the server has, where the command
// does not see to that itself.
func completeArguments(a *app) {
	var below func(cmd *cobra.Command)
	below = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 {
				c.ValidArgsFunction = argumentsOf(a, strings.TrimPrefix(c.CommandPath(), "tenet "))
			}
			below(c)
		}
	}
	below(a.root)
}

// argumentsOf returns what completes the arguments of a command; nil for one whose arguments are files or free text.
func argumentsOf(a *app, command string) cobra.CompletionFunc {
	switch command {
	case "undo":
		return once(batchesOf(a))
	case "review show", "review approve", "review reject", "review ask", "review comment", "review apply",
		"review override", "review withdraw":
		return once(openProposals(a))
	case "source show", "source remove":
		return once(func(cmd *cobra.Command, begun string) []string { return tagsOf(a, cmd, true, begun) })
	case "archive show", "archive restore":
		return once(archivedKeys(a))
	case "label move", "label set":
		return completeOf(a, knowledge.KindLabel)
	case "label compare":
		return idsOf(a, knowledge.KindLabel)
	case "token revoke", "token rotate":
		return idsOf(a, knowledge.KindPrincipal)
	case "erase principal":
		return completeOf(a, knowledge.KindPrincipal)
	case "pack show":
		return idsOf(a, knowledge.KindPack)
	case "fleet":
		return completeOf(a, knowledge.KindRepository)
	case "effect":
		return withKeys(a)
	case "propose": // or files
		return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			keys, _ := completeKeys(a, cmd, args, begun)
			return keys, cobra.ShellCompDirectiveDefault
		}
	case "pack test":
		return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return idsOf(a, knowledge.KindPack)(cmd, args, begun)
			}
			return completeKeys(a, cmd, nil, begun)
		}
	case "explain":
		return explained(a)
	case "doctor query":
		return once(func(*cobra.Command, string) []string { return server.StatementNames() })
	case "conflicts resolve-all":
		return cobra.FixedCompletions([]cobra.Completion{"theirs", "ours"}, cobra.ShellCompDirectiveNoFileComp)
	}
	return nil
}

// once completes the first argument and no other.
func once(values func(cmd *cobra.Command, begun string) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return values(cmd, begun), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// lately is how many changes are looked at for what was written last.
const lately = 200

// batchesOf returns the last batches, the newest first, each with what it wrote.
func batchesOf(a *app) func(*cobra.Command, string) []string {
	return func(cmd *cobra.Command, begun string) []string {
		changes := changesToComplete(a, cmd, knowledge.ChangeQuery{Newest: true, Limit: lately})
		var out []string
		for i := range changes {
			id := changes[i].Batch.String()
			if !strings.HasPrefix(id, begun) || i > 0 && changes[i-1].Batch == changes[i].Batch {
				continue
			}
			out = append(out, id+"\t"+string(changes[i].Verb)+" "+changes[i].Key.String()+" by "+changes[i].Actor)
		}
		return out
	}
}

// changesToComplete returns changes of the log, none where the server can't be asked.
func changesToComplete(a *app, cmd *cobra.Command, q knowledge.ChangeQuery) []knowledge.Change {
	d := toComplete(a, cmd)
	if d == nil {
		return nil
	}
	defer a.close(d)
	if q.Key.ID != "" && findKeys(cmd.Context(), a, d, &q.Key) != nil {
		return nil
	}
	changes, err := d.Changes(cmd.Context(), q)
	if err != nil {
		return nil
	}
	return changes
}

// versionsOf completes a version of the document that the arguments before name.
func versionsOf(a *app) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		const quiet = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		if len(args) == 0 {
			return nil, quiet
		}
		key, err := oneKey(args)
		if cmd.Name() == "render" {
			key, err = knowledge.Key{Kind: knowledge.KindTemplate, ID: trimKind(args[0], knowledge.KindTemplate)}, nil
		}
		if err != nil {
			return nil, quiet
		}
		var out []string
		for _, c := range changesToComplete(a, cmd, knowledge.ChangeQuery{Key: key, Newest: true, Limit: lately}) {
			if v := itoa(c.Version); strings.HasPrefix(v, begun) {
				out = append(out, v+"\t"+moment(c.At)+" by "+c.Actor)
			}
		}
		return out, quiet
	}
}

// openProposals returns the proposals that wait, by id, each with its title.
func openProposals(a *app) func(*cobra.Command, string) []string {
	return func(cmd *cobra.Command, begun string) []string {
		var out []string
		for _, r := range recordsToComplete(a, cmd, knowledge.KindProposal) {
			d, err := r.Document()
			p, ok := d.(*knowledge.Proposal)
			if err == nil && ok && p.State == knowledge.ProposalOpen && strings.HasPrefix(p.ProposalID, begun) {
				out = append(out, p.ProposalID+"\t"+cell(p.Title))
			}
		}
		return out
	}
}

// archivedKeys returns the keys of what is in the archive.
func archivedKeys(a *app) func(*cobra.Command, string) []string {
	return func(cmd *cobra.Command, begun string) []string {
		if a.load(cmd, nil) != nil {
			return nil
		}
		list, _, err := archived(cmd.Context(), a, store.ArchiveQuery{Limit: store.MaxArchived})
		if err != nil {
			return nil
		}
		var out []string
		for i := range list {
			if key := list[i].Key.String(); strings.HasPrefix(key, begun) {
				out = append(out, key)
			}
		}
		return out
	}
}

// languagesKnown completes a language that rules or practices are for.
func languagesKnown(a *app) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, r := range recordsToComplete(a, cmd, knowledge.KindRule, knowledge.KindPractice) {
			var languages []string
			switch d, _ := r.Document(); d := d.(type) {
			case *knowledge.Rule:
				languages = d.Scope.Languages
			case *knowledge.Practice:
				languages = d.Scope.Languages
			}
			for _, l := range languages {
				if strings.HasPrefix(l, begun) {
					out = append(out, l)
				}
			}
		}
		slices.Sort(out)
		return slices.Compact(out), cobra.ShellCompDirectiveNoFileComp
	}
}
