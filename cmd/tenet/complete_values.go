package main

import (
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
)

// valuesToSet completes NAME=VALUE: the variables of a template, or the fields of a document and what they may be.
func valuesToSet(a *app) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		name, _, named := strings.Cut(begun, "=")
		var out []string
		for _, f := range fieldsToSet(a, cmd, args) {
			switch {
			case f.Kept:
			case !named && strings.HasPrefix(f.Name, begun):
				out = append(out, f.Name+"=\t"+f.Doc)
			case named && f.Name == name:
				for _, v := range f.Values {
					out = append(out, name+"="+v)
				}
			}
		}
		if named {
			return out, cobra.ShellCompDirectiveNoFileComp
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// fieldsToSet returns what the document that the arguments name takes: its template's variables, or its fields.
func fieldsToSet(a *app, cmd *cobra.Command, args []string) []knowledge.Field {
	key, err := oneKey(args)
	if cmd.Name() == "render" {
		key = knowledge.Key{Kind: knowledge.KindTemplate, ID: trimKind(args[0], knowledge.KindTemplate)}
	} else if err != nil {
		return nil
	}
	if cmd.Name() != "render" && key.Kind != "" {
		return knowledge.FieldsOf(key.Kind)
	}
	d := toComplete(a, cmd)
	if d == nil {
		return nil
	}
	defer a.close(d)
	if findKeys(cmd.Context(), a, d, &key) != nil {
		return nil
	}
	if cmd.Name() != "render" {
		return knowledge.FieldsOf(key.Kind)
	}
	rec, err := d.Get(cmd.Context(), key)
	if err != nil {
		return nil
	}
	doc, err := rec.Document()
	t, ok := doc.(*knowledge.Template)
	if err != nil || !ok {
		return nil
	}
	var out []knowledge.Field
	for _, v := range t.Variables {
		out = append(out, knowledge.Field{Name: v.Name, Doc: v.Title, Values: v.Options})
	}
	return out
}

// keyThenVersions completes a document, and behind it versions that it has.
func keyThenVersions(a *app) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			if _, err := parseKind(args[0]); err != nil || len(args) > 1 {
				_, rest, err := takeKey(args)
				if err != nil {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return versionsOf(a)(cmd, args[:len(args)-len(rest)], begun)
			}
		}
		return completeKeys(a, cmd, args, begun)
	}
}

// explained completes a kind, a field of it behind a point, and a document behind a path.
func explained(a *app) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return completeKeys(a, cmd, args[1:], begun)
		}
		kinds, _ := completeKinds(cmd, nil, "")
		name, _, inside := strings.Cut(begun, ".")
		kind, err := parseKind(name)
		if !inside || err != nil {
			return kinds, cobra.ShellCompDirectiveDefault // or a file
		}
		var out []string
		for _, f := range knowledge.FieldsOf(kind) {
			out = append(out, name+"."+f.Name+"\t"+f.Doc)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
