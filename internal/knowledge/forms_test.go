package knowledge

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// TestWhatIsRememberedOfWordsChangesNoEntry indexes the same words in texts of different languages, as a word and as a
// part of a name: an indexer that has read all the others makes the same entry as a fresh one.
func TestWhatIsRememberedOfWordsChangesNoEntry(t *testing.T) {
	texts := []string{
		"Tests are written for the base, and information is kept: c++, camelCase, health-check, --no-verify, a/b@v1",
		"Die Tests sind nicht für die Base, und die Information ist die Größe von camelCase und health-check",
		"le code est dans la base et les tests ne sont pas pour tous les informations",
		"el código es para la base y los tests no son para todos los informes",
		"関数は短く保つ。テスト tests 😀 ς ΣΊΣΥΦΟΣ 한국어",
	}
	entry := func(f *forms, text string) *Entry {
		return (&indexer{forms: f}).entry(&Rule{
			RuleID: "SEC-001", Title: text, Description: text + "\n" + text,
			Common: Common{Tags: []string{"tests", "größe"}},
		})
	}
	used := &forms{stems: newStemmer()}
	for range 2 {
		for _, text := range texts {
			got, want := entry(used, text), entry(&forms{stems: newStemmer()}, text)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%q is indexed as\n%+v, and after other texts as\n%+v", text, *want, *got)
			}
		}
	}
}

// TestFormsForgetWhenTheyKnowMuch reads more different words than may be remembered.
func TestFormsForgetWhenTheyKnowMuch(t *testing.T) {
	f, most := &forms{stems: newStemmer()}, 0
	for i := range 100_000 {
		word := "w" + strings.Map(func(r rune) rune { return r - '0' + 'a' }, strconv.Itoa(i))
		if list := f.of(inEnglish, word); len(list) == 0 {
			t.Fatalf("%s has no form", word)
		}
		most = max(most, f.bytes)
	}
	if f.bytes >= most || most > 2*maxForms {
		t.Errorf("%d bytes are remembered, %d at most; the bound is about %d", f.bytes, most, maxForms)
	}
}
