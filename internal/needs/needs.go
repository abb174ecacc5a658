// Package needs ends tests on a machine that lacks what they need: they are skipped, and fail where the environment has
// CI set, so that CI tries everything out.
package needs

import (
	"os"
	"os/exec"
	"testing"
)

// Program returns where a program is, and ends the test where it is not; install says how it comes.
func Program(t testing.TB, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "there is no %s: %s", name, install)
	}
	return path
}

// Missing ends a test that lacks something.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf("skipped: "+format, args...)
}
