package interchange

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
)

// assistantRule makes a rule of a file that tells assistants how to work: Cursor, Copilot, AGENTS.md and its kin.
func (r *reader) assistantRule(f *file, format Format, fm *frontMatter, body string) *knowledge.Rule {
	summary := fm.peek("description") // stays in extra: the rule's own description is the text
	d := &knowledge.Rule{IsActive: true, RuleID: r.pathID(knowledge.KindRule, f)}
	title := titleOf(f, fm, body, summary)
	r.ruleFields(f, d, fm)
	d.Scope = scopeOf(f, format, fm, summary)
	d.Title, d.Description = fitTitle(f, title, body, fm)
	if d.Description == "" && summary != "" {
		d.Description = summary
		f.note("no text below the front matter: its description is taken for the text")
	}
	d.Description = described(f, d.Description, d.Title)
	r.common(f, &d.Common, fm)
	return d
}

// skill makes a practice of a SKILL.md.
func (r *reader) skill(f *file, fm *frontMatter, body string) *knowledge.Practice {
	d := r.practice(f, fm, body)
	if d.Description == d.Title {
		d.Description = described(f, firstParagraph(body), d.Title)
	}
	return d
}

// practice makes a practice of a plain Markdown file.
func (r *reader) practice(f *file, fm *frontMatter, body string) *knowledge.Practice {
	d := &knowledge.Practice{IsActive: true, PracticeID: r.pathID(knowledge.KindPractice, f)}
	title := titleOf(f, fm, body, "")
	summary := fm.text("description")
	d.Category = r.category(f, firstOf(fm.list("category")))
	d.Tags = tagsOf(fm)
	d.Scope = scopeOf(f, FormatMarkdown, fm, summary)
	var guide string
	d.Title, guide = fitTitle(f, title, body, fm)
	if summary == "" {
		summary = firstParagraph(body)
	}
	d.Description = described(f, summary, d.Title)
	d.ImplementationGuide = guide
	r.common(f, &d.Common, fm)
	return d
}

// ruleFields takes the keys of front matter that a rule has fields for.
func (r *reader) ruleFields(f *file, d *knowledge.Rule, fm *frontMatter) {
	d.Category = r.category(f, firstOf(fm.list("category")))
	d.Tags = tagsOf(fm)
	if s := fm.peek("severity"); s != "" {
		if sev, ok := severity(s); ok {
			d.Severity = sev
			if sev == s {
				fm.take("severity")
			}
		} else {
			f.note("severity %q is none that is known: WARNING instead", s)
		}
	}
	if s := strings.ToLower(fm.peek("enforcement")); slices.Contains(knowledge.Enforcements(), s) {
		d.Enforcement = s
		fm.take("enforcement")
	}
	if n, err := strconv.ParseInt(fm.peek("priority"), 10, 64); err == nil && n >= -knowledge.MaxPriority && n <= knowledge.MaxPriority {
		d.Priority = n
		fm.take("priority")
	}
	if s := strings.ToUpper(fm.peek("status")); slices.Contains(knowledge.RuleStatuses(), s) {
		d.Status = s
		fm.take("status")
	}
}

// severity maps the words that tools have for it.
func severity(s string) (string, bool) {
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "CRITICAL", "BLOCKER", "FATAL":
		return knowledge.SeverityCritical, true
	case "HIGH", "ERROR", "MAJOR":
		return knowledge.SeverityError, true
	case "MEDIUM", "MODERATE", "WARNING", "WARN", "MINOR":
		return knowledge.SeverityWarning, true
	case "LOW", "INFO", "INFORMATION", "NOTE", "STYLE", "HINT":
		return knowledge.SeverityInfo, true
	}
	return "", false
}

// scopeOf says when a document holds: as the front matter has it, or as its place among an assistant's files says.
func scopeOf(f *file, format Format, fm *frontMatter, summary string) knowledge.Scope {
	var s knowledge.Scope
	for _, key := range []string{"globs", "applyTo", "paths"} {
		if key == "paths" && format == FormatMarkdown {
			continue // a word with many meanings
		}
		for _, g := range fm.globs(key) {
			if !slices.Contains(s.Globs, g) {
				s.Globs = append(s.Globs, g)
			}
		}
	}
	for _, l := range fm.list("languages") {
		s.Languages = append(s.Languages, strings.ToLower(l))
	}
	if format != FormatMarkdown {
		for _, t := range fm.list("targets") {
			if t != "*" {
				s.Targets = append(s.Targets, t)
			}
		}
	}
	always := fm.has("alwaysApply") && fm.truth("alwaysApply")
	switch {
	case always:
		s.Activation = "always"
	case len(s.Globs) > 0:
		s.Activation = "glob"
	case format == FormatAgents && isAgentsFile(f.path):
		s.Activation = "always"
		if dir := ownedFolder(f.path); dir != "" {
			s.Activation, s.Globs = "glob", []string{dir + "/**"}
		}
	case format == FormatCopilot && strings.EqualFold(path.Base(f.path), "copilot-instructions.md"),
		format == FormatCursor && strings.EqualFold(path.Base(f.path), ".cursorrules"):
		s.Activation = "always"
	case summary == "" && (format == FormatCursor || format == FormatCopilot):
		s.Activation = "manual"
	default:
		s.Activation = "model"
	}
	return s
}

// isAgentsFile reports whether a file holds for the folder that it lies in, whole.
func isAgentsFile(p string) bool {
	return nameFormat(p) == FormatAgents
}

// ownedFolder returns the folder that an AGENTS.md holds for: its own, or the one above for those in folders such as .github.
func ownedFolder(p string) string {
	dir := path.Dir(p)
	for dir != "." && strings.HasPrefix(path.Base(dir), ".") {
		dir = path.Dir(dir)
	}
	if dir == "." {
		return ""
	}
	return dir
}

// titleOf finds the title of a document: in the front matter, the heading that the text begins with, the tool's own name
// for it, its one line of description, a heading further down, or the file's name.
func titleOf(f *file, fm *frontMatter, body, summary string) string {
	if t := plain(fm.text("title")); t != "" {
		return t
	}
	if t := leadingHeading(body); t != "" {
		return t
	}
	if t := fm.peek("name"); t != "" {
		return t
	}
	if summary != "" && !strings.Contains(summary, "\n") && len(summary) <= 160 {
		return strings.TrimSuffix(summary, ".")
	}
	if t := topHeading(body); t != "" {
		return t
	}
	name := stem(f.path)
	if strings.EqualFold(path.Base(f.path), "SKILL.md") && path.Dir(f.path) != "." {
		name = path.Base(path.Dir(f.path))
	}
	if isAgentsFile(f.path) {
		name = path.Base(f.path)
		if dir := ownedFolder(f.path); dir != "" {
			name += " of " + dir
		}
		return name
	}
	return humanName(name)
}

// fitTitle cuts a title that is too long and then keeps the whole one, in extra and above the text.
func fitTitle(f *file, title, body string, fm *frontMatter) (string, string) {
	short, cut := shorten(title)
	if !cut {
		return short, body
	}
	f.note("the title has more than %d characters: shortened, the whole one is kept", knowledge.MaxTitle)
	fm.values["title"] = title
	return short, strings.TrimSpace(title + "\n\n" + body)
}

// described returns a description, or the title in its place.
func described(f *file, description, title string) string {
	if strings.TrimSpace(description) != "" {
		return description
	}
	f.note("no description: the title stands for it")
	return title
}

// tagsOf takes the tags of front matter: one line each, every one once.
func tagsOf(fm *frontMatter) []string {
	var out []string
	for _, t := range fm.list("tags") {
		t, _ = shorten(t)
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
