package sqlite

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/needs"
)

// The translated C library must be the one that the driver was translated against.
func TestLibcIsTheOneThatTheDriverNames(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Path}} {{.Version}} {{.Dir}}",
		"modernc.org/libc", "modernc.org/sqlite").Output()
	if err != nil {
		needs.Missing(t, "the go command can't tell the modules: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	ours, driver := strings.Fields(lines[0]), strings.Fields(lines[1])
	if len(driver) < 3 {
		needs.Missing(t, "the driver's source is not on this machine")
	}
	mod, err := os.ReadFile(filepath.Join(driver[2], "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require ")); len(f) >= 2 &&
			f[0] == "modernc.org/libc" {
			if f[1] != ours[1] {
				t.Errorf("go.mod has modernc.org/libc %s, and modernc.org/sqlite %s wants exactly %s", ours[1],
					driver[1], f[1])
			}
			return
		}
	}
	t.Errorf("the driver's go.mod does not name modernc.org/libc")
}
