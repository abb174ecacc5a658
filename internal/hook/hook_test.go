package hook

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/check"
)

func TestEachToolsEditIsReadAsTheFileItMakes(t *testing.T) {
	now := map[string]string{
		"a.go": "one\ntwo\nthree\n", "/w/a.go": "one\ntwo\nthree\n", "/w/crlf": "one\r\ntwo\r\nthree\r\n",
		"/w/mixed": "one\r\ntwo\nthree\n",
	}
	file := func(path string) ([]byte, error) {
		if text, ok := now[path]; ok {
			return []byte(text), nil
		}
		return nil, nil
	}
	for _, c := range []struct{ name, tool, event, path, after string }{
		{
			"a whole file", "claude", `{"tool_name":"Write","tool_input":{"file_path":"/w/b","content":"x"}}`, "/w/b",
			"x",
		},
		{"a piece", "claude", `{"tool_name":"Edit","tool_input":{"file_path":"/w/a.go","old_string":"two",` +
			`"new_string":"2"}}`, "/w/a.go", "one\n2\nthree\n"},
		{
			"a piece of a file with other line ends", "claude",
			`{"tool_name":"Edit","tool_input":{"file_path":"/w/crlf","old_string":"one\ntwo","new_string":"1\n2"}}`, "/w/crlf",
			"1\r\n2\r\nthree\r\n",
		},
		{
			"a piece of a file with mixed line ends", "claude",
			`{"tool_name":"MultiEdit","tool_input":{"file_path":"/w/mixed","edits":[{"old_string":"one\ntwo\nthree",` +
				`"new_string":"x\ny"}]}}`, "/w/mixed", "x\ny\n",
		},
		{"a patch as a list of words", "codex", `{"cwd":"/w","tool_name":"shell",` +
			`"tool_input":{"command":["apply_patch","*** Begin Patch\n*** Add File: b\n+x\n*** End Patch"]}}`, "b", "x"},
		{"a patch in a shell's words", "codex", `{"cwd":"/w","tool_name":"shell","tool_input":{"command":["bash",` +
			`"-lc","apply_patch <<'E'\n*** Begin Patch\n*** Add File: b\n+x\n*** End Patch\nE"]}}`, "b", "x"},
		{"every piece", "claude", `{"tool_name":"Edit","tool_input":{"file_path":"/w/a.go","old_string":"e",` +
			`"new_string":"E","replace_all":true}}`, "/w/a.go", "onE\ntwo\nthrEE\n"},
		{
			"several pieces", "claude", `{"tool_name":"MultiEdit","tool_input":{"file_path":"/w/a.go",` +
				`"edits":[{"old_string":"one","new_string":"two"},{"old_string":"two","new_string":"2"}]}}`, "/w/a.go",
			"2\ntwo\nthree\n",
		},
		{
			"a cell", "claude", `{"tool_name":"NotebookEdit","tool_input":{"notebook_path":"/w/n","new_source":"x"}}`,
			"/w/n", "x",
		},
		{"copilot, quoted", "copilot", `{"cwd":"/w","toolName":"edit","toolArgs":"{\"path\":\"a.go\",` +
			`\"old_str\":\"two\",\"new_str\":\"\"}"}`, "a.go", "one\n\nthree\n"},
		{
			"copilot, plain", "copilot", `{"cwd":"/w","toolName":"create","toolArgs":{"path":"b","file_text":"x"}}`,
			"b",
			"x",
		},
		{"copilot, a line", "copilot", `{"cwd":"/w","toolName":"insert","toolArgs":{"path":"a.go","insert_line":1,` +
			`"insert_text":"x"}}`, "a.go", "one\nx\ntwo\nthree\n"},
		{
			"cursor", "cursor", `{"workspace_roots":["/w"],"tool_name":"Write","tool_input":{"path":"b",` +
				`"contents":"x"}}`,
			"b", "x",
		},
		{"a patch", "codex", patchEvent("*** Begin Patch\n*** Update File: a.go\n@@ one\n two\n-three\n+3\n*** " +
			"End Patch"), "a.go", "one\ntwo\n3\n"},
		{
			"a patch with other blanks", "codex",
			patchEvent("*** Begin Patch\n*** Update File: a.go\n@@\n-  two\n+2\n*** End of File\n*** End Patch"),
			"a.go", "one\n2\nthree\n",
		},
		{
			"a patch that adds", "codex", patchEvent("*** Begin Patch\n*** Add File: b\n+x\n+\n+y\n*** End Patch"), "b",
			"x\n\ny",
		},
		{
			"a patch that moves", "codex", patchEvent(
				"*** Begin Patch\n*** Update File: a.go\n*** Move to: c.go\n@@\n-one\n+1\n*** End Patch"), "c.go",
			"1\ntwo\nthree\n",
		},
		{
			"a patch with other line ends", "codex", patchEvent("*** Begin Patch\r\n*** Update File: a.go\r\n@@\r\n" +
				"-two\r\n+2\r\n*** End of File\r\n*** End Patch\r\n"), "a.go", "one\n2\nthree\n",
		},
		{"two hunks", "codex", patchEvent("*** Begin Patch\n*** Update File: " +
			"a.go\n@@\n-one\n+1\n@@\n-three\n+3\n\n*** End Patch"), "a.go", "1\ntwo\n3\n"},
	} {
		e, err := Read(c.tool, []byte(c.event), file)
		if err != nil || len(e.Edits) != 1 {
			t.Errorf("%s: %v, %+v", c.name, err, e)
			continue
		}
		if diff := cmp.Diff([]string{c.path, c.after},
			[]string{e.Edits[0].Path, string(e.Edits[0].After)}); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func patchEvent(patch string) string {
	text, err := json.Marshal(map[string]any{
		"cwd": "/w", "tool_name": "apply_patch",
		"tool_input": map[string]string{"command": patch},
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestAMoveSaysWhereTheFileWas(t *testing.T) {
	text := patchEvent("*** Begin Patch\n*** Update File: a.go\n*** Move to: keys/a.pem\n@@\n " +
		"one\n-two\n+2\n*** End Patch")
	e, err := Read("codex", []byte(text), func(string) ([]byte, error) { return []byte("one\ntwo\n"), nil })
	if err != nil || len(e.Edits) != 1 || e.Edits[0].Was != "a.go" || e.Edits[0].Path != "keys/a.pem" ||
		string(e.Edits[0].After) != "one\n2\n" {
		t.Errorf("%v: %+v", err, e)
	}
}

func TestWhatEditsNothingIsLeftAlone(t *testing.T) {
	none := func(string) ([]byte, error) { return nil, nil }
	for _, event := range []string{
		`{}`, `{"tool_name":"Bash","tool_input":{"command":"rm -rf /"}}`,
		`{"tool_name":"shell","tool_input":{"command":["ls","-l"]}}`,
		`{"tool_name":"shell","tool_input":{"command":7}}`,
		`{"tool_name":"Read","tool_input":{"file_path":"/w/a"}}`,
		`{"tool_name":"X","tool_input":"text"}`, `{"tool_name":"Glob","tool_input":{"path":"/w"}}`,
	} {
		if e, err := Read("claude", []byte(event), none); err != nil || len(e.Edits) > 0 {
			t.Errorf("%s: %v, %+v", event, err, e)
		}
	}
	if _, err := Read("claude", []byte(`{"tool_name":"Edit","tool_input":{"file_path":"/w/a","old_string":"x",`+
		`"new_string":"y"}}`), none); !errors.Is(err, errNoPlace) {
		t.Errorf("an edit of what is not there: %v", err)
	}
}

func TestAnswersAreSilentWhereThereIsNothingToSay(t *testing.T) {
	for _, tool := range Tools() {
		if got := Answer(tool, &Event{}, Verdict{}); got != nil {
			t.Errorf("%s: %s", tool, got)
		}
		if got := string(Answer(tool, &Event{}, Verdict{Note: "n"})); strings.Contains(got, "allow") {
			t.Errorf("%s: a note lets the edit through without its user: %s", tool, got)
		}
		if got := string(Answer(tool, &Event{}, Verdict{Deny: true, Reason: "r"})); !strings.Contains(got, `"deny"`) ||
			!json.Valid([]byte(got)) {
			t.Errorf("%s: %s", tool, got)
		}
	}
}

func TestAVerdictIsBounded(t *testing.T) {
	r := &check.Result{}
	for range 500 {
		r.Findings = append(r.Findings, check.Finding{
			Rule: "A", Enforcement: "mandatory",
			Message: strings.Repeat("é", 100), Path: "p", Line: 1,
		})
	}
	if v := Judge(r, ""); !v.Deny || len(v.Reason) > 10_000 {
		t.Errorf("deny %v, %d bytes", v.Deny, len(v.Reason))
	}
}

func FuzzRead(f *testing.F) {
	f.Add("claude", `{"tool_name":"Write","tool_input":{"file_path":"/w/b","content":"x"}}`)
	f.Add("codex", patchEvent("*** Begin Patch\n*** Update File: a.go\n@@ one\n two\n-three\n+3\n*** End Patch"))
	f.Add("copilot", `{"cwd":"/w","toolName":"edit","toolArgs":"{\"path\":\"a.go\",\"old_str\":\"two\",`+
		`\"new_str\":\"\"}"}`)
	f.Fuzz(func(t *testing.T, tool, event string) {
		e, err := Read(tool, []byte(event), func(string) ([]byte, error) { return []byte("one\ntwo\nthree\n"), nil })
		if err == nil {
			Answer(tool, e, Verdict{Deny: true, Reason: "r"})
		}
	})
}
