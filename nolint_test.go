package tenet_test

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestNoLinterIsSilencedThatDoesNotRun compares the linters that comments silence with those that .golangci.yml
// enables: nolintlint can't say of one that does not run whether there was anything to silence.
func TestNoLinterIsSilencedThatDoesNotRun(t *testing.T) {
	config, err := os.ReadFile(".golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(config), "  enable:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	var enabled []string
	for _, m := range regexp.MustCompile(`(?m)^ +- (\w+)$`).FindAllStringSubmatch(list, -1) {
		enabled = append(enabled, m[1])
	}
	if !slices.Contains(enabled, "staticcheck") || !slices.Contains(enabled, "nolintlint") {
		t.Fatalf("read %v as the linters that are enabled", enabled)
	}
	found := 0
	silenced := regexp.MustCompile(`//nolint:([a-z,]+) `)
	err = fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, m := range silenced.FindAllStringSubmatch(string(text), -1) {
			for linter := range strings.SplitSeq(m[1], ",") {
				if found++; !slices.Contains(enabled, linter) {
					t.Errorf("%s silences %s, which does not run: leave its name out", name, linter)
				}
			}
		}
		return err
	})
	if err != nil || found == 0 {
		t.Fatalf("found %d comments that silence a linter: %v", found, err)
	}
}
