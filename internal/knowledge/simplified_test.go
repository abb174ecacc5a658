package knowledge

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEachTraditionalCharacterHasASimplifiedOne(t *testing.T) {
	seen := map[rune]bool{}
	for line := range strings.Lines(traditionalText) {
		if line[0] == '#' {
			continue
		}
		for pair := range strings.FieldsSeq(line) {
			from, size := utf8.DecodeRuneInString(pair)
			to, rest := utf8.DecodeRuneInString(pair[size:])
			if size != 3 || rest != 3 || len(pair) != 6 || from < firstHan || to < firstHan || from > 0x9fff ||
				to > 0x9fff {
				t.Errorf("%q: want two characters of three bytes each, between U+3400 and U+9FFF", pair)
			}
			if seen[from] {
				t.Errorf("%q: its first character has another pair", pair)
			}
			seen[from] = true
			if again := simplify(string(to)); again != string(to) {
				t.Errorf("%q: the simplified one would become %s", pair, again)
			}
		}
	}
	if len(seen) < 2000 {
		t.Errorf("%d pairs: want at least 2000", len(seen))
	}
}
