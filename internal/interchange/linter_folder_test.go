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
		"extends: existence\nmessage: \"Avoid '%s'.\"\ntokens: [very, quite]\n":          "Avoid '%s'.\n\n- very\n- quite",
		"extends: substitution\nmessage: Use '%s'.\nswap: {utilize: use, alot: a lot}\n": "Use '%s'.\n\n- alot → a lot\n- utilize → use",
		"extends: consistency\nmessage: One of '%s'.\neither: {advisor: adviser}\n":      "One of '%s'.\n\n- advisor or adviser",
		"extends: capitalization\nmessage: \"Capitals in '%s'.\"\nmatch: $title\n":       "Capitals in '%s'.",
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
