package main

import (
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
		5: "ID    TITLE             AGE\n" +
			"a     A title that is…  1d\n" +
			"漢字  短い              2d\n",
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
