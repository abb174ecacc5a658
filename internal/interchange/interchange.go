// Package interchange reads and writes the formats in which other tools keep what tenet keeps.
package interchange

import (
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// A Format says how a file is read.
type Format string

// The formats that are read.
const (
	FormatCursor   Format = "cursor"   // Cursor rules: *.mdc, .cursorrules
	FormatCopilot  Format = "copilot"  // *.instructions.md, copilot-instructions.md
	FormatSkill    Format = "skill"    // SKILL.md
	FormatAgents   Format = "agents"   // AGENTS.md, CLAUDE.md, GEMINI.md and rules for assistants in Markdown
	FormatMarkdown Format = "markdown" // Markdown with or without front matter, our own export included
	FormatPrompt   Format = "prompt"   // prompt files, slash commands, forms of issues and pull requests
	FormatRulePage Format = "rulepage" // Markdown pages of rules with correct and incorrect blocks
	// rules of linters and others in YAML and TOML, with examples in a file beside them.
	FormatRuleYAML Format = "ruleyaml"
	FormatCSV      Format = "csv"   // tables of prompts
	FormatJSONL    Format = "jsonl" // JSON lines: our own export, or one document a line
	FormatJSON     Format = "json"  // one document or a list of them; SARIF and the settings of linters
	FormatXML      Format = "xml"   // rules of linters in XML
)

// Formats returns every format.
func Formats() []Format {
	return []Format{
		FormatCursor, FormatCopilot, FormatSkill, FormatAgents, FormatPrompt, FormatMarkdown, FormatRulePage,
		FormatRuleYAML,
		FormatCSV, FormatJSONL, FormatJSON, FormatXML,
	}
}

// ParseFormat returns the format that s names.
func ParseFormat(s string) (Format, error) {
	if slices.Contains(Formats(), Format(s)) {
		return Format(s), nil
	}
	names := make([]string, 0, len(Formats()))
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return "", fmt.Errorf("no format %q: want one of %s", s, strings.Join(names, ", "))
}

// An Item is the result of reading one file.
type Item struct {
	Path    string // within the source, with slashes
	Format  Format // "" for a file that was skipped
	Entries []Entry
	// History is set for our own export with history, which has no Entries: it is read change by change.
	History *Export
	Notes   []string // what a person may want to know: what was repaired, guessed or left out
	Skipped string   // why the file holds nothing to import; no fault
	Err     error    // why the whole file is refused
	Edited  bool     // somebody has edited what tenet wrote into it, and that is not imported
	// kept is true for a file that was not read: its earlier documents are not pruned.
	kept bool
}

// An Entry is one document of a file, or the reason why it is refused.
type Entry struct {
	Key   knowledge.Key
	Doc   knowledge.Document // normalized and valid; nil when refused
	Place string             // where in the file, as in "line 12"; "" for the whole file
	Notes []string
	Err   error
	// Own is true for a document in a format of our own: it comes back as it was written, without a mark of its source.
	Own bool
}
