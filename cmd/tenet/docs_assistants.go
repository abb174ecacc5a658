package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/treesync"
)

// assistantsDocument describes what tenet reads and writes of each assistant, from the table that it goes by.
func assistantsDocument() []byte {
	var b bytes.Buffer
	b.WriteString("# Assistants\n\n" + generated +
		"What `tenet sync` writes and `tenet import` reads of each assistant, from the one table that both go by. " +
		"Each row was read in its owner's\n" +
		"documents; owners change their minds, so it has a date.\n\n" +
		"## What sync writes\n\n" +
		"A document that always holds, one with path patterns, and one about which the model decides: how each is " +
		"said. *Skill* is a file that the\n" +
		"model takes up by its description, which is narrower. What can't be said is left out, and named by `tenet " +
		"sync` and in `tenet.lock`;\n" +
		"so are documents that exclude paths, and those that a person takes up by hand. `tenet sync` names files that are " +
		"longer than code\n" +
		"reviews read. The description of a skill is cut at 1,024 characters.\n\n" +
		"| assistant | always | path patterns | the model decides | limit |\n| --- | --- | --- | --- | --- |\n")
	for _, target := range treesync.Targets() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", target, fileOf(target, "always"), fileOf(target, "glob"),
			fileOf(target, "model"), limits(target))
	}
	b.WriteString("\n## What is read\n\n| format | assistant | becomes a | files | without keys it holds | read in " +
		"| when |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, a := range interchange.Adapters() {
		target := a.Target
		if target == "" {
			target = "several"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` | %s | %s | %s |\n", a.Name, target, a.Kind,
			strings.Join(a.Paths, "` `"), a.Means.Default, a.Source, a.Checked)
	}
	return b.Bytes()
}

// fileOf says in which file a document with an activation ends up.
func fileOf(target, activation string) string {
	r := &knowledge.Rule{RuleID: "ID", Title: "T", Description: "D", IsActive: true, Enforcement: "mandatory"}
	r.Scope.Activation = activation
	if activation == "glob" {
		r.Scope.Globs = []string{"src/**/*.go"}
	}
	r.Normalize()
	x, err := treesync.Expect([]knowledge.Document{r}, []string{target}, nil, nil)
	if err != nil || len(x.Parts) == 0 {
		return "left out"
	}
	text := "`" + x.Parts[0].Path + "`"
	switch {
	case strings.HasSuffix(x.Parts[0].Path, "SKILL.md"):
		text += " (skill)"
	case x.Parts[0].Mode == "block":
		text += " (block)"
	}
	return text
}

func limits(target string) string {
	var all []string
	add := func(text string) {
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	for _, a := range interchange.Adapters() {
		switch {
		case a.Target != target:
			continue
		case a.Limit > 0 && a.Shared():
			add(fmt.Sprintf("%d bytes of the file, with what others wrote", a.Limit))
		case a.Limit > 0:
			add(fmt.Sprintf("%d characters of a file", a.Limit))
		}
		if a.Review > 0 {
			add(fmt.Sprintf("%d characters of a file in code reviews", a.Review))
		}
	}
	return strings.Join(all, ", ")
}
