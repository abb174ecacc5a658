package main

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// A table is text in columns for a person to read.
type table struct {
	head []string
	rows [][]string
	// wide is the column that gives way when the terminal is too narrow.
	wide int
	none string // what is said of a list without rows
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// A screen says what is known about the place where a person reads.
type screen struct {
	columns int // 0 when it is no terminal: nothing is cut
	styled  bool
}

// screenOf returns what is known about w.
func screenOf(w io.Writer, env func(string) (string, bool)) screen {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return screen{}
	}
	s := screen{columns: 80}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		s.columns = n
	}
	if text, ok := env("COLUMNS"); ok {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			s.columns = n
		}
	}
	noColour, _ := env("NO_COLOR")
	kind, _ := env("TERM")
	s.styled = noColour == "" && kind != "dumb"
	return s
}

// minWide is how far the column that gives way is narrowed at most.
const minWide = 16

// minOther is how far the other columns are.
const minOther = 12

// write prints the table below its heading.
func (t *table) write(w io.Writer, s screen) error {
	return writeColumns(w, s, append([][]string{t.head}, t.rows...), t.wide, true)
}

// writeRows prints the table without its heading.
func (t *table) writeRows(w io.Writer, s screen) error {
	return writeColumns(w, s, t.rows, t.wide, false)
}

func writeColumns(w io.Writer, s screen, rows [][]string, wide int, headed bool) error {
	widths := columnWidths(rows, wide, s.columns)
	var b strings.Builder
	for n, row := range rows {
		var line strings.Builder
		for i, c := range row {
			if c = cell(c); i == wide || i == len(row)-1 {
				c = shorten(c, widths[i])
			} else {
				c = shortenInside(c, widths[i])
			}
			line.WriteString(c)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-textWidth(c)+2))
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if n == 0 && headed && s.styled {
			text = "\x1b[1m" + text + "\x1b[0m"
		}
		b.WriteString(text + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columnWidths returns how wide each column is, the one that gives way narrowed until the others fit into limit columns
// of a terminal; 0 for no limit.
func columnWidths(rows [][]string, wide, limit int) []int {
	if len(rows) == 0 {
		return nil
	}
	widths := make([]int, len(rows[0]))
	total := 2 * (len(widths) - 1)
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], textWidth(cell(row[i])))
		}
		total += widths[i]
	}
	over := total - limit
	if limit <= 0 || over <= 0 {
		return widths
	}
	narrower := max(min(minWide, widths[wide]), widths[wide]-over)
	over -= widths[wide] - narrower
	widths[wide] = narrower
	for over > 0 { // ids and names that are too long give way too, the widest first
		widest := 0
		for i := range widths {
			if i != wide && (widest == wide || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest == wide || widths[widest] <= minOther {
			break
		}
		widths[widest]--
		over--
	}
	return widths
}

// cell returns text as one line that can do nothing to a terminal.
func cell(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// textWidth returns how many columns of a terminal a text takes.
func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case slices.Contains([]width.Kind{width.EastAsianWide, width.EastAsianFullwidth}, width.LookupRune(r).Kind()):
		return 2
	default:
		return 1
	}
}

// shortenInside cuts a name to n columns in its middle: long ids differ at their ends as often as at their beginnings.
func shortenInside(s string, n int) string {
	if textWidth(s) <= n {
		return s
	}
	end := len(s)
	for used := 0; end > 0; {
		r, size := utf8.DecodeLastRuneInString(s[:end])
		if used += runeWidth(r); used > (n-1)/2 {
			break
		}
		end -= size
	}
	return shorten(s, n-textWidth(s[end:])) + s[end:]
}

// shorten cuts a text to n columns, with a mark where something is missing.
func shorten(s string, n int) string {
	if textWidth(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		if used += runeWidth(r); used > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}
