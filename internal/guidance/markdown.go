package guidance

import (
	"fmt"
	"strings"

	"tenet/internal/knowledge"
)

// Markdown returns the answer as a block of Markdown for the context of a model, the most important documents first.
func (a *Answer) Markdown(q *Query) string {
	var b strings.Builder
	size := 1 << 10
	for i := range a.Items {
		size += len(a.Items[i].Text) + 1
	}
	b.Grow(size) // it is long, and would be copied each time that it outgrows its room
	b.WriteString("## What holds " + q.about() + "\n\n")
	if len(a.Items) == 0 {
		b.WriteString("No document holds here.\n")
	}
	links, explained := false, false
	for i := range a.Items {
		item := &a.Items[i]
		if item.Form == FormLink && !links && !explained {
			explained = true
			b.WriteString("These hold too; each can be read whole by its key:\n\n")
		} else if item.Form != FormLink && links {
			b.WriteString("\n") // a heading ends a list
		}
		links = item.Form == FormLink
		if item.Text == "" { // an explanation
			fmt.Fprintf(&b, "- %s (%s): %s\n", item.Title, item.Key, Why(item.Because))
			continue
		}
		b.WriteString(item.Text)
		if item.Form != FormLink {
			b.WriteString("\n")
		}
	}
	if a.LeftOut.Total > 0 {
		b.WriteString("\n" + a.LeftOut.sentence(q) + "\n")
	}
	for _, n := range a.Notes {
		b.WriteString("\nNote: " + n + ".\n")
	}
	return b.String()
}

// about describes in words what a query asks about.
func (q *Query) about() string {
	var parts []string
	switch n := len(q.Paths); {
	case n == 1:
		parts = append(parts, "for "+q.Paths[0])
	case n > 1:
		parts = append(parts, "for "+q.Paths[0]+" and "+knowledge.Count(n-1, "more file", "more files"))
	case len(q.Languages) > 0:
		parts = append(parts, "for "+strings.Join(q.Languages, ", "))
	}
	if q.Task != "" {
		task := beginning(q.Task)
		parts = append(parts, "for the task: "+task)
	}
	if len(parts) == 0 {
		return "everywhere"
	}
	return strings.Join(parts, ", ")
}

// namedLeft is how many documents that are left to the model the sentence names.
const namedLeft = 5

// sentence says in one line what was left out, with the titles of the first documents that are left to the model: by
// these it decides.
func (l *Omissions) sentence(q *Query) string {
	var parts []string
	for _, r := range []struct{ reason, text string }{
		{LeftBudget, "hold and found no room in the budget"},
		{LeftModel, "may apply, as their titles say: " + l.titles(namedLeft)},
		{LeftTarget, "are meant for other assistants"},
		{LeftBound, "are more than one answer holds"},
	} {
		n := l.Counts[r.reason]
		switch {
		case n > 0 && r.reason == LeftModel && q.Task != "":
			parts = append(parts, fmt.Sprintf("%d hold for other tasks than this one", n))
		case n > 0:
			parts = append(parts, fmt.Sprintf("%d %s", n, r.text))
		}
	}
	return "Left out: " + strings.Join(parts, "; ") + "."
}

// titles returns the titles and keys of the first documents that are left to the model, and how many there are besides.
func (l *Omissions) titles(most int) string {
	var list []string
	for _, o := range l.First {
		if o.Reason == LeftModel && len(list) < most {
			list = append(list, fmt.Sprintf("%s (%s/%s)", o.Title, o.Kind, o.ID))
		}
	}
	text := strings.Join(list, ", ")
	switch more := l.Counts[LeftModel] - len(list); {
	case len(list) == 0:
		return "they are not named here"
	case more > 0:
		return text + fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Why says in words why a document holds.
func Why(list []Reason) string {
	var parts []string
	for _, r := range list {
		switch r.By {
		case ByAlways:
			parts = append(parts, "it always holds")
		case ByGlob:
			parts = append(parts, r.Glob+" matches "+r.Path)
		case ByLanguage:
			parts = append(parts, "it is for "+r.Language)
		case ByTask:
			parts = append(parts, "it fits the task")
		}
	}
	return strings.Join(parts, "; ")
}
