package knowledge

import (
	"strings"
	"unicode/utf8"
)

// maxSummary is the length, in characters, of the longest summary. Assistants read no more of the description of a
// skill.
const maxSummary = 1024

// Summary returns a line that says when a document matters, by which a model decides whether to read it: what its
// author wrote for that, else its title.
func Summary(doc Document) string {
	title, written := doc.Text().Title, ""
	switch d := doc.(type) {
	case *Rule:
		written = d.described()
	case *Practice:
		written = d.Description
	case *Template:
		written = d.Description
	}
	line := strings.Join(strings.Fields(written), " ")
	if line == "" || utf8.RuneCountInString(line) > maxSummary {
		return title
	}
	return line
}

// described returns what the file that a rule came from says of when it matters. Its text is the rule's own
// description.
func (r *Rule) described() string {
	text, _ := r.Extra["description"].(string)
	return strings.TrimSpace(text)
}
