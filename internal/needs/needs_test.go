package needs_test

import (
	"testing"

	"tenet/internal/needs"
)

// A run notes how a test ended.
type run struct {
	testing.TB
	ended string
}

func (r *run) Helper()               {}
func (r *run) Fatalf(string, ...any) { r.end("failed") }
func (r *run) Skipf(string, ...any)  { r.end("skipped") }

// end notes the first end: a real test would not go on.
func (r *run) end(how string) {
	if r.ended == "" {
		r.ended = how
	}
}

func TestALackIsSkippedAndFailsInCI(t *testing.T) {
	for ci, want := range map[string]string{"": "skipped", "true": "failed"} {
		t.Setenv("CI", ci)
		r := &run{TB: t}
		needs.Program(r, "no-such-program", "nobody has it")
		if r.ended != want {
			t.Errorf("with CI=%q the test is %s, want %s", ci, r.ended, want)
		}
		r = &run{TB: t}
		if path := needs.Program(r, "go", "it is there"); r.ended != "" || path == "" {
			t.Errorf("with CI=%q a program that is there: %q, %s", ci, path, r.ended)
		}
	}
}
