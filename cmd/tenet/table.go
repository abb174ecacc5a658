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
	wrap bool   // its text goes on in the next line, and nothing of it is cut
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

// write prints the table below its heading. On a terminal that is too narrow for it each row is a block of lines.
func (t *table) write(w io.Writer, s screen) error {
	if t.cramped(s) {
		return t.writeHanging(w, s)
	}
	rows := append([][]string{t.head}, t.rows...)
	widths, fits := t.widths(rows, s.columns)
	if !fits {
		return t.writeBlocks(w, s)
	}
	var b strings.Builder
	for n, row := range rows {
		text := t.line(row, widths)
		if n == 0 && s.styled {
			text = bold(strings.TrimSuffix(text, "\n")) + "\n"
		}
		b.WriteString(text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// minText is how wide a column of texts is at least that go on in the next line.
const minText = 40

// cramped reports whether the texts of the last column would stand in a column too narrow to read them.
func (t *table) cramped(s screen) bool {
	last := len(t.head) - 1
	if !t.wrap || t.wide != last || last == 0 || s.columns <= 0 {
		return false
	}
	widths, _ := t.widths(append([][]string{t.head}, t.rows...), 0)
	text, total := widths[last], 2*last
	for _, n := range widths[:last] {
		total += n
	}
	return total+min(text, minText) > s.columns
}

// writeHanging prints the table without its last column, whose texts go below their rows.
func (t *table) writeHanging(w io.Writer, s screen) error {
	const indent = 4
	last := len(t.head) - 1
	short := &table{head: t.head[:last]}
	for _, row := range t.rows {
		short.add(row[:last]...)
	}
	rows := append([][]string{short.head}, short.rows...)
	whole, _ := short.widths(rows, 0)
	for i := range whole { // the widest gives way first
		if whole[i] > whole[short.wide] {
			short.wide = i
		}
	}
	widths, fits := short.widths(rows, s.columns)
	if !fits || s.columns < minText {
		return t.writeBlocks(w, s)
	}
	var b strings.Builder
	for n, row := range rows {
		text := short.line(row, widths)
		if n == 0 {
			if s.styled {
				text = bold(strings.TrimSuffix(text, "\n")) + "\n"
			}
			b.WriteString(text)
			continue
		}
		b.WriteString(text)
		if why := cell(t.rows[n-1][last]); why != "" {
			for _, part := range wrapText(why, s.columns-indent) {
				b.WriteString(strings.Repeat(" ", indent) + part + "\n")
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeRows prints the table without its heading. Nothing of it is cut.
func (t *table) writeRows(w io.Writer, s screen) error {
	whole := table{rows: t.rows, wide: t.wide, wrap: true}
	widths, _ := whole.widths(t.rows, s.columns)
	var b strings.Builder
	for _, row := range t.rows {
		b.WriteString(whole.line(row, widths))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func bold(text string) string { return "\x1b[1m" + text + "\x1b[0m" }

// line returns a row in columns: one line, or several where a cell goes on below.
func (t *table) line(row []string, widths []int) string {
	cells := make([][]string, len(row))
	lines := 1
	for i := range row {
		cells[i] = t.inColumn(row[i], i, widths[i])
		lines = max(lines, len(cells[i]))
	}
	var b strings.Builder
	for n := range lines {
		var line strings.Builder
		for i, parts := range cells {
			part := ""
			if n < len(parts) {
				part = parts[n]
			}
			line.WriteString(part + strings.Repeat(" ", max(0, widths[i]-textWidth(part))+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// inColumn returns the lines of a cell in a column of n columns of a terminal. A text that gives way is cut at its end;
// names are never cut, since what is left of an id names nothing.
func (t *table) inColumn(text string, column, n int) []string {
	text = cell(text)
	if column == t.wide && !t.wrap && strings.Contains(text, " ") {
		return []string{shorten(text, n)}
	}
	return wrapText(text, n)
}

// writeBlocks prints each row as what names it, and below it what else is known, a line for each.
func (t *table) writeBlocks(w io.Writer, s screen) error {
	label := 0
	for _, h := range t.head[1:] {
		label = max(label, textWidth(h))
	}
	var b strings.Builder
	for _, row := range t.rows {
		for i, c := range row {
			c = cell(c)
			switch {
			case i == 0:
				c = strings.Join(wrapText(c, s.columns), "\n")
				if s.styled {
					c = bold(c)
				}
				b.WriteString(c + "\n")
			case c != "" && c != "-":
				head := "  " + strings.ToLower(t.head[i]) + strings.Repeat(" ", label-textWidth(t.head[i])+2)
				for _, part := range wrapText(c, max(minWide, s.columns-textWidth(head))) {
					b.WriteString(head + part + "\n")
					head = strings.Repeat(" ", textWidth(head))
				}
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widths returns how wide each column is, the one that gives way narrowed until the others fit into limit columns of a
// terminal; 0 for no limit. False says that they do not fit: times stay in one line, and no word of the others is cut.
func (t *table) widths(rows [][]string, limit int) ([]int, bool) {
	if len(rows) == 0 {
		return nil, true
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
		return widths, true
	}
	least := t.least(rows, widths)
	if t.wrap || t.holdsTexts(rows) {
		narrower := max(min(minWide, widths[t.wide]), widths[t.wide]-over)
		over -= widths[t.wide] - narrower
		widths[t.wide], least[t.wide] = narrower, narrower
	}
	for over > 0 { // ids and names that are too long give way too, the widest first
		widest := -1
		for i := range widths {
			if widths[i] > least[i] && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return widths, false
		}
		widths[widest]--
		over--
	}
	return widths, true
}

// least returns how narrow each column may become: as its longest word, and not at all where it holds times.
func (t *table) least(rows [][]string, widths []int) []int {
	least := make([]int, len(widths))
	for i, whole := range widths {
		if i < len(t.head) && strings.HasSuffix(t.head[i], "(UTC)") {
			least[i] = whole
			continue
		}
		word := minOther
		for _, row := range rows {
			for _, w := range wordsIn(cell(row[i])) {
				word = max(word, textWidth(w))
			}
		}
		least[i] = min(whole, word, maxWord)
	}
	return least
}

// holdsTexts reports whether the column that gives way holds more than names.
func (t *table) holdsTexts(rows [][]string) bool {
	return slices.ContainsFunc(rows, func(row []string) bool { return strings.Contains(row[t.wide], " ") })
}

// maxWord is how long a word is at most that is kept in one line.
const maxWord = 24

// wordsIn returns the words of a text, and of a name its parts, each with the sign behind it.
func wordsIn(text string) []string {
	var words []string
	begin := 0
	for i, r := range text {
		if strings.ContainsRune(breaks, r) {
			words = append(words, strings.TrimRight(text[begin:i+utf8.RuneLen(r)], " "))
			begin = i + utf8.RuneLen(r)
		}
	}
	return append(words, text[begin:])
}

// breaks are the signs behind which a name goes on in the next line.
const breaks = " -/._:,@"

// wrapText cuts a text into lines of n columns at most, between words where that is possible, else between the parts of
// a name; 0 and less for one line.
func wrapText(text string, n int) []string {
	var lines []string
	for n > 0 && textWidth(text) > n {
		end, used := 0, 0
		for i, r := range text {
			if used += runeWidth(r); used > n {
				break
			}
			end = i + utf8.RuneLen(r)
		}
		if end == 0 {
			break
		}
		if at := strings.LastIndexByte(text[:end], ' '); at > 0 && text[end] != ' ' {
			end = at
		} else if at := strings.LastIndexAny(text[:end], breaks[1:]); at > 0 && text[end] != ' ' {
			end = at + 1
		}
		lines = append(lines, strings.TrimRight(text[:end], " "))
		text = strings.TrimLeft(text[end:], " ")
	}
	return append(lines, text)
}

// cell returns text as one line that can do nothing to a terminal.
func cell(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
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
