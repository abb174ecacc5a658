package interchange

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

func TestSettingsInAFolderHoldForIt(t *testing.T) {
	const eslint = `{"rules": {"no-var": "warn"}}`
	for path, want := range map[string]struct{ text, scope string }{
		".eslintrc.json":                        {eslint, "model"},
		"apps/web/.eslintrc.json":               {eslint, "model apps/web/**"},
		"apps/[web]/.eslintrc.json":             {eslint, `model apps/\[web\]/**`},
		".github/linters/.eslintrc.json":        {eslint, "model"},
		"config/.eslintrc.json":                 {eslint, "model"},
		"packages/eslint-config/.eslintrc.json": {eslint, "model"},
		"rules/scan.yaml": {
			"rules:\n  - {id: a, severity: high, message: m, languages: [go]}\n", "model",
		},
		"lib/.rubocop.yml":    {"Style/A: {Exclude: ['x/**']}\n", "glob lib/** !lib/x/**"},
		"src/api/ruff.toml":   {"[lint]\nselect = [\"E501\"]\n", "model src/api/**"},
		"src/api/notes.jsonc": {`{"rules": [{"id": "x", "severity": "low", "message": "m"}]}`, "model"},
		"net/.editorconfig":   {"[*.cs]\ndotnet_diagnostic.CA1.severity = error\n", "glob net/**/*.cs"},
		"app/.eslintrc.yml": {
			"overrides: [{files: ['*.ts', 'lib/*.js'], excludedFiles: 'a.ts', rules: {x: error}}]\n",
			"glob app/**/*.ts app/lib/*.js !app/**/a.ts",
		},
	} {
		e := readAll(t, map[string]string{path: want.text})[path]
		s := scopeIn(e)
		if got := strings.Join(append([]string{s.Activation}, s.Globs...), " "); got != want.scope {
			t.Errorf("%s holds for %q, want %q", path, got, want.scope)
		}
	}
}

// What semgrep excludes is excluded at any depth, with all that lies in a folder.
func TestPathsOfSemgrepReachIntoFolders(t *testing.T) {
	for paths, want := range map[string]string{
		"{include: ['*.py']}":                   "**/*.py",
		"{include: [src]}":                      "**/src **/src/**",
		"{include: [/src/app]}":                 "src/app src/app/**",
		"{include: [src/*.py]}":                 "src/*.py",
		"{include: [./lib/**]}":                 "lib/**",
		"{exclude: [tests]}":                    "** !**/tests !**/tests/**",
		"{exclude: [project/tests, '*_gen.*']}": "** !**/project/tests !**/project/tests/** !**/*_gen.* !**/*_gen.*/**",
		"{exclude: ['/dist/', '**/*.min.js']}":  "** !dist/** !**/*.min.js",
	} {
		text := "rules:\n  - {id: a, severity: ERROR, message: m, languages: [python], pattern: x, paths: " + paths +
			"}\n"
		s := scopeIn(readAll(t, map[string]string{"s.yaml": text})["s.yaml"])
		if got := strings.Join(s.Globs, " "); got != want {
			t.Errorf("paths %s: %q, want %q", paths, got, want)
		}
	}
}

// A message such as "Avoid '%s'" says nothing without the words that the rule looks for.
func TestARuleOfValeSaysWhichWordsItMeans(t *testing.T) {
	for text, want := range map[string]string{
		"extends: existence\nmessage: \"Avoid '%s'.\"\ntokens: [very, quite]\n": "Avoid '%s'.\n\n- very\n- quite",
		"extends: substitution\nmessage: Use '%s'.\nswap: {utilize: use, alot: a lot}\n": "Use '%s'.\n\n" +
			"- alot → a lot\n- utilize → use",
		"extends: consistency\nmessage: One of '%s'.\neither: {advisor: adviser}\n": "One of '%s'.\n\n- advisor or adviser",
		"extends: capitalization\nmessage: \"Capitals in '%s'.\"\nmatch: $title\n":  "Capitals in '%s'.",
	} {
		d, ok := readAll(t, map[string]string{"styles/House/A.yml": text})["styles/House/A.yml"].Doc.(*knowledge.Rule)
		if !ok {
			t.Fatalf("%q is no rule", text)
		}
		if diff := cmp.Diff(want, d.Description); diff != "" {
			t.Errorf("description (-want +got):\n%s", diff)
		}
	}
}

func TestAWorkflowOfNucleiIsNoRule(t *testing.T) {
	it := readItems(t, map[string]string{
		"w.yaml": "id: wf\ninfo: {name: All, author: a}\nworkflows: [{template: x.yaml}]\n",
	})["w.yaml"]
	if len(it.Entries) != 0 || it.Skipped == "" {
		t.Errorf("%d documents, skipped because of %q", len(it.Entries), it.Skipped)
	}
}

func TestAReferenceOfKiroThatDanglesIsNamed(t *testing.T) {
	notes := readItems(t, map[string]string{
		".kiro/steering/a.md": "# A\n\n#[[file:api/openapi.yaml]] and #[[file:api/gone.yaml]]\n",
		"api/openapi.yaml":    "a: 1\n",
	})[".kiro/steering/a.md"].Notes
	if diff := cmp.Diff([]string{"#[[file:api/gone.yaml]] is not there"}, notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// A bad entry is refused where it stands, and nothing is passed over without a word.
func TestNoEntryOfALinterIsLostInSilence(t *testing.T) {
	for name, tc := range map[string]struct {
		path, text string
		refused    string // a part of the reason
		note       string
	}{
		"a policy without a name among others": {
			path: "p.yaml", refused: "a policy (ClusterPolicy) without metadata.name",
			text: "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: ok}\nspec: {rules: []}\n---\n" +
				"apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {labels: {a: b}}\nspec: {rules: []}\n",
		},
		"a rule of a map that says nothing": {
			path: "m.yaml", text: "A-1: {severity: high, description: x}\nA-2: {severity: low}\n",
			refused: "rule A-2 has neither a title",
		},
		"a misspelled level": {
			path: ".eslintrc.json", text: `{"rules": {"a": "eror", "b": "warn"}}`, note: `level "eror" is none that is known`,
		},
		"a level out of bounds": {
			path: ".eslintrc.json", text: `{"rules": {"a": [7, "x"]}}`, note: `level "7" is none that is known`,
		},
		"a second rule of one id": {
			path: "r.sarif", note: `rule 2 of T has the id "X", and says something else`,
			text: `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"T","rules":[{"id":"X","name":"A"},` +
				`{"id":"X","name":"B"}]}}}]}`,
		},
		"the same rule of two runs": {
			path: "r.sarif",
			text: `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"T","rules":[{"id":"X","name":"A"}]}}},` +
				`{"tool":{"driver":{"name":"T","rules":[{"id":"X","name":"A"}]}}}]}`,
		},
		"empty rows and columns of a spreadsheet": {
			path: "t.csv", text: "id,title,severity,,\nA,T,high,,\n,,,,\n , ,,,\n",
		},
		"values in a column without a name": {
			path: "t.csv", text: "id,title,severity,\nA,T,high,important\n", note: "1 value stands in a column without a name",
		},
	} {
		t.Run(name, func(t *testing.T) {
			it := readItems(t, map[string]string{tc.path: tc.text})[tc.path]
			refused, notes := "", strings.Join(it.Notes, "\n")
			for _, e := range it.Entries {
				notes += "\n" + strings.Join(e.Notes, "\n")
				if e.Err != nil {
					refused += e.Err.Error()
				}
			}
			if it.Skipped != "" || it.Err != nil || !strings.Contains(refused, tc.refused) || tc.refused == "" && refused != "" {
				t.Errorf("refused %q, skipped %q, %v: want %q", refused, it.Skipped, it.Err, tc.refused)
			}
			if !strings.Contains(notes, tc.note) || tc.note == "" && strings.Contains(notes, "without a name: left") ||
				tc.note == "" && strings.Contains(notes, "says something else") {
				t.Errorf("notes %q, want %q", notes, tc.note)
			}
		})
	}
}
