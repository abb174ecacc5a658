package tenet_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDecisionsAreListed compares the list at the top of docs/decisions.md with the headings below it.
func TestDecisionsAreListed(t *testing.T) {
	text, err := os.ReadFile("docs/decisions.md")
	if err != nil {
		t.Fatal(err)
	}
	list, entries, found := strings.Cut(string(text), "\n## ")
	if !found {
		t.Fatal("docs/decisions.md has no sections")
	}
	dropped := regexp.MustCompile(`[^\w\- ]`)
	var want []string
	for _, heading := range regexp.MustCompile(`(?m)^#?## .*$`).FindAllString("## "+entries, -1) {
		title := strings.TrimLeft(heading, "# ")
		link := "[" + title + "](#" + strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(title), ""), " ",
			"-") + ")"
		want = append(want, link)
	}
	got := regexp.MustCompile(`\[[^\]]*\]\(#[^)]*\)`).FindAllString(list, -1)
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Fatalf("the list has %s, which is no heading", got[i])
		case i >= len(got) || got[i] != want[i]:
			t.Fatalf("the list lacks %s in its place", want[i])
		}
	}
}
