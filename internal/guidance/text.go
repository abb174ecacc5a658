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

// body returns the whole content of a document, in Markdown.
func body(d knowledge.Document) string {
	var b strings.Builder
	para := func(label, text string) {
		if text = strings.TrimSpace(text); text != "" {
			b.WriteString(label + text + "\n\n")
		}
	}
	para("", description(d))
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
		para("", d.ImplementationGuide)
		examples(&b, "Good", d.Examples)
		examples(&b, "Bad", d.AntiPatterns)
	case *knowledge.Template:
		para("", d.TemplateContent)
	}
	return b.String()
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
