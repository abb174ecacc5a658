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

func TestASignHasItsName(t *testing.T) {
	names := map[string]string{
		"== in conditions":      "equality",
		"=> with one parameter": "arrow function",
		"a ?? b":                "nullish coalescing",
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
	if _, q, err := (knowledge.SearchQuery{Text: "== in conditions", Literal: true}).Check(); err != nil || len(q.Wishes) != 1 {
		t.Errorf("literal: %v, %v: a sign is no word", q, err)
	}
}
