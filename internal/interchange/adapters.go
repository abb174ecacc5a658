package interchange

import (
	"sync"

	"tenet/internal/knowledge"
)

// Adapters returns the table of the assistants' formats, as a copy.
func Adapters() []Adapter { return adapterTable() }

//nolint:gochecknoglobals // made once, never written
var adapters = sync.OnceValue(adapterTable)

const (
	always = "always"
	glob   = "glob"
	model  = "model"
	manual = "manual"
)

// adapterTable is the table. An earlier entry wins where two match one path.
func adapterTable() []Adapter {
	var all []Adapter
	for _, some := range [][]Adapter{
		helperAdapters(), templateAdapters(), ruleAdapters, fileAdapters(),
		collectionAdapters(),
	} {
		all = append(all, some...) // a copy: the patterns are filled in below
	}
	for i := range all {
		for _, p := range all[i].Paths {
			all[i].patterns = append(all[i].patterns, segmentsOf(p))
		}
	}
	return all
}

// byTrigger is how Windsurf, its successor Devin, and Antigravity say when a rule holds.
func byTrigger() Meaning {
	return Meaning{
		Default: always, Described: model, Describes: "description", Globs: []string{"globs"}, List: ListCommas,
		Mode: "trigger",
		Modes: []Mode{
			{"always_on", always},
			{"glob", glob},
			{"model_decision", model},
			{"agent_decided", model},
			{"manual", manual},
		},
		Bare: true,
	}
}

// byPaths is how Claude Code says it, and who follows it: patterns, or always.
func byPaths() Meaning {
	return Meaning{Default: always, Globs: []string{"paths", "globs"}, List: ListYAML, Describes: "description"}
}

// byCursor is how Cursor says it, and who follows it.
func byCursor() Meaning {
	return Meaning{
		Default: manual, Always: "alwaysApply", Globs: []string{"globs"}, List: ListCommas, Described: model,
		Describes: "description",
		Bare:      true,
	}
}

// ruleAdapters are folders with a file for each rule.
//
//nolint:gochecknoglobals // data, never written
var ruleAdapters = []Adapter{
	{
		Name: "cursor-rules", Target: "cursor", Kind: knowledge.KindRule, Format: FormatCursor, Place: AtFolder,
		Means: byCursor(),
		Paths: []string{".cursor/rules/**/*.mdc", ".cursor/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://cursor.com/docs/rules",
	},
	{
		Name: "claude-rules", Target: "claude", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Means: byPaths(),
		Paths: []string{".claude/rules/**/*.md"}, Checked: "2026-11", Source: "https://code.claude.com/docs/en/memory",
	},
	{
		Name: "copilot-instructions", Target: "copilot", Kind: knowledge.KindRule, Format: FormatCopilot,
		Place: AtFolder,
		Paths: []string{".github/instructions/**/*.instructions.md"}, Means: byApplyTo(), Checked: "2026-11",
		Review: 4000,
		Source: "https://docs.github.com/en/copilot/how-tos/configure-custom-instructions/add-repository-instructions",
	},
	{
		Name: "devin-rules", Target: "devin", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Means: byTrigger(), Limit: 12_000,
		Paths: []string{".devin/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://docs.devin.ai/desktop/cascade/memories",
	},
	{
		Name: "windsurf-rules", Target: "windsurf", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Means: byTrigger(), Limit: 12_000,
		Paths: []string{".windsurf/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://docs.windsurf.com/windsurf/cascade/memories",
	},
	{
		Name: "antigravity-rules", Target: "antigravity", Kind: knowledge.KindRule, Format: FormatAgents,
		Place: AtFolder,
		Means: byTrigger(), Limit: 12_000,
		Paths: []string{".agents/rules/**/*.md", ".agent/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://antigravity.google/docs/rules-workflows",
	},
	{
		Name: "kiro-steering", Target: "kiro", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Paths: []string{".kiro/steering/**/*.md"}, Checked: "2026-11", Source: "https://kiro.dev/docs/steering/",
		Means: Meaning{
			Default: always, Mode: "inclusion", Globs: []string{"fileMatchPattern"}, List: ListYAML,
			Describes: "description",
			Modes:     []Mode{{"always", always}, {"fileMatch", glob}, {"auto", model}, {"manual", manual}}, Bare: true,
		},
	},
	{
		Name: "cline-rules", Target: "cline", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Paths: []string{".clinerules/**/*.md", ".clinerules/**/*.txt", ".cline/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://docs.cline.bot/customization/cline-rules",
		Means:  Meaning{Default: always, Globs: []string{"paths"}, List: ListYAML, NoneWithout: manual},
	},
	{
		Name: "roo-mode-rules", Target: "roo", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		// they hold in one mode only
		Paths: []string{".roo/rules-*/**/*.md", ".roo/rules-*/**/*.txt"}, Means: Meaning{Default: manual},
		Checked: "2026-11", Source: "https://docs.roocode.com/features/custom-instructions",
	},
	{
		Name: "roo-rules", Target: "roo", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Means: Meaning{Default: always},
		Paths: []string{".roo/rules/**/*.md", ".roo/rules/**/*.txt"}, Checked: "2026-11",
		Source: "https://docs.roocode.com/features/custom-instructions",
	},
	{
		Name: "kilo-rules", Target: "kilo", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Means: Meaning{Default: always},
		Paths: []string{".kilocode/rules/**/*.md", ".kilo/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://kilo.ai/docs/customize/custom-rules",
	},
	{
		Name: "continue-rules", Target: "continue", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Paths: []string{".continue/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://docs.continue.dev/customize/deep-dives/rules",
		Means: Meaning{
			Default: always, Always: "alwaysApply", Never: model, Globs: []string{"globs"}, List: ListYAML,
			Describes: "description",
		},
	},
	{
		Name: "augment-rules", Target: "augment", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Paths: []string{".augment/rules/**/*.md", ".augment/rules/**/*.mdx"}, Checked: "2026-11",
		Source: "https://docs.augmentcode.com/cli/rules",
		Means: Meaning{
			Default: manual, Mode: "type", Described: model, Describes: "description",
			Modes: []Mode{{"always_apply", always}, {"agent_requested", model}, {"auto", model}, {"manual", manual}},
		},
	},
	{
		Name: "jetbrains-rules", Target: "jetbrains", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Paths: []string{".aiassistant/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://www.jetbrains.com/help/ai-assistant/configure-project-rules.html",
		Means: Meaning{
			Default: manual, Mode: "apply", Globs: []string{"patterns"}, List: ListCommas, Describes: "instructions",
			Bare: true,
			Modes: []Mode{
				{"always", always},
				{"by file patterns", glob},
				{"by model decision", model},
				{"manually", manual},
				{"off", manual},
			},
		},
	},
	{
		Name: "qwen-rules", Target: "qwen", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Means: byPaths(),
		Paths: []string{".qwen/rules/**/*.md"}, Checked: "2026-11", Source: "https://qwenlm.github.io/qwen-code-docs/",
	},
	{
		Name: "trae-rules", Target: "trae", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder, Limit: 0,
		Paths: []string{".trae/rules/**/*.md"}, Checked: "2026-11", Source: "https://docs.trae.ai/ide/rules",
		Means: Meaning{
			Default: always, Always: "alwaysApply", Never: manual, Globs: []string{"globs"}, List: ListCommas,
			Described: model,
			Describes: "description", Bare: true,
		},
	},
	{
		Name: "amazonq-rules", Target: "amazonq", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Means: Meaning{Default: always},
		Paths: []string{".amazonq/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://docs.aws.amazon.com/amazonq/latest/qdeveloper-ug/context-project-rules.html",
	},
	{
		Name: "tabnine-guidelines", Target: "tabnine", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Means: Meaning{Default: always},
		Paths: []string{".tabnine/guidelines/**/*.md"}, Checked: "2026-11",
		Source: "https://docs.tabnine.com/main/getting-started/tabnine-agent/guidelines",
	},
	{
		Name: "openhands-microagents", Target: "openhands", Kind: knowledge.KindRule, Format: FormatAgents,
		Place: AtFolder,
		Paths: []string{".openhands/microagents/**/*.md", ".openhands/skills/*.md"}, Checked: "2026-11",
		Source: "https://docs.openhands.dev/overview/skills",
		Means: Meaning{
			Default: always, Globs: []string{"paths"}, List: ListYAML, Bare: true, Describes: "description",
			Mode: "triggers", Modes: []Mode{{"*", model}}, // words of the task bring it up
		},
	},
	{
		Name: "rulesync-rules", Target: "rulesync", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Paths: []string{".rulesync/rules/**/*.md"}, Checked: "2026-11",
		Source: "https://github.com/dyoshikawa/rulesync",
		Means: Meaning{
			Default: model, Always: "root", Globs: []string{"globs"}, List: ListYAML, Described: model,
			Describes: "description",
		},
	},
	{
		Name: "ruler-rules", Target: "ruler", Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder,
		Means: Meaning{Default: always},
		Paths: []string{".ruler/**/*.md"}, Checked: "2026-11", Source: "https://github.com/intellectronica/ruler",
	},
}

// byApplyTo is how Copilot says it. Without applyTo it attaches nothing by itself.
func byApplyTo() Meaning {
	return Meaning{
		Default: manual, Globs: []string{"applyTo"}, List: ListCommas, Described: model,
		Describes: "description",
	}
}

// fileAdapters are single files that hold for the folder that they lie in.
func fileAdapters() []Adapter {
	one := func(name, target, source string, paths ...string) Adapter {
		return Adapter{
			Name: name, Target: target, Kind: knowledge.KindRule, Format: FormatAgents, Place: AtFolder, Paths: paths,
			Means: Meaning{Default: always, Globs: []string{"globs", "applyTo", "paths"}}, Checked: "2026-11",
			Source: source,
		}
	}
	cursor := one("cursor-file", "cursor", "https://cursor.com/docs/rules", ".cursorrules")
	cursor.Format = FormatCursor
	copilot := one("copilot-file", "copilot",
		"https://docs.github.com/en/copilot/how-tos/configure-custom-instructions/add-repository-instructions",
		".github/copilot-instructions.md")
	copilot.Format = FormatCopilot
	codex := one("agents-md", "codex", "https://developers.openai.com/codex/guides/agents-md", "AGENTS.md",
		"AGENTS.override.md", "AGENT.md")
	codex.Limit = 32 << 10
	imports := func(a Adapter) Adapter { a.Imports = true; return a }
	mode := func(a Adapter) Adapter { a.Means = Meaning{Default: manual}; return a } // they hold in one mode only
	return []Adapter{
		// Before AGENTS.md, which lies in its folder too.
		one("junie-guidelines", "junie", "https://junie.jetbrains.com/docs/guidelines-and-memory.html",
			".junie/AGENTS.md", ".junie/guidelines.md"),
		codex, cursor, copilot,
		imports(one("claude-md", "claude", "https://code.claude.com/docs/en/memory", "CLAUDE.md", ".claude/CLAUDE.md",
			"CLAUDE.local.md")),
		imports(one("gemini-md", "gemini", "https://geminicli.com/docs/cli/gemini-md/", "GEMINI.md")),
		one("gemini-styleguide", "gemini",
			"https://developers.google.com/gemini-code-assist/docs/customize-gemini-behavior-github",
			".gemini/styleguide.md"),
		imports(one("qwen-md", "qwen", "https://qwenlm.github.io/qwen-code-docs/", "QWEN.md")),
		one("warp-md", "warp", "https://docs.warp.dev/agent-platform/capabilities/rules", "WARP.md"),
		one("windsurf-file", "windsurf", "https://docs.windsurf.com/windsurf/cascade/memories", ".windsurfrules"),
		one("cline-file", "cline", "https://docs.cline.bot/customization/cline-rules", ".clinerules"),
		one("roo-file", "roo", "https://docs.roocode.com/features/custom-instructions", ".roorules"),
		one("kilo-file", "kilo", "https://kilo.ai/docs/customize/custom-rules", ".kilocoderules"),
		mode(one("roo-mode-file", "roo", "https://docs.roocode.com/features/custom-instructions", ".roorules-*",
			".clinerules-*")),
		mode(one("kilo-mode-file", "kilo", "https://kilo.ai/docs/customize/custom-rules", ".kilocoderules-*")),
		one("continue-file", "continue", "https://docs.continue.dev/customize/deep-dives/rules", ".continuerules"),
		one("zed-file", "zed", "https://zed.dev/docs/ai/rules", ".rules"),
		one("augment-file", "augment", "https://docs.augmentcode.com/cli/rules", ".augment-guidelines",
			".augment/guidelines.md"),
		one("goose-hints", "goose", "https://block.github.io/goose/docs/guides/using-goosehints", ".goosehints"),
		one("crush-md", "crush", "https://github.com/charmbracelet/crush", "CRUSH.md"),
		one("firebase-rules", "firebase", "https://firebase.google.com/docs/studio/set-up-gemini", ".idx/airules.md"),
		one("replit-md", "replit", "https://docs.replit.com/replitai/replit-dot-md", "replit.md"),
	}
}

// templateAdapters are texts that a person calls by name, with arguments.
func templateAdapters() []Adapter {
	one := func(name, target string, args Arguments, source string, paths ...string) Adapter {
		return Adapter{
			Name: name, Target: target, Kind: knowledge.KindTemplate, Format: FormatPrompt, Place: AtFolder, Paths: paths,
			Arguments: args,
			Means:     Meaning{Default: manual, Describes: "description"}, Checked: "2026-11", Source: source,
		}
	}
	form := one(adapterIssueForm, "github", ArgumentsNone,
		"https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/syntax-for-githubs-form-schema",
		".github/ISSUE_TEMPLATE/*.yml", ".github/ISSUE_TEMPLATE/*.yaml", ".github/DISCUSSION_TEMPLATE/*.yml",
		".github/DISCUSSION_TEMPLATE/*.yaml", ".gitea/ISSUE_TEMPLATE/*.yml", ".gitea/ISSUE_TEMPLATE/*.yaml",
		".forgejo/ISSUE_TEMPLATE/*.yml", ".forgejo/ISSUE_TEMPLATE/*.yaml")
	issue := one("github-issue", "github", ArgumentsNone,
		"https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests",
		".github/ISSUE_TEMPLATE/**/*.md", ".gitlab/issue_templates/**/*.md", ".gitea/ISSUE_TEMPLATE/**/*.md",
		".forgejo/ISSUE_TEMPLATE/**/*.md",
		"ISSUE_TEMPLATE/*.md", "ISSUE_TEMPLATE.md")
	issue.Means.Describes = "about"
	return []Adapter{
		form, issue,
		one("github-pull-request", "github", ArgumentsNone,
			"https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests",
			".github/PULL_REQUEST_TEMPLATE/**/*.md", ".gitlab/merge_request_templates/**/*.md", ".azuredevops/pull_request_template/**/*.md",
			"PULL_REQUEST_TEMPLATE/*.md", "PULL_REQUEST_TEMPLATE.md", "pull_request_template.txt"),
		one("copilot-prompts", "copilot", ArgumentsInput, "https://code.visualstudio.com/docs/copilot/customization/prompt-files",
			".github/prompts/**/*.prompt.md", "**/*.prompt.md"),
		one("claude-commands", "claude", ArgumentsDollar, "https://code.claude.com/docs/en/slash-commands",
			".claude/commands/**/*.md"),
		one("codex-prompts", "codex", ArgumentsNamed, "https://developers.openai.com/codex/custom-prompts",
			".codex/prompts/**/*.md"),
		one("cursor-commands", "cursor", ArgumentsNone, "https://cursor.com/docs/agent/chat/commands",
			".cursor/commands/**/*.md"),
		one("opencode-commands", "opencode", ArgumentsDollar, "https://opencode.ai/docs/commands/",
			".opencode/commands/**/*.md", ".opencode/command/**/*.md"),
		one("factory-commands", "factory", ArgumentsDollar, "https://docs.factory.ai/cli/configuration/custom-slash-commands",
			".factory/commands/**/*.md"),
		one("augment-commands", "augment", ArgumentsDollar, "https://docs.augmentcode.com/cli/custom-commands",
			".augment/commands/**/*.md"),
		one("qwen-commands", "qwen", ArgumentsBraces, "https://qwenlm.github.io/qwen-code-docs/",
			".qwen/commands/**/*.md"),
		one(adapterTOML, "gemini", ArgumentsBraces, "https://geminicli.com/docs/cli/custom-commands/",
			".gemini/commands/**/*.toml", ".qwen/commands/**/*.toml"),
		one("roo-commands", "roo", ArgumentsNone, "https://docs.roocode.com/features/slash-commands",
			".roo/commands/**/*.md"),
		one("continue-prompts", "continue", ArgumentsBraces, "https://docs.continue.dev/customize/deep-dives/prompts",
			".continue/prompts/**/*.md", ".continue/prompts/**/*.prompt"),
		one("windsurf-workflows", "windsurf", ArgumentsNone, "https://docs.windsurf.com/windsurf/cascade/workflows",
			".windsurf/workflows/**/*.md", ".devin/workflows/**/*.md"),
		one("antigravity-workflows", "antigravity", ArgumentsNone, "https://antigravity.google/docs/rules-workflows",
			".agents/workflows/**/*.md", ".agent/workflows/**/*.md"),
		one("cline-workflows", "cline", ArgumentsNone, "https://docs.cline.bot/features/slash-commands/workflows",
			".clinerules/workflows/**/*.md", ".cline/workflows/**/*.md"),
		one("kilo-workflows", "kilo", ArgumentsNone, "https://kilo.ai/docs/customize/workflows",
			".kilocode/workflows/**/*.md"),
		one("junie-commands", "junie", ArgumentsDollar, "https://junie.jetbrains.com/docs/", ".junie/commands/**/*.md"),
		one("rulesync-commands", "rulesync", ArgumentsDollar, "https://github.com/dyoshikawa/rulesync",
			".rulesync/commands/**/*.md"),
	}
}

// helperAdapters are practices: skills and agents that the model chooses by their descriptions.
func helperAdapters() []Adapter {
	skill := Adapter{
		Name: "skills", Target: "", Kind: knowledge.KindPractice, Format: FormatSkill, Place: AtRoot,
		Paths: []string{
			".claude/skills/**/SKILL.md", ".agents/skills/**/SKILL.md", ".github/skills/**/SKILL.md",
			"**/SKILL.md",
		},
		Means: Meaning{
			Default: model, Described: model, Describes: "description", Globs: []string{"paths"}, List: ListYAML,
			Manual: "disable-model-invocation",
		},
		Limit: 0, Checked: "2026-11", Source: "https://agentskills.io/specification",
	}
	agent := skill
	agent.Name, agent.Format, agent.Named = "agents", FormatMarkdown, true
	agent.Paths = []string{
		".claude/agents/**/*.md", ".github/agents/**/*.md", ".cursor/agents/**/*.md", ".opencode/agent/**/*.md",
		".opencode/agents/**/*.md",
		".factory/droids/**/*.md", ".gemini/agents/**/*.md", ".qwen/agents/**/*.md", "**/*.agent.md",
	}
	agent.Means.Globs, agent.Source = nil, "https://code.claude.com/docs/en/sub-agents"
	mode := agent
	mode.Name, mode.Paths, mode.Means = "chat-modes", []string{".github/chatmodes/**/*.md", "**/*.chatmode.md"},
		Meaning{Default: manual}
	mode.Source = "https://code.visualstudio.com/docs/copilot/customization/custom-chat-modes"
	return []Adapter{skill, agent, mode}
}

// collectionAdapters are rules that lie in a collection rather than where their owner reads them.
func collectionAdapters() []Adapter {
	return []Adapter{
		{
			Name: "cursor-collection", Target: "cursor", Kind: knowledge.KindRule, Format: FormatCursor, Place: AtRoot,
			Means: byCursor(),
			Paths: []string{"**/*.mdc"}, Checked: "2026-11", Source: "https://cursor.com/docs/rules",
		},
		{
			Name: "copilot-collection", Target: "copilot", Kind: knowledge.KindRule, Format: FormatCopilot,
			Place: AtRoot, Means: byApplyTo(),
			Paths: []string{"**/*.instructions.md"}, Checked: "2026-11",
			Source: "https://code.visualstudio.com/docs/copilot/customization/custom-instructions",
		},
	}
}
