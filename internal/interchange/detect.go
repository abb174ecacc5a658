package interchange

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// skipName is the format of a file that is never read.
const skipName Format = "skip"

// examplesOf is what nameFormat says of a file of examples, which is read with the rules beside it.
const examplesOf Format = "examples"

// nameFormat returns the format that a file's name suggests. For Markdown, YAML and JSON the content decides.
func nameFormat(p string) Format {
	base := strings.ToLower(path.Base(p))
	ext := path.Ext(base)
	if isNotice(base) || strings.HasSuffix(base, ".symlink") {
		return skipName
	}
	if a, _ := adapterFor(p); a != nil {
		return a.Format
	}
	switch {
	case ext == ".md" || ext == ".markdown" || ext == ".mdx":
		return FormatMarkdown
	case strings.HasSuffix(base, ".examples.yaml") || strings.HasSuffix(base, ".examples.yml"):
		return examplesOf
	case ext == ".yaml" || ext == ".yml" || ext == ".toml" || isEditorConfig(p) ||
		base == ".yamllint" || base == ".ansible-lint":
		return FormatRuleYAML
	case ext == ".csv" || ext == ".tsv":
		return FormatCSV
	case ext == ".jsonl" || ext == ".ndjson" || strings.HasSuffix(base, ".jsonl.gz") ||
		strings.HasSuffix(base, ".jsonl.zst"):
		return FormatJSONL
	case ext == ".json" || ext == ".jsonc" || ext == ".sarif" || eslintFile(base):
		return FormatJSON
	case ext == ".xml" || ext == ".ruleset":
		return FormatXML
	}
	return skipName
}

// isEditorConfig reports whether a file holds settings of editors, or of .NET's analyzers in their form.
func isEditorConfig(p string) bool {
	return slices.Contains([]string{".editorconfig", ".globalconfig"}, strings.ToLower(path.Ext(p)))
}

func isNotice(base string) bool {
	name, _, _ := strings.Cut(base, ".")
	return slices.Contains([]string{"license", "licence", "notice", "copying", "patents", "copyright"}, name) ||
		strings.HasPrefix(base, "license-") || strings.HasSuffix(base, ".license") ||
		strings.HasSuffix(base, ".license.txt")
}

// skipReason says why a file with an unknown name is skipped.
func skipReason(p string) string {
	base := strings.ToLower(path.Base(p))
	switch {
	case isNotice(base):
		return "a licence or a notice"
	case strings.HasSuffix(base, ".symlink"):
		return "the name of a symbolic link's target, not a text"
	case isArchive(base):
		return "an archive within what is imported: import it by itself"
	case isProgram(base):
		return "settings that are a program, which is not run: `npx eslint --print-config FILE > eslint.json` (and " +
			"stylelint's likewise) " +
			"writes what it sets as JSON"
	}
	if ext := path.Ext(base); ext != "" && ext != base {
		return "no format that tenet reads (" + shortQuote(ext) + ")"
	}
	return "no format that tenet reads"
}

// isProgram reports whether a file is the settings of a linter of JavaScript, as a program.
func isProgram(base string) bool {
	name, ext := strings.TrimSuffix(base, path.Ext(base)), path.Ext(base)
	return slices.Contains([]string{"eslint.config", "stylelint.config", ".eslintrc", ".stylelintrc"}, name) &&
		slices.Contains([]string{".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"}, ext)
}

// fits reports whether a file of the named format can be read as another one that the caller asked for.
func fits(named, wanted Format) bool {
	markdown := []Format{
		FormatCursor, FormatCopilot, FormatSkill, FormatAgents, FormatPrompt, FormatMarkdown,
		FormatRulePage,
	}
	switch {
	case named == wanted:
		return true
	case slices.Contains(markdown, wanted):
		return slices.Contains(markdown, named)
	}
	return false
}

// markdownFormat decides what a Markdown file without a telling name is.
func markdownFormat(p string, fm *frontMatter, body string) Format {
	switch {
	case ownKind(fm.values, shownKind) != "":
		return FormatMarkdown
	case isCommand(p, fm, body):
		return FormatPrompt
	case showsRule(fm, body):
		return FormatRulePage
	case fm.has("globs", "alwaysApply", "applyTo") || inRulesFolder(p):
		return FormatAgents
	case slices.Contains(strings.Split(strings.ToLower(path.Dir(p)), "/"), "rules"):
		return FormatRulePage
	}
	return FormatMarkdown
}

// isCommand reports whether a file is a slash command of a plugin or a collection: it lies in a folder of commands, and
// says what its caller gives, or which tools it may use.
func isCommand(p string, fm *frontMatter, body string) bool {
	return slices.Contains(strings.Split(strings.ToLower(path.Dir(p)), "/"), "commands") &&
		(fm.has("argument-hint", "allowed-tools") || strings.Contains(body, "$ARGUMENTS"))
}

// showsRule reports whether a page is a rule's by what stands in it.
func showsRule(fm *frontMatter, body string) bool {
	return fm.has("rule_type", "related_rules", "severity", "enforcement") || hasBlocks(body)
}

// inRulesFolder reports whether a path lies where an assistant looks for its rules.
func inRulesFolder(p string) bool {
	dirs := strings.Split(path.Dir(p), "/")
	for i, d := range dirs {
		if i > 0 && d == "rules" && len(dirs[i-1]) > 1 && dirs[i-1][0] == '.' || d == ".clinerules" ||
			d == ".roorules" {
			return true
		}
	}
	return false
}

// examplesBeside returns the name of the examples file of a metadata file.
func examplesBeside(p string) (string, bool) {
	for _, end := range []string{".metadata.yaml", ".metadata.yml"} {
		if s, ok := strings.CutSuffix(p, end); ok {
			return s + strings.Replace(end, "metadata", "examples", 1), true
		}
	}
	return "", false
}

// metadataBeside returns the name of the metadata file of an examples file.
func metadataBeside(p string) (string, bool) {
	for _, end := range []string{".examples.yaml", ".examples.yml"} {
		if s, ok := strings.CutSuffix(p, end); ok {
			return s + strings.Replace(end, "examples", "metadata", 1), true
		}
	}
	return "", false
}

// looksLikeExport reports whether a text begins with the first line of our own export.
func looksLikeExport(head []byte) bool {
	line, _, _ := strings.Cut(string(head), "\n")
	var h struct {
		Tenet *json.Number `json:"tenet"`
	}
	return json.Unmarshal([]byte(line), &h) == nil && h.Tenet != nil
}
