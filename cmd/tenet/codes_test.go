package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryExitCodeIsWhatTheDocumentationSays runs a command for each code that docs/cli.md lists.
func TestEveryExitCodeIsWhatTheDocumentationSays(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.yaml", "category_id: codes\nname: Codes\n")
	bad := file("bad.yaml", "rule_id: C-1\ncategory: codes\ntitle: t\ndescription: d\nseverity: LOUD\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	covered := map[int]bool{}
	for _, c := range []struct {
		name string
		ctx  context.Context // of one row
		code int
		args string
	}{
		{"a write that is done", t.Context(), exitOK, "put " + good},
		{"help", t.Context(), exitOK, "--help"},
		{"the version", t.Context(), exitOK, "--version"},
		{"a document with a fault", t.Context(), exitFailed, "put " + bad},
		{"an unknown command", t.Context(), exitUsage, "frobnicate"},
		{"an unknown flag", t.Context(), exitUsage, "list rules --frobnicate"},
		{"too few arguments", t.Context(), exitUsage, "get"},
		{"an unknown kind", t.Context(), exitUsage, "list things"},
		{"a value that a filter can't have", t.Context(), exitUsage, "list rules --severity LOUD"},
		{"a search for nothing", t.Context(), exitUsage, "search -- -"},
		{"a limit out of bounds", t.Context(), exitUsage, "search x --limit 1000"},
		{"a kind in other letters", t.Context(), exitOK, "get Category/codes"},
		{"a key that is none", t.Context(), exitUsage, "get rule/"},
		{"a missing file", t.Context(), exitUsage, "put " + filepath.Join(dir, "none.yaml")},
		{"an output that there is not", t.Context(), exitUsage, "list rules --output xml"},
		{"a settings file that is missing", t.Context(), exitUsage, "list rules --config " +
			filepath.Join(dir, "none")},
		{"a missing document", t.Context(), exitNotFound, "get rule/NONE"},
		{"an id that no document has", t.Context(), exitNotFound, "get NONE"},
		{"a missing version", t.Context(), exitNotFound, "get category/codes --version 99"},
		{"a missing batch", t.Context(), exitNotFound, "undo 01890a5d-ac96-774b-bcce-b302099a8057"},
		{"a document that is there already", t.Context(), exitConflict, "put --create " + good},
		{"another version than expected", t.Context(), exitConflict, "retire category/codes --if-version 7"},
		{"nobody at the address", t.Context(), exitUnavailable, "list rules --timeout 2s --url " + nobody},
		{"a database that is not there", t.Context(), exitUnavailable, "list rules --data-dir " +
			filepath.Join(dir, "typo")},
		{"an interrupt", ended, exitInterrupted, "list rules"},
	} {
		var out, errs bytes.Buffer
		env := func(name string) (string, bool) { return filepath.Join(dir, "data"), name == "TENET_DATA_DIR" }
		got := run(c.ctx, strings.Fields(c.args), strings.NewReader(""), &out, &errs, env, nil)
		if got != c.code {
			t.Errorf("%s: tenet %s ended with %d, want %d\n%s%s", c.name, c.args, got, c.code, out.String(),
				errs.String())
		}
		if c.code != exitOK && !strings.HasPrefix(errs.String(), "tenet: ") {
			t.Errorf("%s: tenet %s says nothing of what went wrong: %q", c.name, c.args, errs.String())
		}
		covered[c.code] = true
	}
	covered[exitDenied] = true // testdata/access.txtar, which needs a running tenet
	for _, c := range exitCodes() {
		if !covered[c.code] {
			t.Errorf("no command here ends with %d: %s", c.code, c.text)
		}
	}
}
