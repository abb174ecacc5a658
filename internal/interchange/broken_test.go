package interchange

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// TestABrokenFileOfRulesIsRefusedWithItsLine has files in a folder that are not what their names say. Those that were
// meant to be rules are refused, the others passed over; both name the line in which the fault stands.
func TestABrokenFileOfRulesIsRefusedWithItsLine(t *testing.T) {
	for path, tc := range map[string]struct {
		text    string
		line    int
		skipped bool
	}{
		"indent.yaml":       {text: "rules:\n  - id: A\n    title: x\n   bad: y\n  - id: B\n    title: z\n", line: 4},
		"quote.yaml":        {text: "rules:\n  - id: a\n    message: \"m\n    severity: LOW\n", line: 3},
		"bracket.yaml":      {text: "rules:\n  - id: a\n    tags: [x, y\n    title: m\n", line: 3},
		"list.yaml":         {text: "- id: a\n  title: x\n  description: y\n id: b\n", line: 4},
		".rubocop.yml":      {text: "Style/X:\n  Enabled: true\n Style/Y:\n  Enabled: true\n", line: 3},
		"policy.yaml":       {text: "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n  name: x\n spec: {}\n", line: 5},
		"falco.yaml":        {text: "- rule: A\n  desc: x\n  condition: y\n output: z\n", line: 4},
		"styles/A.yml":      {text: "extends: existence\nmessage: \"x\nlevel: error\n", line: 2},
		"second.yaml":       {text: "id: a\ntitle: x\nseverity: LOW\n---\nid: b\n title: y\n", line: 6},
		"gitleaks.toml":     {text: "[[rules]]\nid = \"x\"\nregex = \"a\n", line: 3},
		"rules.json":        {text: "[\n{\"rule_id\": \"A\",\n \"title\" \"x\"}]\n", line: 3},
		"documents.json":    {text: "\n{\"rule_id\": \"A\",\n", line: 2},
		"compose.yaml":      {text: "services:\n  a: {image: x\nvolumes: {}\n", line: 2, skipped: true},
		"Cargo.toml":        {text: "[package]\nname = x\n", line: 2, skipped: true},
		".github/a/ci.yaml": {text: "on: push\njobs:\n  a: b: c\n", line: 3, skipped: true},
	} {
		it := readItems(t, map[string]string{path: tc.text})[path]
		said := it.Skipped
		if it.Err != nil {
			said = it.Err.Error()
		}
		if (it.Skipped != "") != tc.skipped || !strings.Contains(said, fmt.Sprintf("line %d", tc.line)) {
			t.Errorf("%s: refused %v, skipped %q: want line %d, skipped %v", path, it.Err, it.Skipped, tc.line, tc.skipped)
		}
	}
}

func TestFrontMatterThatIsNotYAMLNamesTheLineOfTheFile(t *testing.T) {
	const path = ".cursor/rules/a.mdc"
	for text, line := range map[string]int{
		"---\ndescription: x\nglobs: *.ts\n---\nText.\n": 3,
		"---\nglobs: *.ts\n---\nText.\n":                 2,
		"\n\n---\na: b: c\n---\nText.\n":                 4,
	} {
		notes := strings.Join(readItems(t, map[string]string{path: text})[path].Notes, "\n")
		if want := fmt.Sprintf("front matter is not YAML: line %d: ", line); !strings.Contains(notes, want) {
			t.Errorf("%q: notes %q, want %q", text, notes, want)
		}
	}
}

// TestAnEntryOfAMapThatSaysNothingIsRefused has maps from ids to rules. What is a setting for all of them is noted.
func TestAnEntryOfAMapThatSaysNothingIsRefused(t *testing.T) {
	const good = "A-1: {severity: high, description: x}\n"
	for text, want := range map[string]struct {
		line, why string
	}{
		good + "A-2: {}\n":         {"line 2", "rule A-2 has neither a title"},
		good + "A-2:\n":            {"line 2", "rule A-2 has neither a title"},
		good + "A-2: {foo: bar}\n": {"line 2", "rule A-2 has neither a title"},
		"rules:\n  " + good + "  A-2: text\n": {"line 3", "A-2 is no rule: want a " +
			"title and a description"},
		"rules:\n  " + good + "  A-2: [text]\n": {"line 3", "A-2 is no rule: want a " +
			"title and a description"},
		"rules:\n  " + good + "  A-2:\n":                            {"line 3", "rule A-2 has neither a title"},
		good + "version: 2\n":                                       {},
		good + "defaults: {severity: low}\nsettings:\nx-team: {}\n": {},
	} {
		it := readItems(t, map[string]string{"m.yaml": text})["m.yaml"]
		place, why := "", ""
		for _, e := range it.Entries {
			if e.Err != nil {
				place, why = place+e.Place, why+e.Err.Error()
			}
		}
		if it.Err != nil || it.Skipped != "" || place != want.line || !strings.HasPrefix(why, want.why) ||
			want.why == "" && why != "" {
			t.Errorf("%q: refused at %q: %q (%v %q): want %v", text, place, why, it.Err, it.Skipped, want)
		}
	}
}

// TestNumbersStayAsTheyStoodInTOML has every spelling of numbers and times that TOML knows.
func TestNumbersStayAsTheyStoodInTOML(t *testing.T) {
	const text = "[[rules]]\nid = \"x\"\ndescription = \"y\"\nregex = 'a'\nentropy = 3.50\nbig = 1_000\nhex = 0xFF\n" +
		"plain = 7\nplus = +1\nodd = [1.10, {a = 1e3}]\ninf = inf\nwhen = 2024-01-01\nat = 07:32:00\n" +
		"zone = 1979-05-27 07:32:00Z\ntext = \"1_000\"\n1_0 = \"1.20\" # 1.30\n"
	got := fieldsOf(t, "rules.toml", text)["extra"].(map[string]any)
	delete(got, "imported_from")
	want := map[string]any{
		"id": "x", "regex": "a", "entropy": "3.50", "big": "1_000", "hex": "0xFF", "plain": 7.0, "plus": "+1",
		"odd": []any{"1.10", map[string]any{"a": "1e3"}}, "inf": "inf", "when": "2024-01-01", "at": "07:32:00",
		"zone": "1979-05-27 07:32:00Z", "text": "1_000", "1_0": "1.20",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("extra (-want +got):\n%s", diff)
	}
}

// fieldsOf returns the fields of the document that a file becomes.
func fieldsOf(t *testing.T, path, text string) map[string]any {
	t.Helper()
	doc := readAll(t, map[string]string{path: text})[path].Doc
	if doc == nil {
		t.Fatalf("%s is no document", path)
	}
	data, err := knowledge.Canonical(doc)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestAPlainTextIsCalledLikeItsFile(t *testing.T) {
	for path, want := range map[string]string{
		".clinerules/error-handling.txt": "Error handling", ".roo/rules/naming.txt": "Naming",
	} {
		if got := fieldsOf(t, path, "be nice\n")["title"]; got != want {
			t.Errorf("%s is called %q, want %q", path, got, want)
		}
	}
}

func TestABooleanAmongTagsStaysAsItStood(t *testing.T) {
	got := fieldsOf(t, "notes/a.md", "---\ntags: [TRUE, False, true, no, ~]\n---\n# A\n\nText.\n")["tags"]
	if diff := cmp.Diff([]any{"TRUE", "False", "true", "no", "source:team"}, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}
