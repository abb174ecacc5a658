package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestNoPackageOfOursWorksBeforeTheProgramBegins starts the program, as a hook does at every edit, and reads what its
// packages allocated before main. Expressions and tables that few runs need are made when they are asked for.
func TestNoPackageOfOursWorksBeforeTheProgramBegins(t *testing.T) {
	const mostBytes, mostAllocs = 24 << 10, 300
	cmd := exec.Command("tenet", "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	seen := 0
	for lines := bufio.NewScanner(&errs); lines.Scan(); {
		name, rest, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "init "), " @")
		if !ok || !strings.HasPrefix(name, "tenet/") {
			continue
		}
		var at, took float64
		var bytes, allocs int
		if _, err := fmt.Sscanf(rest, "%g ms, %g ms clock, %d bytes, %d allocs", &at, &took, &bytes, &allocs); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		seen++
		if bytes > mostBytes || allocs > mostAllocs {
			t.Errorf("%s makes %d bytes in %d pieces before the program begins, at most %d in %d are its own: "+
				"put what it makes into sync.OnceValue", name, bytes, allocs, mostBytes, mostAllocs)
		}
	}
	if seen == 0 {
		t.Errorf("no package of ours is named:\n%s", &errs)
	}
}
