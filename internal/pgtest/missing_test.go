package pgtest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"tenet/internal/needs"
)

// outcome records how a test was ended.
type outcome struct {
	testing.TB
	skipped, failed string
}

// Skipf records a skip.
func (o *outcome) Skipf(format string, args ...any) {
	o.skipped = fmt.Sprintf(format, args...)
	panic(o)
}

// Fatalf records a failure.
func (o *outcome) Fatalf(format string, args ...any) {
	o.failed = fmt.Sprintf(format, args...)
	panic(o)
}

func (o *outcome) of(err error) {
	defer func() {
		if p := recover(); p != any(o) {
			panic(p)
		}
	}()
	giveUp(o, err)
}

func TestWithoutPostgreSQLATestIsSkippedOnALaptopAndFailsInCI(t *testing.T) {
	t.Setenv("CI", "")
	laptop := &outcome{TB: t}
	laptop.of(errNoBinaries)
	if !strings.Contains(laptop.skipped, "apt-get install postgresql") {
		t.Errorf("got skip %q, want one that says what to do", laptop.skipped)
	}
	broken := &outcome{TB: t}
	broken.of(errors.New("initdb: exit status 1"))
	if broken.failed == "" {
		t.Error("a server that is there and fails must not be skipped")
	}
	t.Setenv("CI", "true")
	ci := &outcome{TB: t}
	ci.of(errNoBinaries)
	if !strings.Contains(ci.failed, "apt-get install postgresql") {
		t.Errorf("got failure %q, want one that says what to do", ci.failed)
	}
}

func TestTheNamedDirectoryMustHaveTheServer(t *testing.T) {
	t.Setenv("TENET_TEST_PG_BIN", t.TempDir())
	if _, err := findBinaries(); err == nil || !strings.Contains(err.Error(), "TENET_TEST_PG_BIN") {
		t.Errorf("got error %v, want one that names TENET_TEST_PG_BIN", err)
	}
}

func TestTheNewestVersionIsANumberAndNotAText(t *testing.T) {
	for dir, want := range map[string]int{
		"/usr/lib/postgresql/9.6/bin": 9, "/usr/lib/postgresql/17/bin": 17, "/usr/lib/postgresql/snapshot/bin": 0,
	} {
		if got := debianVersion(dir); got != want {
			t.Errorf("%s: got version %d, want %d", dir, got, want)
		}
	}
}

func TestTheTwoWaysToReadTheProcessTableAgree(t *testing.T) {
	byProc, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	byPS, err := processesFromPS()
	if err != nil {
		needs.Missing(t, "no ps here: %v", err)
	}
	parentOf := func(table []process) int {
		for _, p := range table {
			if p.pid == os.Getpid() {
				return p.parent
			}
		}
		return 0
	}
	if got, want := parentOf(byPS), parentOf(byProc); got != want || got != os.Getppid() {
		t.Errorf("parent of this process: got %d by ps and %d by /proc, want %d", got, want, os.Getppid())
	}
}
