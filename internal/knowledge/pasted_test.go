package knowledge_test

import (
	"testing"

	"tenet/internal/knowledge"
)

func TestQuotationMarksInAPastedMessageAreNoCondition(t *testing.T) {
	for _, c := range []struct {
		text string
		must int
	}{
		{`could not insert into the table because the relation "accounts" does not exist`, 0},
		{`relation "accounts" does not exist`, 1},
		{`could not insert into the table because the relation "user accounts" does not exist`, 1},
		{`could not insert into the table because the relation -"accounts" does not exist`, 0},
		{`could not insert into the table because the relation title:"accounts" does not exist`, 1},
	} {
		_, q, err := knowledge.SearchQuery{Text: c.text}.Check()
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		if len(q.Must) != c.must {
			t.Errorf("%s: %d conditions, want %d", c.text, len(q.Must), c.must)
		}
	}
}

func TestShortFlagsInAPastedCommandExcludeNothing(t *testing.T) {
	for text, want := range map[string]int{
		"docker run -it -v /data:/data postgres stops at once because it may not write there": 0,
		"docker run -it":               0,
		"docker -swarm":                1,
		"curl -k in scripts":           0,
		"go test -race":                0,
		"go test -tags=integration ./": 0,
		"go test -mocks":               1,
		"go errors -panic":             1,
		"linter -go":                   1,
		`go test -"race"`:              1,
		"a container of postgres stops at once because it may not write there -docker": 1,
	} {
		_, q, err := knowledge.SearchQuery{Text: text}.Check()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if len(q.Not) != want {
			t.Errorf("%s: %d exclusions, want %d", text, len(q.Not), want)
		}
	}
}

func TestASignHasItsName(t *testing.T) {
	names := map[string]string{
		"== in conditions":      "equality",
		"=> with one parameter": "arrow function",
		"a ?? b":                "nullish coalescing",
		"std::move or ::":       "scope resolution",
		"line 12 of the file total.js: expected '===' and instead saw '=='.": "equality",
	}
	for text, want := range names {
		_, q, err := knowledge.SearchQuery{Text: text}.Check()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		found := false
		for i := range q.Slots {
			for _, a := range q.Slots[i].Also {
				found = found || a.Text == want
			}
		}
		if !found {
			t.Errorf("%s: %q is not looked for", text, want)
		}
	}
	if _, q, err := (knowledge.SearchQuery{Text: "== in conditions", Literal: true}).Check(); err != nil ||
		len(q.Wishes) != 1 {
		t.Errorf("literal: %v, %v: a sign is no word", q, err)
	}
}

func TestWhatATerminalAddsToACopiedTextIsLeftOut(t *testing.T) {
	for text, want := range map[string]string{
		"\x1b[1;31merror:\x1b[0m lock timeout": "error: lock timeout",
		"lock\x07timeout":                      "lock timeout",
		"\u200flock\u202c time\u200b\u200bout": "lock timeout",
		"lock\ttimeout\nerror":                 "lock\ttimeout\nerror",
		"lock \x1b[31":                         "lock ",
	} {
		if got := knowledge.CleanQuestion(text); got != want {
			t.Errorf("%q is read as %q, want %q", text, got, want)
		}
		if _, _, err := (knowledge.SearchQuery{Text: text}).Check(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, _, err := (knowledge.SearchQuery{Text: "lock \xff"}).Check(); err == nil {
		t.Error("invalid UTF-8 is taken")
	}
}
