package tenet_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAKnownVulnerabilityIsFound runs the command of `make vulncheck` with a database that tells of one, with one that
// tells of none, and with one that is not there.
func TestAKnownVulnerabilityIsFound(t *testing.T) {
	if os.Getenv("CI") == "" {
		t.Skip("it reads the program several times: run it with CI=true")
	}
	if out, err := exec.Command("go", "tool", "-modfile=tools/go.mod", "-n",
		"govulncheck").CombinedOutput(); err != nil {
		t.Fatalf("govulncheck can't be had here: %s", out)
	}
	for _, c := range []struct {
		name, module string
		code         int
		says         string
	}{
		{"a call of vulnerable code", "gopkg.in/yaml.v3", 1, "GO-2026-9999"},
		{"code that is not there", "example.com/elsewhere", 0, "No vulnerabilities found"},
		{"no database", "", 2, "Nothing is known of vulnerabilities"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "database")
			if c.module != "" {
				writeAdvisory(t, dir, c.module)
			}
			cmd := exec.Command("scripts/check-vulnerabilities", "./internal/seed")
			cmd.Env = append(os.Environ(), "GOVULNDB=file://"+dir)
			out, err := cmd.CombinedOutput()
			code := 0
			if failed, ok := errors.AsType[*exec.ExitError](err); ok {
				code = failed.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != c.code || !strings.Contains(string(out), c.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, c.code, c.says, out)
			}
		})
	}
}

// writeAdvisory writes a database with one vulnerability, in every version of a module.
func writeAdvisory(t *testing.T, dir, module string) {
	t.Helper()
	const id, at = "GO-2026-9999", "2026-01-31T12:00:00Z"
	for path, text := range map[string]string{
		"index/db.json":      `{"modified":"` + at + `"}`,
		"index/modules.json": `[{"path":"` + module + `","vulns":[{"id":"` + id + `","modified":"` + at + `"}]}]`,
		"index/vulns.json":   `[{"id":"` + id + `","modified":"` + at + `"}]`,
		"ID/" + id + ".json": `{"schema_version":"1.3.1","id":"` + id + `","modified":"` + at + `","published":"` + at +
			`","details":"made for a test","database_specific":{"url":"https://example.com/vulnerability"},
"affected":[{"package":{"name":"` + module + `","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],
"ecosystem_specific":{"imports":[{"path":"` + module + `","symbols":["Unmarshal","Node.Decode","NewDecoder",` +
			`"Decoder.Decode"]}]}}]}`,
	} {
		name := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
