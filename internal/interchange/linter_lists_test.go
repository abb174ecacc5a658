package interchange

import (
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// toldRule is what a test of lists looks at: the rule, and a part of its text.
type toldRule struct {
	ID, Severity, Text string
	Off                bool
}

func TestListsThatLintersPrintAndSettingsThatListNames(t *testing.T) {
	for name, tc := range map[string]struct {
		path, text string
		want       []toldRule
		notes      string
	}{
		"Ruff's own list": {
			"ruff.json", `[{"name": "assert", "code": "S101", "linter": "flake8-bandit", "summary": "Use of assert", ` +
				`"explanation": "## What it does\nFinds assert."}, {"name": "gone", "code": "X1", "linter": "x", ` +
				`"summary": "Gone", "explanation": null, "status": {"Removed": {"since": "1"}}}]`,
			[]toldRule{
				{"team-ruff-s101", "WARNING", "Finds assert.", false},
				{"team-ruff-x1", "WARNING", "Gone", true},
			},
			"",
		},
		"Clippy's own list": {
			"lints.json", `[{"id": "swap", "group": "correctness", "level": "deny", "docs": "\n### What it ` +
				`does\nSwaps.\n"}, ` +
				`{"id": "paths", "group": "restriction", "level": "allow", "docs": "Paths."}]`,
			[]toldRule{
				{"team-lints-clippy-swap", "ERROR", "Swaps.", false},
				{"team-lints-clippy-paths", "WARNING", "Paths.", true},
			},
			"",
		},
		"Ruff in pyproject.toml": {
			"pyproject.toml", "[project]\nname = 'x'\n[tool.ruff]\nline-length = 100\n[tool.ruff.lint]\n" +
				"select = ['E', 'S101']\nignore = ['E501', 'S101']\n[tool.ruff.lint.per-file-ignores]\n'tests/**' = " +
				"['E']\n",
			[]toldRule{
				{"team-pyproject-e", "WARNING", "begin with E", false},
				{"team-pyproject-s101", "WARNING", "S101", false},
				{"team-pyproject-e501", "WARNING", "E501", true},
			},
			"S101 stands in lint.ignore too: passed over; line-length: no rules, and passed over; " +
				"lint.per-file-ignores says more than the names that are listed, and is not read",
		},
		"ruff.toml": {
			"ruff.toml", "select = ['ALL']\n",
			[]toldRule{{"team-ruff-all", "WARNING", "All rules of Ruff", false}},
			"",
		},
		"SwiftLint": {
			".swiftlint.yml", "disabled_rules: [colon]\nopt_in_rules: [empty_count]\nincluded: [Sources]\n" +
				"line_length: 110\ncustom_rules:\n  ninja:\n    regex: n\n    message: No ninjas.\n    severity: " +
				"error\n",
			[]toldRule{
				{"team-swiftlint-empty_count", "WARNING", "empty_count", false},
				{"team-swiftlint-colon", "WARNING", "colon", true},
				{"team-swiftlint-ninja", "ERROR", "No ninjas.", false},
				{"team-swiftlint-line_length", "WARNING", "110", false},
			},
			"included: no rules, and passed over",
		},
		"golangci-lint, with formatters and what is only configured": {
			".golangci.yml", "version: '2'\nlinters:\n  default: all\n  enable: [errcheck]\n  settings:\n    lll: " +
				"{line-length: 90}\n" +
				"formatters: {enable: [gofumpt]}\n",
			[]toldRule{
				{"team-golangci-errcheck", "WARNING", "errcheck", false},
				{"team-golangci-gofumpt", "WARNING", "gofumpt", false},
				{"team-golangci-lll", "WARNING", "90", false},
			},
			"version: no rules, and passed over; linters.default says more than the names that are listed, and is " +
				"not read",
		},
		"Biome": {
			"biome.json", `{"linter":{"rules":{"recommended":true,"style":{"useConst":"off"},` +
				`"suspicious":{"noDebugger":{"level":"error"}}}}}`,
			[]toldRule{
				{"team-biome-style-useconst", "WARNING", "useConst", true},
				{"team-biome-suspicious-nodebugger", "ERROR", "noDebugger", false},
			},
			"line 1: recommended is set for all rules, and is none: passed over",
		},
		"Dart, as a map": {
			"analysis_options.yaml", "linter:\n  rules:\n    avoid_print: true\n    prefer_single_quotes: false\n",
			[]toldRule{
				{"team-analysis_options-avoid_print", "WARNING", "avoid_print", false},
				{"team-analysis_options-prefer_single_quotes", "WARNING", "prefer_single_quotes", true},
			},
			"",
		},
		"commitlint": {
			".commitlintrc.json", `{"rules":{"type-enum":[2,"always",["feat"]],"subject-case":[0]}}`,
			[]toldRule{
				{"team-commitlintrc-type-enum", "ERROR", "feat", false},
				{"team-commitlintrc-subject-case", "WARNING", "subject-case", true},
			},
			"",
		},
		"yamllint without an ending": {
			".yamllint", "rules:\n  line-length: {max: 120, level: warning}\n  truthy: disable\n",
			[]toldRule{
				{"team-yamllint-line-length", "WARNING", "120", false},
				{"team-yamllint-truthy", "WARNING", "truthy", true},
			},
			"",
		},
		".NET's severities in an .editorconfig": {
			".editorconfig", "root = true\n[*]\ndotnet_diagnostic.CA1822.severity = error\n[*.cs]\n" +
				"dotnet_diagnostic.CA1822.severity = none\nindent_size = 4\n",
			[]toldRule{
				{"team-editorconfig-ca1822", "ERROR", "CA1822", false},
				{"team-editorconfig-ca1822-.cs", "WARNING", "CA1822", true},
			},
			"2 other settings are no rules: passed over",
		},
		"ESLint in a package.json": {
			"package.json", `{"name":"x","description":"y","eslintConfig":{"extends":"z",` +
				`"rules":{"no-console":"error"}}}`,
			[]toldRule{{"team-package-no-console", "ERROR", "no-console", false}},
			"what it extends is not read: z",
		},
		"SpotBugs": {
			"messages.xml", "<MessageCollection><Plugin/><BugPattern " +
				"type='NP_NULL'><ShortDescription>Null</ShortDescription>" +
				"<Details><![CDATA[<p>A null.</p>]]></Details></BugPattern></MessageCollection>",
			[]toldRule{{"team-messages-np_null", "WARNING", "<p>A null.</p>", false}},
			"",
		},
		"Android Lint": {
			"lint.xml", "<lint><issue id='A' severity='ignore'/><issue id='B' severity='fatal'><ignore " +
				"path='x'/></issue></lint>",
			[]toldRule{{"team-lint-a", "WARNING", "A holds", true}, {"team-lint-b", "CRITICAL", "B holds", false}},
			"line 1: where B does not look is not read",
		},
		"XML in Latin-1": {
			"old.xml", "<?xml version='1.0' encoding='ISO-8859-1'?>\n<ruleset><rule name='N' language='java' " +
				"message='T\xfcr'/></ruleset>",
			[]toldRule{{"team-old-n", "WARNING", "Tür", false}},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			it := readItems(t, map[string]string{tc.path: tc.text})[tc.path]
			if it.Err != nil || it.Skipped != "" {
				t.Fatalf("it is refused (%v) or skipped (%q)", it.Err, it.Skipped)
			}
			var got []toldRule
			for i, e := range it.Entries {
				d, ok := e.Doc.(*knowledge.Rule)
				if !ok {
					t.Fatalf("entry %d is refused: %v", i, e.Err)
				}
				told := toldRule{d.RuleID, d.Severity, d.Description, !d.IsActive}
				if i < len(tc.want) && strings.Contains(told.Text, tc.want[i].Text) {
					told.Text = tc.want[i].Text
				}
				got = append(got, told)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			notes := strings.Join(it.Notes, "; ")
			if tc.notes == "" && strings.Contains(notes, "passed over") ||
				!strings.Contains(dropLines(notes), tc.notes) {
				t.Errorf("the notes are %q, want %q", notes, tc.notes)
			}
		})
	}
}

// dropLines returns notes without the line that stands for a file which has none.
func dropLines(notes string) string { return strings.ReplaceAll(notes, "line 0: ", "") }

func TestWhatLintersHaveBesidesRulesIsSkippedWithATrueReason(t *testing.T) {
	for path, tc := range map[string]struct{ text, why string }{
		"exclude.xml": {
			"<FindBugsFilter><Match><Bug pattern='NP_NULL'/></Match></FindBugsFilter>",
			"does not look at",
		},
		"suppressions.xml": {
			"<suppressions><suppress checks='X' files='Y'/></suppressions>",
			"does not look at",
		},
		"findbugs.xml":            {"<FindbugsPlugin><BugPattern type='X'/></FindbugsPlugin>", "messages.xml"},
		"import-control.xml":      {"<import-control pkg='x'/>", "what may import what"},
		"report.xml":              {"<checkstyle><file name='x'/></checkstyle>", "findings are no rules"},
		".editorconfig":           {"root = true\n[*]\nindent_size = 2\n", "settings of editors"},
		".markdownlint-cli2.yaml": {"globs: ['**/*.md']\nignores: [x]\n", "describes no rules"},
		"clippy.toml":             {"msrv = '1.70'\n", "describes no rules"},
		".tflint.hcl":             {"rule \"x\" {}\n", "no format that tenet reads"},
	} {
		if it := readItems(t, map[string]string{path: tc.text})[path]; !strings.Contains(it.Skipped, tc.why) {
			t.Errorf("%s is skipped for %q, becomes %v or is refused (%v): want %q", path, it.Skipped, rulesSeen(t, it),
				it.Err, tc.why)
		}
	}
}

func TestUTF16IsReadWithoutItsMarkToo(t *testing.T) {
	const text = "# Größe\n\nKeep it small.\n"
	little, big := []byte{}, []byte{}
	for _, u := range utf16.Encode([]rune(text)) {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	for name, data := range map[string][]byte{"little": little, "big": big} {
		it := readItems(t, map[string]string{name + ".md": string(data)})[name+".md"]
		if len(it.Entries) != 1 || it.Entries[0].Err != nil {
			t.Fatalf("%s: %d entries, %v, %q", name, len(it.Entries), it.Err, it.Skipped)
		}
		if d, ok := it.Entries[0].Doc.(*knowledge.Practice); !ok || d.Title != "Größe" {
			t.Errorf("%s: it becomes %+v, want a practice called Größe", name, it.Entries[0].Doc)
		}
		lines := readItems(t, map[string]string{name + ".jsonl": string(data)})[name+".jsonl"]
		if lines.Err == nil || !strings.Contains(lines.Err.Error(), "UTF-16") {
			t.Errorf("%s as JSON lines: %v, want it refused as UTF-16", name, lines.Err)
		}
	}
	if got, err := cleanText([]byte("a\x00b\x00c")); err != nil || got != "a\x00b\x00c" {
		t.Errorf("three letters between zeros become %q, %v: want them as they stand, to be refused as what they are",
			got, err)
	}
}

// TestARuleOfTwoFilesWithOneNameKeepsItsID: .golangci.toml and .golangci.yml differ in what is no part of an id.
func TestARuleOfTwoFilesWithOneNameKeepsItsID(t *testing.T) {
	files := map[string]string{
		".golangci.toml": "[linters]\nenable = ['errcheck', 'lll']\n",
		".golangci.yml":  "linters:\n  enable: [errcheck, lll]\n",
	}
	both := rulesSeen(t, readItems(t, files)[".golangci.yml"])
	files[".golangci.toml"] = "[linters]\nenable = ['errcheck', 'lll', 'govet']\n"
	files[".golangci.json"] = `{"linters": {"enable": ["errcheck"]}}`
	if diff := cmp.Diff(both[0].ID, rulesSeen(t, readItems(t, files)[".golangci.yml"])[0].ID); diff != "" {
		t.Errorf("the id changes with a third file (-before +after):\n%s", diff)
	}
}
