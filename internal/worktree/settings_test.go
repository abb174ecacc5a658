package worktree

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSettingsKeepWhatIsNotOurs(t *testing.T) {
	stanza := map[string]any{"command": "tenet", "args": []string{"mcp"}}
	for _, c := range []struct{ name, before, after string }{
		{"nothing", "", "{\n  \"servers\": {\n    \"tenet\": {\n      \"args\": [\n        \"mcp\"\n      ],\n      " +
			"\"command\": \"tenet\"\n    }\n  }\n}\n"},
		{
			"comments and a neighbour",
			"{\n  // ours\n  \"servers\": {\n    \"other\": {\"x\": 1}, // keep\n  },\n  \"z\": [1,2,  3]\n}\n",
			"{\n  // ours\n  \"servers\": {\n    \"other\": {\"x\": 1}, // keep\n    \"tenet\": {\n      \"args\": " +
				"[\n        \"mcp\"\n      ],\n      \"command\": \"tenet\"\n    },\n  },\n  \"z\": [1,2,  3]\n}\n",
		},
	} {
		got, err := SetJSON([]byte(c.before), stanza, "servers", "tenet")
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.after, string(got)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		var is any
		if ok, err := GetJSON(got, &is, "servers", "tenet", "command"); !ok || err != nil || is != "tenet" {
			t.Errorf("%s: %v %v %v", c.name, ok, err, is)
		}
		again, err := SetJSON(got, stanza, "servers", "tenet")
		if err != nil || string(again) != string(got) {
			t.Errorf("%s: twice is not once: %v\n%s", c.name, err, again)
		}
	}
	for _, bad := range []string{"[1]", "{", `{"servers": 3}`, "x"} {
		if got, err := SetJSON([]byte(bad), stanza, "servers", "tenet"); err == nil {
			t.Errorf("%s was changed to %s", bad, got)
		}
	}
}

// TestSettingsAreTakenOutAgain adds ours to any object and takes it out: what is left means what it did.
func TestSettingsAreTakenOutAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"a", "b/c", "servers", "d~e", "ü"})
		value := rapid.OneOf(rapid.Just[any](1.0), rapid.Just[any]("x"), rapid.Just[any]([]any{true, nil}),
			rapid.Just[any](map[string]any{"tenet": 1.0}))
		object := rapid.MapOfN(name, value, 0, 4).Draw(t, "object")
		if _, isObject := object["servers"].(map[string]any); object["servers"] != nil && !isObject {
			delete(object, "servers")
		}
		if servers, ok := object["servers"].(map[string]any); ok {
			delete(servers, "tenet")
			servers["other"] = "y"
		}
		before, err := json.MarshalIndent(object, "", rapid.SampledFrom([]string{"", "  ", "\t"}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		with, err := SetJSON(before, map[string]any{"k": []string{"v"}}, "servers", "tenet")
		if err != nil {
			t.Fatal(err)
		}
		without, err := SetJSON(with, nil, "servers", "tenet")
		if err != nil {
			t.Fatal(err)
		}
		var left map[string]any
		if err := json.Unmarshal(without, &left); err != nil {
			t.Fatalf("%v\n%s", err, without)
		}
		if diff := cmp.Diff(object, left); diff != "" {
			t.Fatalf("something else was changed: %s\n%s\n%s", diff, with, without)
		}
	})
}

// TestAFileIsByteForByteWhatItWasWhenOursIsTakenOut puts entries into files of several styles and takes them out.
func TestAFileIsByteForByteWhatItWasWhenOursIsTakenOut(t *testing.T) {
	entry := map[string]any{"matcher": "Write", "hooks": []any{map[string]any{"type": "command", "command": "ours"}}}
	for _, text := range []string{
		"{\n}\n", `{"a":1}`, "{\"a\": 1}\n", "{\n  \"a\": 1\n}\n", "{\n\t\"a\": {\n\t\t\"b\": [1]\n\t}\n}\n",
		"{\n    \"a\": 1, // mine\n    /* and this */\n}\n", "{\"hooks\": {\"Stop\": []}}",
		"{\n  \"hooks\": {\n    \"Stop\": [ {\"x\": 1} ]\n  },\n  \"z\": [1,2,  3]\n}\n",
		"{\n    \"hooks\": {\n        // before\n        \"Pre\": [\n            {\"command\": \"theirs\"} // " +
			"behind\n        ]\n    }\n}",
		"{\"hooks\":{\"Pre\":[{\"command\":\"theirs\"}, ],}, }",
	} {
		for _, before := range []string{text, strings.ReplaceAll(text, "\n", "\r\n")} {
			for how, set := range map[string]func([]byte, any) ([]byte, error){
				"in a list": func(text []byte, v any) ([]byte, error) {
					return SetInJSON(text, v, isOurs, "hooks", "Pre")
				},
				"by a name":  func(text []byte, v any) ([]byte, error) { return SetJSON(text, v, "servers", "ours") },
				"at the top": func(text []byte, v any) ([]byte, error) { return SetJSON(text, v, "ours") },
			} {
				with, err := set([]byte(before), entry)
				if err != nil {
					t.Fatalf("%s, %q: %v", how, before, err)
				}
				if strings.Contains(before, "\r\n") && strings.Count(string(with), "\n") != strings.Count(string(with),
					"\r\n") {
					t.Errorf("%s, %q: the line ends are mixed in %q", how, before, with)
				}
				if after, err := set(with, nil); err != nil || string(after) != before {
					t.Errorf("%s: %v\n%q was, then\n%q, and\n%q is left", how, err, before, with, after)
				}
			}
		}
	}
}

func isOurs(e json.RawMessage) bool { return strings.Contains(string(e), "ours") }

// TestAListInAnEntryIsChangedWithoutTheRest goes by the index of an entry.
func TestAListInAnEntryIsChangedWithoutTheRest(t *testing.T) {
	const before = `{"Pre": [{"m": 1}, {"hooks": [ {"c": "theirs"} /* why */ ], "m": 2}]}`
	with, err := SetInJSON([]byte(before), map[string]any{"c": "ours"}, isOurs, "Pre", "1", "hooks")
	if err != nil || !strings.Contains(string(with), `{"c": "theirs"}`) || !strings.Contains(string(with), "why") {
		t.Fatalf("%v\n%s", err, with)
	}
	var list []map[string]string
	if _, err := GetJSON(with, &list, "Pre", "1", "hooks"); err != nil || len(list) != 2 || list[1]["c"] != "ours" {
		t.Errorf("%v: %v", err, list)
	}
	if after, err := SetInJSON(with, nil, isOurs, "Pre", "1", "hooks"); err != nil || string(after) != before {
		t.Errorf("%v\n%s", err, after)
	}
}

func TestANameThatStandsTwiceIsRefused(t *testing.T) {
	const twice = `{"hooks": {"Pre": []}, "hooks": {"Pre": [1]}}`
	if got, err := SetJSON([]byte(twice), 1, "hooks", "x"); err == nil || !strings.Contains(err.Error(), "2 times") {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := SetInJSON([]byte(twice), 1, isOurs, "hooks", "Pre"); err == nil {
		t.Errorf("it was changed to %s", got)
	}
	if _, err := SetJSON([]byte(twice), 1, "other"); err != nil {
		t.Errorf("what is beside the path does not matter: %v", err)
	}
}

func TestAByteOrderMarkStays(t *testing.T) {
	const before = "\ufeff{\"a\":1}\r\n"
	with, err := SetJSON([]byte(before), 2, "b")
	var two int
	if ok, got := GetJSON(with, &two, "b"); err != nil || !ok || got != nil || two != 2 ||
		!strings.HasPrefix(string(with), "\ufeff{") {
		t.Fatalf("%v, %v\n%q", err, got, with)
	}
	if after, err := SetJSON(with, nil, "b"); err != nil || string(after) != before {
		t.Errorf("%v\n%q", err, after)
	}
}

func TestATableIsPutIntoTOML(t *testing.T) {
	lines := []string{`command = "tenet"`, `args = ["mcp"]`}
	const before = "# mine\nmodel = \"x\" # keep\n\n[mcp_servers.other]\ncommand = \"o\"\n"
	got, err := SetTOML([]byte(before), "mcp_servers.tenet", lines)
	if err != nil || string(got) != before+"\n[mcp_servers.tenet]\ncommand = \"tenet\"\nargs = [\"mcp\"]\n" {
		t.Fatalf("%v\n%s", err, got)
	}
	again, err := SetTOML(got, "mcp_servers.tenet", lines)
	if err != nil || string(again) != string(got) {
		t.Errorf("twice is not once: %v\n%s", err, again)
	}
	back, err := SetTOML(got, "mcp_servers.tenet", nil)
	if err != nil || strings.TrimRight(string(back), "\n") != strings.TrimRight(before, "\n") {
		t.Errorf("taken out: %v\n%s", err, back)
	}
	for _, bad := range []string{"x", "mcp_servers = 3\n", "mcp_servers = {tenet = {command = \"x\"}}\n"} {
		if got, err := SetTOML([]byte(bad), "mcp_servers.tenet", lines); err == nil {
			t.Errorf("%q was changed to %q", bad, got)
		}
	}
}

func TestNothingIsWrittenThroughALink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	tree, err := At(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Symlink(elsewhere, filepath.Join(dir, "folder")), os.Symlink(filepath.Join(elsewhere, "f"),
			filepath.Join(dir, "file")),
		os.WriteFile(filepath.Join(dir, "plain"), nil, 0o644), os.Mkdir(filepath.Join(dir, "sub"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"folder/x", "file", "plain/x", "sub", "../x", "/x", ""} {
		if err := tree.Write(name, []byte("x"), 0); err == nil {
			t.Errorf("%q was written", name)
		}
		if _, err := tree.Read(name); err == nil {
			t.Errorf("%q was read", name)
		}
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
		t.Errorf("written elsewhere: %v, %v", left, err)
	}
}

// TestARepositoryInsideIsNotWrittenInto has a submodule, which has a file .git, and a repository that somebody cloned.
func TestARepositoryInsideIsNotWrittenInto(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write(".claude/.git")
	write("lib/dep/.git/HEAD")
	for _, inside := range []bool{false, true} {
		if inside {
			write(".git/HEAD")
		}
		tree, err := At(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{".claude/rules/x.md", "lib/dep/AGENTS.md"} {
			err := tree.Write(name, []byte("x"), 0)
			if link, ok := errors.AsType[*LinkError](err); ok != inside || ok && link.What != "another repository" {
				t.Errorf("%s, in a repository %v: %v", name, inside, err)
			}
		}
		if err := tree.Write("lib/x", []byte("x"), 0); err != nil {
			t.Error(err)
		}
	}
}

func TestAFileKeepsItsModeAndAKilledWriteIsSwept(t *testing.T) {
	dir := t.TempDir()
	tree, err := At(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"run.sh": 0o755, ".tenet-tmp-123": 0o644, "x[1]/.tenet-tmp-4": 0o644} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("old"), mode)); err != nil {
			t.Fatal(err)
		}
	}
	alive, err := temporary(dir) // another program is writing it
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Sweep("x[1]/file", "gone/file"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "x[1]", ".tenet-tmp-4")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed program left stands: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "x[1]")); err != nil {
		t.Error(err)
	}
	if err := tree.Write("run.sh", []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	f, err := tree.Read("run.sh")
	if err != nil || string(f.Text) != "new" || f.Mode != 0o755 {
		t.Errorf("%q, mode %s, %v", f.Text, f.Mode, err)
	}
	if err := tree.Write("a/b/c", nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := tree.Remove("a/b/c"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(alive.Name()); err != nil {
		t.Errorf("what is being written was taken away: %v", err)
	}
	if err := errors.Join(alive.Close(), os.Remove(alive.Name())); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}
