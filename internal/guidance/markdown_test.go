package guidance

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLinksBetweenTextsStayAList holds the Markdown of an answer with little room: a list of links ends before the
// next heading, and is introduced once.
func TestLinksBetweenTextsStayAList(t *testing.T) {
	a := Answer{Items: []Item{
		{Form: FormLink, Text: "- One (rule/A)\n"},
		{Form: FormLink, Text: "- Two (rule/B)\n"},
		{Form: FormBrief, Text: "### Three\nrule/C\n"},
		{Form: FormLink, Text: "- Four (rule/D)\n"},
	}}
	want := `## What holds everywhere

These hold too; each can be read whole by its key:

- One (rule/A)
- Two (rule/B)

### Three
rule/C

- Four (rule/D)
`
	if diff := cmp.Diff(want, a.Markdown(&Query{})); diff != "" {
		t.Errorf("Markdown (-want +got):\n%s", diff)
	}
}
