package guidance

import (
	"strings"
	"unicode/utf8"

	"tenet/internal/knowledge"
)

// briefLength is the length of the description in the brief form, in characters.
const briefLength = 280

// texts are the three forms of a document, in Markdown.
type texts struct{ full, brief, link string }

// textsOf returns the forms of a document. Every form names the key, so that its reader can ask for the whole document.
func textsOf(d knowledge.Document) texts {
	t := d.Text()
	facts := d.Key().String() + standing(d)
	head := "### " + t.Title + "\n" + facts + "\n\n"
	return texts{
		full:  head + strings.TrimSpace(body(d)) + "\n",
		brief: head + beginning(description(d)) + "\n",
		link:  "- " + t.Title + " (" + facts + ")\n",
	}
}

// standing returns severity and enforcement of a document in a few words.
func standing(d knowledge.Document) string {
	switch d := d.(type) {
	case *knowledge.Rule:
		return ", " + d.Severity + ", " + d.Enforcement
	case *knowledge.Practice:
		if d.IsRequired {
			return ", required"
		}
	}
	return ""
}

func description(d knowledge.Document) string {
	switch d := d.(type) {
	case *knowledge.Rule:
		return d.Description
	case *knowledge.Practice:
		return d.Description
	case *knowledge.Template:
		return d.Description
	}
	return ""
}

// long returns the text of a document that stands below its description, "" for a rule, whose description is its text.
func long(d knowledge.Document) string {
	switch d := d.(type) {
	case *knowledge.Practice:
		return d.ImplementationGuide
	case *knowledge.Template:
		return d.TemplateContent
	}
	return ""
}

// body returns the whole content of a document, in Markdown.
func body(d knowledge.Document) string {
	var b strings.Builder
	para := func(label, text string) {
		if text = strings.TrimSpace(text); text != "" {
			b.WriteString(label + text + "\n\n")
		}
	}
	title := d.Text().Title
	if lead := description(d); !repeats(lead, title, long(d)) {
		para("", below(title, lead))
	}
	switch d := d.(type) {
	case *knowledge.Rule:
		examples(&b, "Good", d.Examples)
		examples(&b, "Bad", d.AntiPatterns)
		para("If it is broken: ", d.ViolationsConsequence)
	case *knowledge.Practice:
		for i, s := range d.Benefits {
			if i == 0 {
				b.WriteString("Good for:\n\n")
			}
			b.WriteString("- " + s + "\n")
		}
		if len(d.Benefits) > 0 {
			b.WriteString("\n")
		}
		para("", below(title, d.ImplementationGuide))
		examples(&b, "Good", d.Examples)
		examples(&b, "Bad", d.AntiPatterns)
	case *knowledge.Template:
		para("", d.TemplateContent)
	}
	return b.String()
}

// titleLevel is the level of the heading that a document has in an answer or a file, and mostLevel the deepest one.
const (
	titleLevel = 3
	mostLevel  = 6
)

// below returns a text with its headings below that of its document, so that it does not end what stands around it.
// A first heading that says the title again is left out, as the text of an imported file has it.
func below(title, text string) string {
	if !strings.Contains(text, "#") {
		return text
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if level, words := heading(lines[0]); level > 0 && sameWords(words, title) {
		lines = lines[1:]
	}
	least := mostLevel
	eachHeading(lines, func(i, level int) { least = min(least, level) })
	if more := titleLevel + 1 - least; more > 0 {
		eachHeading(lines, func(i, level int) {
			lines[i] = strings.Repeat("#", min(more, mostLevel-level)) + strings.TrimLeft(lines[i], " ")
		})
	}
	return strings.Join(lines, "\n")
}

// eachHeading calls fn for every heading of a text that does not stand in a fenced block.
func eachHeading(lines []string, fn func(i, level int)) {
	fence := ""
	for i, line := range lines {
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case fence != "":
			if strings.HasPrefix(trimmed, fence) {
				fence = ""
			}
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
			fence = trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, trimmed[:1]))]
		default:
			if level, _ := heading(line); level > 0 {
				fn(i, level)
			}
		}
	}
}

// heading returns the level and the words of a line that is a heading, and 0 for another one.
func heading(line string) (level int, words string) {
	trimmed := strings.TrimLeft(line, " ")
	words = strings.TrimLeft(trimmed, "#")
	level = len(trimmed) - len(words)
	if level == 0 || level > mostLevel || len(line)-len(trimmed) > 3 || words != "" && words[0] != ' ' && words[0] != '\t' {
		return 0, ""
	}
	return level, strings.TrimSpace(strings.TrimRight(strings.TrimSpace(words), "#"))
}

func examples(b *strings.Builder, label string, list []knowledge.Example) {
	for _, e := range list {
		b.WriteString(label)
		if e.Title != "" {
			b.WriteString(": " + e.Title)
		}
		b.WriteString("\n\n")
		if code := strings.TrimRight(e.Code, "\n"); code != "" {
			fence := fenceFor(code)
			b.WriteString(fence + e.Language + "\n" + code + "\n" + fence + "\n\n")
		}
		if note := strings.TrimSpace(e.Note); note != "" {
			b.WriteString(note + "\n\n")
		}
	}
}

// fenceFor returns a code fence that no line of the code closes.
func fenceFor(code string) string {
	fence := "```"
	for strings.Contains(code, fence) {
		fence += "`"
	}
	return fence
}

// beginning returns the first paragraph of a text that is not empty, cut behind a sentence if it is long, or at a word
// if its first sentence is.
func beginning(text string) string {
	for part := range strings.SplitSeq(text, "\n\n") {
		part = strings.Join(strings.Fields(part), " ")
		if part == "" || strings.HasPrefix(part, "#") {
			continue
		}
		if utf8.RuneCountInString(part) <= briefLength {
			return part
		}
		cut := 0
		for i := range part {
			if cut++; cut > briefLength {
				part = part[:i]
				break
			}
		}
		if i := strings.LastIndex(part, ". "); i > len(part)/4 {
			return part[:i+1] + " …"
		}
		if i := strings.LastIndexByte(part, ' '); i > len(part)/2 {
			part = part[:i]
		}
		return part + "…"
	}
	return ""
}

// Text returns the full form of a document, in Markdown.
func Text(d knowledge.Document) string { return textsOf(d).full }
