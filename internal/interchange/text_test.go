package interchange

import "testing"

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
