package interchange

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"tenet/internal/knowledge"
)

// assistantRule makes a rule of a file of instructions for assistants: Cursor, Copilot, AGENTS.md and similar.
func (r *reader) assistantRule(f *file, format Format, fm *frontMatter, body string) *knowledge.Rule {
	summary := fm.peek("description") // stays in extra: the rule's own description is the text
	d := &knowledge.Rule{IsActive: true, RuleID: r.pathID(knowledge.KindRule, f)}
	title := titleOf(f, fm, body, summary)
	r.ruleFields(f, d, fm)
	d.Scope = r.scopeOf(f, format, fm, summary)
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
	d.Scope = r.scopeOf(f, FormatMarkdown, fm, summary)
	var guide string
	d.Title, guide = fitTitle(f, title, body, fm)
	if summary == "" {
		summary = orElse(decisionOf(body), firstParagraph(body))
	}
	d.Description = described(f, summary, d.Title)
	d.ImplementationGuide = guide
	if status := notInForce(f.path, fm, body); status != "" {
		f.note("it is the record of a decision whose status is %q: it is retired here", shortQuote(status))
		d.IsActive = false
	}
	r.common(f, &d.Common, fm)
	return d
}

// ruleFields sets the fields of a rule from the keys of front matter.
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
	if n, err := strconv.ParseInt(fm.peek("priority"), 10, 64); err == nil && n >= -knowledge.MaxPriority &&
		n <= knowledge.MaxPriority {
		d.Priority = n
		fm.take("priority")
	}
	if s := strings.ToUpper(fm.peek("status")); slices.Contains(knowledge.RuleStatuses(), s) {
		d.Status = s
		fm.take("status")
	}
}

// severity maps a tool's word for a severity.
func severity(s string) (string, bool) {
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "CRITICAL", "BLOCKER", "FATAL", "EMERGENCY", "ALERT":
		return knowledge.SeverityCritical, true
	case "HIGH", "ERROR", "MAJOR":
		return knowledge.SeverityError, true
	case "MEDIUM", "MODERATE", "WARNING", "WARN", "MINOR":
		return knowledge.SeverityWarning, true
	case "LOW", "INFO", "INFORMATION", "INFORMATIONAL", "NOTE", "NOTICE", "DEBUG", "STYLE", "HINT", "SUGGESTION",
		"REFACTOR", "CONVENTION",
		"INVENTORY", "EXPERIMENT":
		return knowledge.SeverityInfo, true
	}
	return "", false
}

// isAgentsFile reports whether a file holds for the folder that it lies in, whole.
func isAgentsFile(p string) bool {
	a, _ := adapterFor(p)
	return a != nil && a.Format == FormatAgents && !strings.Contains(a.Paths[0], "**")
}

// ownedFolder returns the folder that an AGENTS.md holds for: its own, or the one above for those in folders such as
// .github.
func ownedFolder(p string) string {
	_, folder := adapterFor(p)
	return folder
}

// titleOf finds the title of a document: in the front matter, the tool's own name for it, the heading that the text
// begins with, its one line of description, a heading further down, or the file's name. A file that names itself keeps
// its name: the first heading of many is "Role" or "Instructions".
func titleOf(f *file, fm *frontMatter, body, summary string) string {
	if t := plain(fm.text("title")); t != "" {
		return t
	}
	head := leadingHeading(body)
	if name := fm.peek("name"); name != "" {
		return ownName(name, head)
	}
	if a, _ := adapterFor(f.path); a != nil && a.Named {
		return orElse(inWords(stem(f.path), head), humanName(stem(f.path)))
	}
	if head != "" {
		return head
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
	return humanName(strings.TrimSuffix(name, ".txt"))
}

// ownName returns the name that a file gives itself as a title. A name in the form of an id is written as words, by the
// heading where that is the same in words.
func ownName(name, heading string) string {
	if strings.ContainsFunc(name, unicode.IsSpace) || !strings.ContainsAny(name, "-_") {
		return plain(name)
	}
	return orElse(inWords(name, heading), humanName(name))
}

// inWords returns a heading that says the same as a name, "" for another one.
func inWords(name, heading string) string {
	a, _ := slug(name)
	b, _ := slug(heading)
	if a != b {
		return ""
	}
	return heading
}

// fitTitle cuts a title that is too long, and keeps the full one in extra and above the text.
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
