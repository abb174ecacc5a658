package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tenet/internal/backup"
	"tenet/internal/hook"
	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/treesync"
)

// valuesOf returns what a flag may be, where that is a list that everybody knows; nil for others.
func valuesOf(cmd *cobra.Command, flag string) []string {
	switch flag {
	case "output":
		return outputsOf(cmd)
	case "kind":
		if cmd.Name() == "audit" {
			return store.AuditKinds()
		}
		var names []string
		for _, k := range knowledge.Kinds() {
			names = append(names, string(k))
		}
		return names
	case "severity":
		return knowledge.Severities()
	case "enforcement":
		return knowledge.Enforcements()
	case "status":
		if cmd.Name() == "import" {
			return knowledge.RuleStatuses()
		}
		return append(knowledge.RuleStatuses(), knowledge.ViolationStatuses()...)
	case "active":
		return []string{"true", "false", "any"}
	case "sort":
		var names []string
		for _, o := range knowledge.Orders() {
			names = append(names, string(o))
		}
		return names
	case "role":
		return knowledge.Roles()
	case "family":
		return []string{"openai", "claude"}
	case "log-level":
		return []string{"debug", "info", "warn", "error"}
	case "dry-run":
		if cmd.Flag(flag).Value.Type() == dryNone.Unit() {
			return []string{"client", "server"}
		}
	case "log-format":
		return []string{"auto", "text", "json"}
	case "format":
		switch cmd.Name() {
		case "export":
			return []string{"jsonl", "markdown", "yaml", "csv"}
		case "check":
			return []string{"text", "json", "sarif", "github"}
		}
	}
	return toolValues(cmd, flag)
}

// toolValues returns what a flag may be that names another tool, a form or a state.
func toolValues(cmd *cobra.Command, flag string) []string {
	switch cmd.Name() + " " + flag {
	case "import format":
		return texts(interchange.Formats())
	case "fleet state":
		return texts(store.FleetStates())
	case "list state":
		return append(knowledge.ProposalStates(), "any")
	}
	switch flag {
	case "backup-engine":
		return []string{backup.PgBackRestName, backup.BaseBackupName}
	case "verdict":
		return []string{store.EffectDead, store.EffectNoisy, store.EffectUnserved}
	case "tool":
		return hook.Tools()
	case "on-error":
		return []string{"allow", "deny"}
	case "target":
		return treesync.Targets()
	case "client":
		var names []string
		for _, c := range mcpClients() {
			names = append(names, c.name)
		}
		return names
	}
	return nil
}

// texts returns words as what they are to a shell.
func texts[T ~string](words []T) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return out
}

// completeFlags lets shells complete the values of flags: those that are fixed, and those that the server has. It is
// called for a shell that asks, since cobra never forgets what is registered, nor with it all commands.
func completeFlags(a *app) {
	add := func(cmd *cobra.Command, flags *pflag.FlagSet, list []*setting) {
		for _, s := range list {
			if flags.Lookup(s.Name) != nil { // a secret has no flag
				_ = cmd.RegisterFlagCompletionFunc(s.Name, completionOf(a, s)) // it fails for a flag that has one
			}
		}
	}
	add(a.root, a.root.PersistentFlags(), a.shared)
	for cmd, list := range a.settings {
		add(cmd, cmd.Flags(), list)
	}
}

func completionOf(a *app, s *setting) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	flag := s.Name
	switch flag {
	case "category":
		return idsOf(a, knowledge.KindCategory)
	case "rule":
		return idsOf(a, knowledge.KindRule)
	case "label":
		return idsOf(a, knowledge.KindLabel)
	case "repository":
		return idsOf(a, knowledge.KindRepository)
	case "pack":
		return idsOf(a, knowledge.KindPack)
	case "actor":
		return idsOf(a, knowledge.KindPrincipal)
	case "language":
		return languagesKnown(a)
	case "version":
		return versionsOf(a)
	case "set":
		return valuesToSet(a)
	case "key", "hold", "release":
		return withKeys(a)
	case "tag", "source":
		return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			return tagsOf(a, cmd, flag == "source", begun), cobra.ShellCompDirectiveNoFileComp
		}
	case "fields":
		return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			name, _, _ := strings.Cut(args[0], "/")
			kind, err := parseKind(name)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, f := range knowledge.FieldsOf(kind) {
				names = append(names, f.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		}
	}
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		values := valuesOf(cmd, flag)
		if values == nil && s.Words() != nil {
			values = s.Words()
		}
		if flag == "status" && cmd.Name() == "list" && len(args) > 0 {
			values = statusesOf(args[0])
		}
		if values == nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// statusesOf returns the statuses of a kind's documents, none for a kind without one.
func statusesOf(kind string) []string {
	if k, err := parseKind(kind); err == nil {
		for _, f := range knowledge.FieldsOf(k) {
			if f.Name == "status" && f.Values != nil {
				return f.Values
			}
		}
	}
	return []string{}
}

// toComplete opens what completions ask; nil where it can't be asked, and then nothing is completed.
func toComplete(a *app, cmd *cobra.Command) *door {
	if a.load(cmd, nil) != nil {
		return nil
	}
	d, err := a.openToLook(cmd.Context())
	if err != nil {
		return nil
	}
	return d
}

// recordsToComplete returns the documents of a kind that the server has, none where it can't be asked.
func recordsToComplete(a *app, cmd *cobra.Command, kinds ...knowledge.Kind) []*knowledge.Record {
	d := toComplete(a, cmd)
	if d == nil {
		return nil
	}
	defer a.close(d)
	var records []*knowledge.Record
	for _, kind := range kinds {
		page, err := d.List(cmd.Context(), knowledge.Query{
			Kind: kind, Order: knowledge.OrderID,
			Activity: knowledge.AnyActivity, Limit: knowledge.MaxLimit,
		})
		if err == nil { // else a kind that the caller may not see
			records = append(records, page.Records...)
		}
	}
	return records
}

// idsOf completes the id of a document of a kind.
func idsOf(a *app, kind knowledge.Kind) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		for _, r := range recordsToComplete(a, cmd, kind) {
			if strings.HasPrefix(r.Key.ID, begun) {
				ids = append(ids, r.Key.ID)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeOf completes the one argument of a command, a document of a kind, by its id.
func completeOf(a *app, kind knowledge.Kind) func(*cobra.Command, []string, string) ([]string,
	cobra.ShellCompDirective) {
	ids := idsOf(a, kind)
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return ids(cmd, args, begun)
	}
}

// trimKind returns the id in a text that is an id, or a key of a kind.
func trimKind(text string, kind knowledge.Kind) string {
	text = strings.TrimPrefix(text, string(kind)+"/")
	return strings.TrimPrefix(text, kind.Plural()+"/")
}

// tagsOf returns the tags of documents, or the names of the sources that some of them tell.
func tagsOf(a *app, cmd *cobra.Command, sources bool, begun string) []string {
	seen := map[string]bool{}
	var tags []string
	for _, r := range recordsToComplete(a, cmd, interchange.Listed()[1:]...) {
		d, err := r.Document()
		if err != nil || knowledge.CommonOf(d) == nil {
			continue
		}
		for _, tag := range knowledge.CommonOf(d).Tags {
			name, source := strings.CutPrefix(tag, interchange.SourceTag(""))
			if source != sources || seen[name] || !strings.HasPrefix(name, begun) {
				continue
			}
			seen[name] = true
			tags = append(tags, name)
		}
	}
	slices.Sort(tags)
	return tags
}
