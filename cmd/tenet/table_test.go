package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestATableFitsTheTerminal(t *testing.T) {
	table := &table{head: []string{"ID", "TITLE", "AGE"}, wide: 1}
	table.add("a", "A title that is much too long for this terminal", "1d")
	table.add("漢字", "短い", "2d")
	for columns, want := range map[int]string{
		0: "ID    TITLE                                            AGE\n" +
			"a     A title that is much too long for this terminal  1d\n" +
			"漢字  短い                                             2d\n",
		30: "ID    TITLE                AGE\n" +
			"a     A title that is mu…  1d\n" +
			"漢字  短い                 2d\n",
		27: "ID    TITLE             AGE\n" +
			"a     A title that is…  1d\n" +
			"漢字  短い              2d\n",
		// Too narrow for columns: a block of lines for each, and nothing is cut.
		26: "a\n  title  A title that is\n         much too long for\n         this terminal\n  age    1d\n" +
			"漢字\n  title  短い\n  age    2d\n",
	} {
		var b strings.Builder
		if err := table.write(&b, screen{columns: columns}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", columns, diff)
		}
	}
}

// What is left of an id names nothing: it goes on in the next line, behind the end of a word of it.
func TestAnIDIsNeverCut(t *testing.T) {
	table := &table{head: []string{"KEY", "FILE", "STATE"}, wide: 1}
	table.add("rule/acme-house-rules-branch-names", "docs/house/branch-names.md", "as imported")
	table.add("rule/b", "b.md", "edited")
	for columns, want := range map[int]string{
		80: "KEY                                 FILE                        STATE\n" +
			"rule/acme-house-rules-branch-names  docs/house/branch-names.md  as imported\n" +
			"rule/b                              b.md                        edited\n",
		60: "KEY                     FILE                     STATE\n" +
			"rule/acme-house-rules-  docs/house/branch-       as imported\n" +
			"branch-names            names.md\n" +
			"rule/b                  b.md                     edited\n",
		40: "KEY           FILE           STATE\n" +
			"rule/acme-    docs/house/    as imported\n" +
			"house-rules-  branch-names.\n" +
			"branch-names  md\n" +
			"rule/b        b.md           edited\n",
		30: "rule/acme-house-rules-branch-\nnames\n" +
			"  file   docs/house/branch-\n         names.md\n  state  as imported\n" +
			"rule/b\n  file   b.md\n  state  edited\n",
	} {
		var b strings.Builder
		if err := table.write(&b, screen{columns: columns}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", columns, diff)
		}
	}
}

// A reason, and what doctor has found, is for reading: it goes on below, and times are not cut.
func TestATextGoesOnInTheNextLine(t *testing.T) {
	table := &table{head: []string{"ID", "AT (UTC)", "WHY"}, wide: 2, wrap: true}
	table.add("a-long-identifier", "2026-11-30 12:00:00", "It says 短い texts of several words, and "+
		"aVeryLongWordThatFitsNoLine")
	table.add("b", "-", "")
	for columns, want := range map[int]string{
		80: "ID                 AT (UTC)             WHY\n" +
			"a-long-identifier  2026-11-30 12:00:00  It says 短い texts of several words, and\n" +
			"                                        aVeryLongWordThatFitsNoLine\n" +
			"b                  -\n",
		// Too narrow for a column of texts: they stand below their rows.
		60: "ID                 AT (UTC)\n" +
			"a-long-identifier  2026-11-30 12:00:00\n" +
			"    It says 短い texts of several words, and\n" +
			"    aVeryLongWordThatFitsNoLine\n" +
			"b                  -\n",
		30: "a-long-identifier\n" +
			"  at (utc)  2026-11-30\n" +
			"            12:00:00\n" +
			"  why       It says 短い texts\n" +
			"            of several words,\n" +
			"            and\n" +
			"            aVeryLongWordThatF\n" +
			"            itsNoLine\n" +
			"b\n",
	} {
		var b strings.Builder
		if err := table.write(&b, screen{columns: columns}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", columns, diff)
		}
	}
}

func TestACellCanDoNothingToTheTerminal(t *testing.T) {
	table := &table{head: []string{"X"}}
	table.add("red \x1b[31m\r\nnext\u009b2J")
	var b strings.Builder
	if err := table.write(&b, screen{columns: 80, styled: true}); err != nil {
		t.Fatal(err)
	}
	_, row, _ := strings.Cut(b.String(), "\n")
	if got := strings.TrimRight(row, "\n"); strings.ContainsAny(got, "\x1b\r\n\u009b") {
		t.Errorf("control characters came through: %q", got)
	}
}

func TestOnlyTerminalsGetStyle(t *testing.T) {
	env := func(name string) (string, bool) { return map[string]string{"COLUMNS": "40"}[name], true }
	if s := screenOf(&strings.Builder{}, env); s != (screen{}) {
		t.Errorf("a file is taken for a terminal: %+v", s)
	}
}

// TestAFileNameTurnsNoLineOfATerminal imports from a folder whose name turns the direction of what is read: the report
// names the file without that.
func TestAFileNameTurnsNoLineOfATerminal(t *testing.T) {
	work := t.TempDir()
	from := filepath.Join(work, "from", "b\u202egnp.exe")
	if err := os.MkdirAll(from, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(from, "AGENTS.md"), "# Rules\n\n- Never write to the log by hand.\n")
	_, said := command(t, filepath.Join(work, "data"), "import", filepath.Dir(from), "--dry-run")
	if !strings.Contains(said, "gnp.exe/AGENTS.md") || strings.ContainsRune(said, '\u202e') {
		t.Errorf("import says %q", said)
	}
}
