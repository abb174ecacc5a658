package interchange

import (
	"testing"

	"tenet/internal/knowledge"
)

func TestSeparatorsGoAndWordsStayApart(t *testing.T) {
	for _, c := range []struct {
		in, want string
		n        int
	}{
		{"plain\r\ttext\n", "plain\r\ttext\n", 0},
		{"end\n\x1fFILE:a.md\x1e\n# A", "end\nFILE:a.md\n# A", 2},
		{"one\x1ftwo\x1e\x1ethree \x1d four", "one two three  four", 4},
		{"page\fpage\vline", "page\npage\nline", 2},
		{"\x1c", "", 1},
		{"é\x1fü", "é ü", 1},
		{"\x1b[2J and \x00 and \u202e stay, to be refused", "\x1b[2J and \x00 and \u202e stay, to be refused", 0},
	} {
		if got, n := withoutSeparators(c.in); got != c.want || n != c.n {
			t.Errorf("withoutSeparators(%q) = %q, %d; want %q, %d", c.in, got, n, c.want, c.n)
		}
	}
}

func TestUTF16BecomesUTF8(t *testing.T) {
	for name, tc := range map[string]struct{ in, want, fault string }{
		"little end first":  {"\xff\xfeG\x00\xfc\x00=\xd8\x00\xde\r\x00\n\x00", "Gü😀\n", ""},
		"big end first":     {"\xfe\xff\x00G\x00\xfc\xd8=\xde\x00", "Gü😀", ""},
		"UTF-8 with a mark": {"\xef\xbb\xbfGü", "Gü", ""},
		"an odd byte": {
			"\xff\xfeG", "",
			"the file is UTF-16 and ends within a character, at byte 3: save it as UTF-8",
		},
		"half a character": {
			"\xff\xfe\n\x00=\xd8a\x00", "",
			"line 2: half a character of UTF-16, at byte 5: save the file as UTF-8",
		},
		"half a one, at end": {
			"\xff\xfe=\xd8", "",
			"line 1: half a character of UTF-16, at byte 3: save the file as UTF-8",
		},
		"UTF-32":  {"\xff\xfe\x00\x00G\x00\x00\x00", "", "the file is UTF-32: save it as UTF-8"},
		"Latin 1": {"G\xfc", "", "line 1: byte 2 (0xfc) is not UTF-8: save the file as UTF-8"},
	} {
		got, err := cleanText([]byte(tc.in))
		fault := ""
		if err != nil {
			fault = err.Error()
		}
		if got != tc.want || fault != tc.fault {
			t.Errorf("%s: %q, %q; want %q, %q", name, got, fault, tc.want, tc.fault)
		}
	}
}

func TestARecordOfADecisionIsDescribedByWhatItDecides(t *testing.T) {
	items := readItems(t, map[string]string{
		"docs/adr/1.md": "# 1. Round half to even\n\nDate: 2026-03-02\n\n## Status\n\nAccepted\n\n" +
			"## Context\n\nOff by a cent.\n\n## Decision\n\nWe round half to even, e.g. 2.5 to 2. Nothing else rounds.\n",
		"docs/adr/2.md": "# Use ULIDs\n\n* Status: accepted\n\n" +
			"## Context and Problem Statement\n\nIds that sort. Which?\n\n## Decision Outcome\n\nWe do this:\n\n- sort\n",
		"docs/adr/3.md": "# Keep logs\n\n## Status\n\nProposed\n\n## Context\n\nLogs are lost. Why?\n",
		"docs/page.md":  "# Page\n\nA first word.\n\n## Decision\n\nNot one.\n",
	})
	for path, want := range map[string]string{
		"docs/adr/1.md": "We round half to even, e.g. 2.5 to 2.",
		"docs/adr/2.md": "Ids that sort.",
		"docs/adr/3.md": "Logs are lost.",
		"docs/page.md":  "A first word.",
	} {
		if got := items[path].Entries[0].Doc.(*knowledge.Practice).Description; got != want {
			t.Errorf("%s is described as %q, want %q", path, got, want)
		}
	}
}
