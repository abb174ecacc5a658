package interchange

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// readAll reads a folder of files and returns what came of each document, by path and place.
func readAll(t *testing.T, files map[string]string) map[string]Entry {
	t.Helper()
	out := map[string]Entry{}
	for _, it := range readItems(t, files) {
		for i, e := range it.Entries {
			if e.Err != nil {
				t.Logf("%s %s: %v", it.Path, e.Place, e.Err)
			}
			name := it.Path
			if i > 0 {
				name += "#" + itoa(i+1)
			}
			out[name] = e
		}
	}
	return out
}

func itoa(i int) string { return string(rune('0' + i%10)) }

func readItems(t *testing.T, files map[string]string) map[string]Item {
	t.Helper()
	dir := named(t, "team")
	write(t, dir, files)
	s, err := Open(dir, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out := map[string]Item{}
	for it := range s.Items() {
		out[it.Path] = it
	}
	return out
}

func scopeIn(e Entry) knowledge.Scope {
	switch d := e.Doc.(type) {
	case *knowledge.Rule:
		return d.Scope
	case *knowledge.Practice:
		return d.Scope
	case *knowledge.Template:
		return d.Scope
	case *knowledge.Category, *knowledge.Violation, *knowledge.Principal:
	}
	return knowledge.Scope{}
}

func TestEachFormatHoldsWhenItsOwnerSays(t *testing.T) {
	for _, tc := range []struct {
		path, head string
		activation string
		globs      string
	}{
		{".claude/rules/a.md", "", "always", ""},
		{".claude/rules/sub/a.md", "description: x", "always", ""},
		{".claude/rules/a.md", "paths: src/**/*.ts", "glob", "src/**/*.ts"},
		{".claude/rules/a.md", "paths: \"**/*.{ts,tsx}, lib/**\"", "glob", "**/*.{ts,tsx} lib/**"},
		{".claude/rules/a.md", "paths:\n  - '*.md'", "glob", "*.md"},
		{".claude/rules/a.md", "paths:\n  - **/*.proto # all of them\n  - 'lib/**'", "glob", "**/*.proto lib/**"},
		{".claude/rules/a.md", "paths:\n- **/*.{ts,tsx}\n\n- src/**", "glob", "**/*.{ts,tsx} src/**"},
		{".claude/rules/a.md", "paths: [**/*.ts, lib/**]", "glob", "**/*.ts lib/**"},
		{"apps/web/.claude/rules/a.md", "", "glob", "apps/web/**"},
		{"apps/web/.claude/rules/a.md", "paths: src/**", "glob", "apps/web/src/**"},
		{"apps/web/.claude/rules/a.md", "paths: apps/web/src/**", "glob", "apps/web/src/**"},
		{".cursor/rules/a.mdc", "alwaysApply: true", "always", ""},
		{".cursor/rules/a.mdc", "description: x\nglobs:\nalwaysApply: false", "model", ""},
		{".cursor/rules/a.mdc", "alwaysApply: false", "manual", ""},
		{".cursor/rules/a.mdc", "", "manual", ""},
		{".cursor/rules/a.mdc", "globs: *.ts,src/**", "glob", "**/*.ts src/**"},
		{".cursor/rules/a.mdc", "globs: \"*.ts\", \"*.tsx\"", "glob", "**/*.ts **/*.tsx"},
		{".cursor/rules/a.mdc", "globs:\n  - *.ts\n  - **/*.tsx\nalwaysApply: false", "glob", "**/*.ts **/*.tsx"},
		{".cursor/rules/a.md", "alwaysApply: true", "always", ""},
		{".cursor/rules/deep/RULE.md", "globs: a/**", "glob", "a/**"},
		{"apps/web/.cursor/rules/a.mdc", "alwaysApply: true", "glob", "apps/web/**"},
		{"apps/web/.cursor/rules/a.mdc", "globs: '*.ts'", "glob", "apps/web/**/*.ts"},
		{"apps/web/.cursor/rules/a.mdc", "description: x", "model", "apps/web/**"},
		{"app/[slug]/.cursor/rules/a.mdc", "alwaysApply: true", "glob", `app/\[slug\]/**`},
		{".cursorrules", "", "always", ""},
		{"apps/web/.cursorrules", "", "glob", "apps/web/**"},
		{".github/copilot-instructions.md", "", "always", ""},
		{".github/instructions/a.instructions.md", "applyTo: '**/*.ts,**/*.tsx'", "glob", "**/*.ts **/*.tsx"},
		{".github/instructions/a.instructions.md", "applyTo: '*.py'", "glob", "*.py"},
		{".github/instructions/a.instructions.md", "description: x", "model", ""},
		{".github/instructions/a.instructions.md", "", "manual", ""},
		{"apps/web/.github/instructions/a.instructions.md", "applyTo: '**'", "glob", "apps/web/**"},
		{"AGENTS.md", "", "always", ""},
		{"apps/AGENTS.md", "", "glob", "apps/**"},
		{"apps/CLAUDE.md", "", "glob", "apps/**"},
		{"apps/.claude/CLAUDE.md", "", "glob", "apps/**"},
		{"apps/GEMINI.md", "", "glob", "apps/**"},
		{"QWEN.md", "", "always", ""},
		{"apps/WARP.md", "", "glob", "apps/**"},
		{".rules", "", "always", ""},
		{".windsurfrules", "", "always", ""},
		{".windsurf/rules/a.md", "trigger: always_on", "always", ""},
		{".windsurf/rules/a.md", "trigger: manual", "manual", ""},
		{".windsurf/rules/a.md", "trigger: glob\nglobs: **/*.sql,db/**", "glob", "**/*.sql db/**"},
		{".windsurf/rules/a.md", "trigger: glob\nglobs:\n  - **/*.ts\n  - a/**", "glob", "**/*.ts a/**"},
		{".windsurf/rules/a.md", "trigger: glob", "manual", ""},
		{".windsurf/rules/a.md", "trigger: model_decision\ndescription: x", "model", ""},
		{".windsurf/rules/a.md", "trigger: Always_On", "always", ""},
		{".windsurf/rules/a.md", "trigger: sometimes", "manual", ""},
		{".windsurf/rules/a.md", "", "always", ""},
		{"apps/.windsurf/rules/a.md", "trigger: always_on", "glob", "apps/**"},
		{".devin/rules/a.md", "trigger: model_decision\nglobs: docs/items/**", "model", "docs/items/**"},
		{".devin/rules/a.md", "trigger: agent_decided", "model", ""},
		{".agents/rules/a.md", "trigger: always_on", "always", ""},
		{".agent/rules/a.md", "trigger: glob\nglobs: '*.go'", "glob", "**/*.go"},
		{".kiro/steering/tech.md", "", "always", ""},
		{".roorules-code", "", "manual", ""},
		{".clinerules-architect", "", "manual", ""},
		{"apps/web/.kilocoderules-ask", "", "manual", ""},
		{".kiro/steering/a.md", "inclusion: manual", "manual", ""},
		{".kiro/steering/a.md", "inclusion: auto\nname: a\ndescription: x", "model", ""},
		{
			".kiro/steering/a.md", "inclusion: fileMatch\nfileMatchPattern: 'components/**/*.tsx'", "glob",
			"components/**/*.tsx",
		},
		{
			".kiro/steering/a.md", "inclusion: fileMatch\nfileMatchPattern: ['**/*.css', '*.test.*']", "glob",
			"**/*.css **/*.test.*",
		},
		{".kiro/steering/a.md", "inclusion: always\nfileMatchPattern: '*.ts'", "always", "**/*.ts"},
		{".clinerules/01-a.md", "", "always", ""},
		{".clinerules/a.md", "paths:\n  - src/**", "glob", "src/**"},
		{".clinerules/a.md", "paths: []", "manual", ""},
		{".clinerules", "", "always", ""},
		{".roo/rules/a.md", "", "always", ""},
		{".roo/rules-code/a.md", "", "manual", ""},
		{".roorules", "", "always", ""},
		{".kilocode/rules/a.md", "", "always", ""},
		{".junie/guidelines.md", "", "always", ""},
		{".junie/AGENTS.md", "", "always", ""},
		{".aiassistant/rules/a.md", "apply: always", "always", ""},
		{".aiassistant/rules/a.md", "apply: manually", "manual", ""},
		{".aiassistant/rules/a.md", "apply: by model decision\ninstructions: When SQL changes", "model", ""},
		{".aiassistant/rules/a.md", "apply: by file patterns\npatterns: *.feature", "glob", "**/*.feature"},
		{".aiassistant/rules/a.md", "apply: off", "manual", ""},
		{".aiassistant/rules/a.md", "", "manual", ""},
		{".augment/rules/a.md", "type: always_apply", "always", ""},
		{".augment/rules/a.md", "type: agent_requested\ndescription: x", "model", ""},
		{".augment/rules/a.md", "type: manual", "manual", ""},
		{".augment-guidelines", "", "always", ""},
		{".continue/rules/a.md", "name: A", "always", ""},
		{".continue/rules/a.md", "name: A\nglobs: '**/*.ts'", "glob", "**/*.ts"},
		{".continue/rules/a.md", "name: A\nalwaysApply: false\ndescription: x", "model", ""},
		{".continue/rules/a.md", "name: A\nalwaysApply: false", "manual", ""},
		{".continue/rules/a.md", "name: A\nalwaysApply: true\nglobs: '**/*.ts'", "always", "**/*.ts"},
		{".qwen/rules/a.md", "paths: ['src/**']", "glob", "src/**"},
		{".trae/rules/project_rules.md", "", "always", ""},
		{".amazonq/rules/a.md", "", "always", ""},
		{".openhands/microagents/repo.md", "", "always", ""},
		{".openhands/microagents/a.md", "triggers: [git]", "model", ""},
		{".ruler/style.md", "", "always", ""},
		{".claude/skills/a/SKILL.md", "name: a\ndescription: x", "model", ""},
		{".claude/skills/a/SKILL.md", "name: a\ndescription: x\ndisable-model-invocation: true", "manual", ""},
		{"handbook/a.md", "", "model", ""},
		{"lib/a.mdc", "globs: src/**", "glob", "src/**"},
		{"lib/a.mdc", "globs: '{broken,**/*.ts'", "manual", ""},
	} {
		text := "# A title\n\nDo this.\n"
		if tc.head != "" {
			text = "---\n" + tc.head + "\n---\n" + text
		}
		got := scopeIn(readAll(t, map[string]string{tc.path: text})[tc.path])
		if got.Activation != tc.activation || strings.Join(got.Globs, " ") != tc.globs {
			t.Errorf("%s with %q holds %s %v, want %s %q", tc.path, tc.head, got.Activation, got.Globs, tc.activation,
				tc.globs)
		}
	}
}

func TestTheTableOfAdaptersCanBeReadBothWays(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range Adapters() {
		switch {
		case seen[a.Name]:
			t.Errorf("two adapters are called %s", a.Name)
		case len(a.Paths) == 0 || a.Source == "" || a.Checked == "" || a.Format == "" || a.Place == "":
			t.Errorf("%s: want paths, a place, a format, and where and when it was read", a.Name)
		case a.Means.Default == "" || a.Means.Mode != "" && len(a.Means.Modes) == 0:
			t.Errorf("%s: want a default, and values for its key %q", a.Name, a.Means.Mode)
		}
		seen[a.Name] = true
		for _, m := range append(a.Means.Modes, Mode{Activation: a.Means.Default}) {
			if !slices.Contains(knowledge.Activations(), m.Activation) {
				t.Errorf("%s: %q is no activation", a.Name, m.Activation)
			}
		}
		// A file written to the first path is read by the same adapter.
		p := strings.NewReplacer("**/", "", "*", "name").Replace(a.Paths[0])
		if got, folder := adapterFor(p); got == nil || got.Name != a.Name || folder != "" {
			t.Errorf("%s: a file at %s is read by %+v in %q", a.Name, p, got, folder)
		}
	}
}

func TestAWholeFileOfAnotherTakesItsPlace(t *testing.T) {
	items := readItems(t, map[string]string{
		"AGENTS.md": "# All\n\nx\n", "pay/AGENTS.md": "# Old\n\nx\n", "pay/AGENTS.override.md": "# New\n\nx\n",
		"CLAUDE.md": "@AGENTS.md\n", "web/CLAUDE.md": "@gone.md\n", "docs/style.md": "# Style\n\nx\n",
		"docs/more.md":  "# More\n\nx\n",
		"GEMINI.md":     "See @docs/style.md and @docs/gone.md, not `@docs/more.md` or @ann.\n",
		"docs/plain.md": "# Plain\n\nx\n",
		"api/CLAUDE.md": "# Api\n\nSee @../docs/plain.md and @~/mine.md\n",
	})
	if got := items["pay/AGENTS.md"].Skipped; !strings.Contains(got, "AGENTS.override.md") {
		t.Errorf("the file with an override is skipped with %q", got)
	}
	if got := scopeIn(items["pay/AGENTS.override.md"].Entries[0]); got.Activation != glob || got.Globs[0] != "pay/**" {
		t.Errorf("the override holds %v", got)
	}
	if got := items["web/CLAUDE.md"].Skipped; !strings.Contains(got, "is not there") {
		t.Errorf("a pointer to nothing is skipped with %q", got)
	}
	if got := scopeIn(items["docs/style.md"].Entries[0]).Activation; got != always {
		t.Errorf("what GEMINI.md brings in holds %s, want always", got)
	}
	if got := scopeIn(items["docs/more.md"].Entries[0]).Activation; got != model {
		t.Errorf("what is only named in code holds %s, want model", got)
	}
	if got := scopeIn(items["docs/plain.md"].Entries[0]); got.Activation != glob || got.Globs[0] != "api/**" {
		t.Errorf("what api/CLAUDE.md brings in holds %v, want api/**", got)
	}
	if notes := strings.Join(items["GEMINI.md"].Notes, "\n"); !strings.Contains(notes, "@docs/gone.md is not there") ||
		strings.Contains(notes, "@ann") {
		t.Errorf("notes of dangling imports: %q", notes)
	}
	if notes := strings.Join(items["api/CLAUDE.md"].Notes, "\n"); !strings.Contains(notes,
		"@~/mine.md is a file of one person") {
		t.Errorf("notes of a personal import: %q", notes)
	}
}

func TestWhatIncludesWhatIsImportedTooIsTakenOut(t *testing.T) {
	items := readItems(t, map[string]string{
		"CLAUDE.md": "# Pay\n\nTest first.\n\n@AGENTS.md\n- @docs/style.md\n@docs/gone.md\n@LICENSE.md\n\n" +
			"```\n@AGENTS.md\n```\n\nSee @docs/style.md (and @docs/style.md), not `@docs/style.md`, @docs/gone.md or a@docs/style.md.\n",
		"AGENTS.md": "# All\n\nx\n", "docs/style.md": "# Style\n\nx\n", "LICENSE.md": "Mine.\n",
		"web/CLAUDE.md": "@../AGENTS.md\n@../docs/style.md\n",
	})
	want := "# Pay\n\nTest first.\n\n@docs/gone.md\n@LICENSE.md\n\n```\n@AGENTS.md\n```\n\n" +
		"See docs/style.md (and docs/style.md), not `@docs/style.md`, @docs/gone.md or a@docs/style.md."
	if got := items["CLAUDE.md"].Entries[0].Doc.(*knowledge.Rule).Description; got != want {
		t.Errorf("the rule says %q, want %q", got, want)
	}
	notes := strings.Join(items["CLAUDE.md"].Notes, "\n")
	if !strings.Contains(notes, "@docs/gone.md is not there") ||
		!strings.Contains(notes, "@LICENSE.md is not imported") {
		t.Errorf("notes of what stays: %q", notes)
	}
	if got := items["web/CLAUDE.md"].Skipped; !strings.Contains(got, "only brings in other files") {
		t.Errorf("a file of includes alone is skipped with %q", got)
	}
}

func TestWhatTenetWroteIsNotReadAgain(t *testing.T) {
	items := readItems(t, map[string]string{
		"AGENTS.md":     "# Ours\n\nx\n\n<!-- tenet:begin acme -->\n# Synced\n<!-- tenet:end -->\n\nMore.\n",
		"web/AGENTS.md": "<!-- tenet:begin acme -->\n# Synced\n<!-- tenet:end -->\n",
	})
	got := items["AGENTS.md"].Entries[0].Doc.(*knowledge.Rule).Description
	if strings.Contains(got, "Synced") || !strings.Contains(got, "More.") {
		t.Errorf("the text is %q, want the hand-written parts alone", got)
	}
	if items["web/AGENTS.md"].Skipped == "" {
		t.Errorf("a file that tenet wrote whole is read: %v", items["web/AGENTS.md"])
	}
}

func TestAFileThatNamesItselfKeepsItsName(t *testing.T) {
	for path, tc := range map[string][2]string{
		".claude/skills/branch-names/SKILL.md": {"---\nname: branch-names\ndescription: x\n---\n# " +
			"Instructions\n\nx\n", "Branch names"},
		".claude/skills/pdf/SKILL.md":            {"---\nname: pdf-forms\n---\n# PDF Forms\n\nx\n", "PDF Forms"},
		"agents/query.agent.md":                  {"---\nname: Query reviewer\n---\n# Role\n\nx\n", "Query reviewer"},
		".github/instructions/a.instructions.md": {"---\nname: House style\n---\n# Overview\n\nx\n", "House style"},
		".continue/rules/a.md":                   {"---\nname: Tests first\n---\n# Rules\n\nx\n", "Tests first"},
		".cursor/rules/b.mdc":                    {"---\ntitle: Told\nname: other\n---\n# Rules\n\nx\n", "Told"},
		".github/agents/data-reviewer.agent.md":  {"---\ndescription: x\n---\n# Role\n\nx\n", "Data reviewer"},
		".opencode/agent/sql-helper.md":          {"---\nmode: subagent\n---\n# SQL helper\n\nx\n", "SQL helper"},
		".github/chatmodes/plan.chatmode.md":     {"# Instructions\n\nx\n", "Plan"},
		"docs/guide.md":                          {"# The guide\n\nx\n", "The guide"},
	} {
		e := readAll(t, map[string]string{path: tc[0]})[path]
		if got := e.Doc.Text().Title; got != tc[1] {
			t.Errorf("%s is called %q, want %q", path, got, tc[1])
		}
	}
}

func TestPromptsAndFormsAreTemplates(t *testing.T) {
	const form = "name: Fault\ndescription: Something is broken\ntitle: '[FAULT] '\nbody:\n  - type: markdown\n    " +
		"attributes: {value: Thanks}\n" +
		"  - type: input\n    id: version-used\n    attributes: {label: Version, description: Which one}\n    " +
		"validations: {required: true}\n" +
		"  - type: dropdown\n    id: os\n    attributes: {label: System, options: [Linux, macOS]}\n" +
		"  - type: checkboxes\n    attributes: {label: Terms, options: [{label: Agreed}]}\n  - type: textarea\n    " +
		"attributes: {label: What}\n"
	type variable struct{ Name, Type string }
	for path, tc := range map[string]struct {
		text, name string
		vars       []variable
		holds      string
	}{
		".github/prompts/t.prompt.md": {
			"---\ndescription: d\n---\n# Test writer\n\nFor ${input:target:which function}, ${input:target} and " +
				"${selection}.\n", "Test writer",
			[]variable{{"target", "multiline"}},
			"For {{target}}, {{target}} and ${selection}.",
		},
		"lib/x.prompt.md": {"Do ${input:myTask}.\n", "X", []variable{{"myTask", "multiline"}}, "Do {{myTask}}."},
		".claude/commands/mend.md": {
			"---\nargument-hint: [number]\n---\nMend $ARGUMENTS, `\\$ARGUMENTS` and $1; cost $200.\n", "Mend",
			[]variable{{"arguments", "multiline"}, {"argument_1", "multiline"}},
			"Mend {{arguments}}",
		},
		".claude/commands/named.md": {
			"---\narguments: [issue]\n---\nMend $issue in $HOME.\n", "Named",
			[]variable{{"issue", "multiline"}},
			"Mend {{issue}} in $HOME.",
		},
		".codex/prompts/a.md": {"Draft $1 for $ARGUMENTS.\n", "A", []variable{
			{"argument_1", "multiline"},
			{"arguments", "multiline"},
		}, ""},
		".codex/prompts/b.md":      {"Draft $FILE, not $file.\n", "B", []variable{{"FILE", "multiline"}}, ""},
		".cursor/commands/a.md":    {"Read it.\n", "A", []variable{}, "Read it."},
		".windsurf/workflows/a.md": {"# Deploy\n\n1. Build\n", "Deploy", []variable{}, "1. Build"},
		".qwen/commands/a.md": {
			"Say {{args}} and {{other}}.\n", "A",
			[]variable{{"args", "multiline"}},
			"Say {{args}} and {{other}}.",
		},
		".gemini/commands/g/fix.toml": {
			"description = \"Fix it\"\nprompt = \"\"\"\nFix {{args}} with !{git diff}.\n\"\"\"\n", "Fix",
			[]variable{{"args", "multiline"}},
			"Fix {{args}} with !{git diff}.",
		},
		".github/pull_request_template.md": {
			"## What\n\n- [ ] tests\n", "Pull request template",
			[]variable{},
			"- [ ] tests",
		},
		"PULL_REQUEST_TEMPLATE.md":       {"Say why.\n", "Pull request template", []variable{}, "Say why."},
		".gitlab/issue_templates/Bug.md": {"## Steps\n", "Bug", []variable{}, "## Steps"},
		".github/ISSUE_TEMPLATE/fault.md": {
			"---\nname: Fault\nabout: Broken\ntitle: '[F] '\n---\n\n**What**\n",
			"Fault",
			[]variable{},
			"**What**",
		},
		".github/ISSUE_TEMPLATE/fault-form.yml": {
			form, "Fault",
			[]variable{{"version_used", "text"}, {"os", "select"}, {"terms", "multiselect"}, {"what", "multiline"}},
			"### Version\n\n{{version_used}}",
		},
	} {
		e := readAll(t, map[string]string{path: tc.text})[path]
		d, ok := e.Doc.(*knowledge.Template)
		if !ok {
			t.Errorf("%s becomes %T: %v", path, e.Doc, e.Err)
			continue
		}
		vars := []variable{}
		for _, v := range d.Variables {
			vars = append(vars, variable{v.Name, v.Type})
		}
		if diff := cmp.Diff(tc.vars, vars); diff != "" || d.Name != tc.name || !strings.Contains(d.TemplateContent,
			tc.holds) {
			t.Errorf("%s is called %q, want %q; its text is %q; variables (-want +got):\n%s", path, d.Name, tc.name,
				d.TemplateContent, diff)
		}
		if d.Category != "imported" && path != ".gemini/commands/g/fix.toml" && path != "lib/x.prompt.md" {
			t.Errorf("%s has the category %q", path, d.Category)
		}
	}
	if it := readItems(t,
		map[string]string{".github/ISSUE_TEMPLATE/config.yml": "blank_issues_enabled: false\n"}); it[".github/ISSUE_TEMPLATE/config.yml"].Skipped == "" {
		t.Error("the settings of issue forms are read as a form")
	}
}

// A plugin keeps its commands outside of the folders that an assistant reads.
func TestACommandOfAPluginIsATemplate(t *testing.T) {
	e := readAll(t,
		map[string]string{"plugins/p/commands/go.md": "---\nargument-hint: [what]\n---\nDo $ARGUMENTS\n"})["plugins/p/commands/go.md"]
	d, ok := e.Doc.(*knowledge.Template)
	if !ok || d.TemplateContent != "Do {{arguments}}" || len(d.Variables) != 1 ||
		d.Variables[0].Description != "[what]" {
		t.Errorf("it becomes %+v, want a template with a variable", e.Doc)
	}
	text := "# Commands\n\nEach is described here.\n"
	if e := readAll(t,
		map[string]string{"docs/commands/index.md": text})["docs/commands/index.md"]; e.Key.Kind != knowledge.KindPractice {
		t.Errorf("a page about commands is a %s, want a practice", e.Key.Kind)
	}
}
