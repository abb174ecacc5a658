package tenet_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNothingIsSkippedInCI looks at every place in the tests that skips one. What a machine lacks goes through package
// needs, which fails in CI; a test that runs for long asks for TENET_SOAK; everything else stands here with its reason.
func TestNothingIsSkippedInCI(t *testing.T) {
	reasons := map[string]string{
		"cmd/tenet/output_test.go":              "inputs of a property that no document holds",
		"internal/bench/failover_test.go":       "a measurement that is asked for by a flag",
		"internal/cache/warm_test.go":           "inputs of a fuzz test",
		"internal/httpapi/fuzz_test.go":         "inputs of a fuzz test",
		"internal/journal/crash_test.go":        "the child process of a test",
		"internal/knowledge/ambiguity_test.go":  "inputs of a fuzz test",
		"internal/knowledge/glob_test.go":       "a part of a table without cases",
		"internal/knowledge/secrets_test.go":    "a measurement that is asked for by a flag",
		"internal/interchange/data_test.go":     "third-party texts, which are not in the repository",
		"internal/live/bench_test.go":           "a benchmark of more connections than the machine may open",
		"internal/needs/needs.go":               "the one place that tells CI from a laptop",
		"internal/pgtest/network_other.go":      "another system than CI's",
		"internal/pgtest/pgtest_test.go":        "a server that somebody has named",
		"internal/postgres/more_test.go":        "the child process of a test",
		"internal/server/overlap_test.go":       "third-party texts, which are not in the repository",
		"internal/sqlite/crash_test.go":         "the child process of a test",
		"internal/store/storetest/storetest.go": "laws that an implementation says it can't keep",
		"internal/treesync/data_test.go":        "third-party texts, which are not in the repository",
		"vulncheck_test.go":                     "only without CI",
	}
	skip := regexp.MustCompile(`\.Skip(f|Now)?\(`)
	met := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "node_modules") {
			if d != nil && d.IsDir() && err == nil {
				return fs.SkipDir
			}
			return err
		}
		if filepath.Ext(path) != ".go" || path == "skips_test.go" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := strings.Split(string(data), "\n")
		for i, line := range lines {
			if !skip.MatchString(line) || strings.Contains(line, "it.Skip") {
				continue
			}
			before := strings.Join(lines[max(i-2, 0):i+1], "\n")
			if strings.Contains(before, "TENET_SOAK") || strings.Contains(before, "soakEnv") ||
				strings.Contains(before, "testing.Short()") {
				continue
			}
			if reasons[path] == "" {
				t.Errorf("%s:%d skips a test: use package needs where the machine lacks something, or say here "+
					"why\n%s", path, i+1, line)
			}
			met[path] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range reasons {
		if !met[path] {
			t.Errorf("%s skips nothing any more: take it out of the list", path)
		}
	}
}
