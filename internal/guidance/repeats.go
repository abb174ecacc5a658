package guidance

import (
	"slices"
	"strings"
)

// repeats reports whether a description says nothing that its reader does not find below it: its words are those of the
// title, or those that the text or one of its sections begins with. An import takes a description from there: of a
// record of a decision from the section that decides. Markup does not count: the description may be the items of a list
// in one line.
func repeats(description, title, text string) bool {
	want := wordsOf(description)
	if strings.TrimSpace(text) == "" || len(want) == 0 {
		return false
	}
	if sameWords(description, title) {
		return true
	}
	prose := false // it was met: from there on only what stands right below a heading may be where it is from
	for tried := 0; text != "" && tried < mostBefore; {
		line, rest, _ := strings.Cut(text, "\n")
		if len(wordsOf(line)) > 0 {
			if tried++; begins(text, want) {
				return true
			}
			line = strings.TrimSpace(line)
			level, _ := heading(line)
			if prose = prose || level == 0 && !strings.ContainsAny(line[:1], "|<!"); prose && level == 0 {
				rest = fromHeading(rest)
			}
		}
		text = rest
	}
	return false
}

// fromHeading returns what stands below the next heading of a text, "" where there is none.
func fromHeading(text string) string {
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		if level, _ := heading(strings.TrimSpace(line)); level > 0 {
			return rest
		}
		text = rest
	}
	return ""
}

// mostBefore is how many headings, tables and pictures may stand before the first line of prose.
const mostBefore = 20

// begins reports whether the words that a text begins with are these.
func begins(text string, want []string) bool {
	for line := range strings.Lines(text) {
		for _, w := range wordsOf(line) {
			if len(want) == 0 {
				return true
			}
			if w != want[0] {
				return false
			}
			want = want[1:]
		}
	}
	return len(want) == 0
}

// sameWords reports whether two texts are the same but for markup and the case of letters.
func sameWords(a, b string) bool { return slices.Equal(wordsOf(a), wordsOf(b)) }

// wordsOf returns the words of a text in lower case, without the marks of Markdown for lists, quotes and stress.
func wordsOf(text string) []string {
	stress := strings.NewReplacer("*", "", "_", "", "`", "")
	list := strings.Fields(strings.ToLower(text))
	for i, w := range list {
		w = stress.Replace(w)
		if number := strings.TrimRight(w, ".)"); strings.Trim(number, "0123456789") == "" && number != w {
			w = "" // the mark of an item
		}
		if strings.Trim(w, "-+>#") == "" {
			w = ""
		}
		list[i] = w
	}
	return slices.DeleteFunc(list, func(w string) bool { return w == "" })
}
