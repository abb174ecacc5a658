package knowledge

import (
	"strings"
	"testing"
)

func TestEachLineOfTheTableOfEquivalentsCanBeRead(t *testing.T) {
	section, seen := "", map[string]bool{}
	for line := range strings.Lines(equivalentsText) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[':
			section = line
			continue
		}
		if seen[section+line] {
			t.Errorf("%s %s: is there twice", section, line)
		}
		seen[section+line] = true
		left, right, oneWay := strings.Cut(line, ">")
		names := splitList(left)
		if section != "[not]" && !oneWay && len(names) < 2 || section != "[not]" && section != "[en]" && !oneWay {
			t.Errorf("%s %s: want a > b, or two names in [en]", section, line)
		}
		if oneWay {
			names = append(names, splitList(right)...)
		}
		for _, name := range names {
			if n := len(Words(name)); n == 0 || n > longestKey || name != strings.ToLower(name) {
				t.Errorf("%s %s: %q: want one to %d words in small letters", section, line, name, longestKey)
			}
		}
	}
}

func TestAQuestionLooksForFewExpressions(t *testing.T) {
	_, q, err := SearchQuery{Text: strings.Repeat("PR ADR SLO E2E PII TDD BDD DDD POC NFR SBOM XSS CSRF SSRF DI ORM ",
		20)}.Check()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range q.Slots {
		for _, a := range q.Slots[i].Also {
			if len(a.Words) > 1 {
				n++
			}
		}
	}
	if n != maxExpressions {
		t.Errorf("%d expressions are looked for, want %d", n, maxExpressions)
	}
}

func TestAFloatIsFoundByItsSize(t *testing.T) {
	money := ruleOf("a", "Money", "", "an amount is never a float64", "")
	if got, _ := ranked(t, "float", money); len(got) != 1 {
		t.Errorf("float finds %v, want the rule that speaks of float64", got)
	}
	if got, _ := ranked(t, "float32", money); len(got) != 0 {
		t.Errorf("float32 finds %v, want nothing", got)
	}
}
