package tenet_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNoTestIsLeftOut looks for tests that the race detector does not watch and no other command of `make test` runs.
func TestNoTestIsLeftOut(t *testing.T) {
	vars := makeVariables(t)
	apart := regexp.MustCompile(strings.ReplaceAll(vars["FAULTS"]+"|"+vars["LAWS"], "$$", "$"))
	elsewhere := map[string]bool{}
	for p := range strings.FieldsSeq(vars["LAWFUL"] + " " + vars["CALM"]) {
		elsewhere[strings.TrimPrefix(strings.TrimPrefix(p, "tenet/"), "./")] = true
	}
	name := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	files, err := filepath.Glob("*/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	deeper, _ := filepath.Glob("*/*/*/*_test.go")
	n := 0
	for _, path := range append(files, deeper...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllSubmatch(text, -1) {
			if !apart.Match(m[1]) {
				continue
			}
			if n++; !elsewhere[filepath.Dir(path)] {
				t.Errorf("%s: %s is left out of every command of make test: name its package in LAWFUL", path, m[1])
			}
		}
	}
	if n == 0 {
		t.Error("no test is run apart: FAULTS and LAWS of the Makefile are not read as make reads them")
	}
}

// makeVariables returns the variables of the Makefile, their lines joined.
func makeVariables(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(\w+) *:= *(.*)$`).FindAllStringSubmatch(
		strings.ReplaceAll(string(text), "\\\n\t", ""), -1) {
		all[m[1]] = m[2]
	}
	return all
}
