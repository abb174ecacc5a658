package knowledge

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxCompound is the length, in bytes, of the longest name that is indexed as a word besides its parts.
const maxCompound = 64

// A piece is a word of a text, or a compound name, which is followed by its parts.
type piece struct {
	text     string // in lower case
	at       int    // its position among the words
	words    int    // the number of its words
	from, to int    // bytes of the text
	gram     bool   // two characters of a script without spaces
}

// A scanner splits texts into pieces.
type scanner struct {
	emit func(p *piece)
	p    piece
	n    int // words so far
}

// scan calls emit for each piece of a text, a name before its parts. Positions continue from the previous text.
func (s *scanner) scan(text string) {
	text = slashes(text)
	for at := 0; at < len(text); {
		r, size := rune(text[at]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[at:])
		}
		if !joins(r) {
			if picture(r) {
				s.put(text[at:at+size], s.n, 1, at, at+size, true)
			}
			at += size
			continue
		}
		from := at
		for at < len(text) {
			r, size = rune(text[at]), 1
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRuneInString(text[at:])
			}
			if !joins(r) {
				break
			}
			at += size
		}
		s.run(text, from, at)
	}
}

// joins reports whether a character may be inside a name.
func joins(r rune) bool {
	if r < utf8.RuneSelf {
		switch r {
		case '.', ':', '/', '-', '_', '+', '#', '@':
			return true
		}
	}
	return isWord(r)
}

// slashes returns a text with the backslashes inside of paths as slashes: src\a.ts is src/a.ts.
func slashes(text string) string {
	var b []byte
	for at := strings.IndexByte(text, '\\'); at >= 0; {
		if at > 0 && isWordAt(text, at+1) && endsWord(text, at) {
			if b == nil {
				b = []byte(text)
			}
			b[at] = '/'
		}
		next := strings.IndexByte(text[at+1:], '\\')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	if b == nil {
		return text
	}
	return string(b)
}

// endsWord reports whether a word, or the drive of a path, ends before a place.
func endsWord(text string, at int) bool {
	r, _ := utf8.DecodeLastRuneInString(text[:at])
	return isWord(r) || r == ':' && at > 1 && isLetter(text[at-2])
}

// picture reports whether a character is a picture, which is a word of its own. It takes no place of its own, so that
// the words around it are adjacent.
func picture(r rune) bool {
	return r >= 0x2600 && r <= 0x27bf || r == 0x2b50 || r == 0x2b55 || r >= 0x1f000 && r <= 0x1faff
}

// run splits the text between spaces and other characters that can't be part of a name.
func (s *scanner) run(text string, from, to int) {
	start := from
	from, to = trimRun(text, from, to)
	if from >= to {
		return
	}
	for at := from; at < to; { // where the script changes to one without spaces, a word ends
		r, _ := utf8.DecodeRuneInString(text[at:])
		dense, end := denseScript(r), at
		for end < to {
			r, size := utf8.DecodeRuneInString(text[end:])
			if denseScript(r) != dense && (!dense || !unicode.IsMark(r)) {
				break
			}
			end += size
		}
		if dense {
			s.grams(text, at, end)
		} else if f, t := trimRun(text, at, end); f < t {
			flag := ""
			if f == from {
				flag = s.flag(text, start, f)
			}
			s.wildcard(text, f, t)
			s.name(text, f, t, flag)
		}
		at = end
	}
}

// trimRun trims stops and hyphens at the ends of a name, but not the signs of c++ and c#, nor the dot of .net.
func trimRun(text string, from, to int) (int, int) {
	for from < to && !beginsAt(text, from) {
		if text[from] == '.' && isWordAt(text, from+1) && !isDigit(text[from+1]) && (from == 0 || text[from-1] != '.') {
			break
		}
		from++
	}
	for to > from {
		switch c := text[to-1]; c {
		case '.', ':', '/', '-', '_', '@':
			to--
			continue
		case '#', '+':
			if !signed(text, from, to) {
				to--
				continue
			}
		}
		break
	}
	return from, to
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// beginsAt reports whether a word begins: a mark can't begin one, since it belongs to the character before it.
func beginsAt(text string, at int) bool {
	if !isWordAt(text, at) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(text[at:])
	return r < utf8.RuneSelf || !unicode.IsMark(r)
}

func isWordAt(text string, at int) bool {
	if at >= len(text) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(text[at:])
	return isWord(r)
}

// signed reports whether a name ends in + or # like c++ or c#: a few letters and the sign.
func signed(text string, from, to int) bool {
	end := to
	switch {
	case text[to-1] == '#':
		end--
	case to-from > 2 && text[to-2:to] == "++":
		end -= 2
	default:
		return false
	}
	n := 0
	for end-n > from && isLetter(text[end-n-1]) {
		n++
	}
	return n >= 1 && n <= 2 && (end-n == from || !isWordAt(text, end-n-1))
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// flag returns the hyphens before a name that stands alone, as in --no-verify.
func (s *scanner) flag(text string, start, from int) string {
	h := from
	for h > start && text[h-1] == '-' {
		h--
	}
	if n := from - h; n < 1 || n > 2 || h > 0 && isWordAt(text, h-1) || !isLetter(text[from]) {
		return ""
	}
	return text[h:from]
}

// wildcard emits a name with everything behind it, as in s3:*, before the name without.
func (s *scanner) wildcard(text string, from, to int) {
	if everythingAt(text, to) && to-from+len(everything) <= maxCompound {
		end := to + len(everything)
		s.put(strings.ToLower(text[from:end]), s.n, s.count(text, from, to, 0), from, end, false)
	}
}

// everything stands behind a name of which all is meant: s3:* are all actions of S3.
const everything = ":*"

// everythingAt reports whether everything stands at a place behind a name. It does not where a text is set in bold, as
// in **Note:**, nor where a comment ends.
func everythingAt(text string, at int) bool {
	after, ok := strings.CutPrefix(text[at:], everything)
	if !ok || after != "" && (after[0] == '*' || after[0] == '/' || isWordAt(after, 0)) {
		return false
	}
	r, _ := utf8.DecodeLastRuneInString(text[:at])
	return isWord(r)
}

// denseScript reports whether a character belongs to a script without spaces between words, or with endings attached to
// its words.
func denseScript(r rune) bool {
	if r < 0x0e00 {
		return false
	}
	return r <= 0x0e7f || // Thai
		r >= 0x0e80 && r <= 0x0eff || r >= 0x1000 && r <= 0x109f || r >= 0x1780 && r <= 0x17ff || // Lao, Burmese, Khmer
		r >= 0x3040 && r <= 0x30ff || r >= 0x31f0 && r <= 0x31ff || r == 0x3005 || // Kana
		// in half width; Bopomofo
		r >= 0xff66 && r <= 0xffdc || r >= 0x3100 && r <= 0x312f || r >= 0x31a0 && r <= 0x31bf ||
		// Han
		r >= 0x3400 && r <= 0x4dbf || r >= 0x4e00 && r <= 0x9fff || r >= 0xf900 && r <= 0xfaff ||
		r >= 0x20000 && r <= 0x3ffff ||
		r >= 0xac00 && r <= 0xd7af || r >= 0x1100 && r <= 0x11ff // Hangul
}

// grams splits a run of such a script into overlapping pairs, and its last character, so that any two or more adjacent
// characters are found. Kana in half width, characters that are put together of several, and traditional Chinese ones
// count as the usual ones.
func (s *scanner) grams(text string, from, to int) {
	run := text[from:to]
	if !norm.NFKC.IsNormalString(run) {
		s.unusual(run, from)
		return
	}
	run = simplify(run)
	if n := utf8.RuneCountInString(run); n > 1 && len(run) <= maxCompound {
		s.put(run, s.n, max(1, n-1), from, to, false)
	}
	for at := 0; at < len(run); {
		_, one := utf8.DecodeRuneInString(run[at:])
		_, two := utf8.DecodeRuneInString(run[at+one:])
		if two == 0 && at > 0 {
			s.put(run[at:at+one], s.n, 1, from+at, from+at+one, true)
		} else {
			s.put(run[at:at+one+two], s.n, 1, from+at, from+at+one+two, true)
		}
		s.n++
		at += one
	}
}

// unusual does the same for a run that is not in Unicode's form NFKC: the pieces have that form, and the places of what
// stands in the text.
func (s *scanner) unusual(run string, base int) {
	type char struct{ at, end, from, to int } // in the usual form, and in the text
	var (
		chars []char
		usual strings.Builder
		it    norm.Iter
	)
	for it.InitString(norm.NFKC, run); !it.Done(); {
		from := base + it.Pos()
		part := string(it.Next())
		for i, r := range part {
			at := usual.Len() + i
			chars = append(chars, char{at, at + utf8.RuneLen(r), from, base + it.Pos()})
		}
		usual.WriteString(part)
	}
	text := simplify(usual.String())
	if len(chars) > 1 && len(text) <= maxCompound {
		s.put(text, s.n, len(chars)-1, base, base+len(run), false)
	}
	for i, c := range chars {
		last := chars[min(i+1, len(chars)-1)]
		s.put(text[c.at:last.end], s.n, 1, c.from, last.to, true)
		s.n++
	}
}

// put emits a piece.
func (s *scanner) put(text string, at, words, from, to int, gram bool) {
	s.p = piece{text: text, at: at, words: words, from: from, to: to, gram: gram}
	s.emit(&s.p)
}

// name emits a name and then its parts.
func (s *scanner) name(text string, from, to int, flag string) {
	if flag != "" && to-from+len(flag) <= maxCompound {
		s.put(flag+strings.ToLower(text[from:to]), s.n, s.count(text, from, to, 0), from-len(flag), to, false)
	}
	s.split(text, from, to, 0)
}

// Levels of a name, from its largest parts to the smallest. Each has separators.
const (
	hyphens  = 3 // the level of health-check
	signs    = 5 // the level of c++ and c#
	noLevels = 6
)

// levelOf returns the level that a character separates, noLevels for none.
func levelOf(c byte) int {
	switch c {
	case '/', '@':
		return 0
	case ':':
		return 1
	case '.':
		return 2
	case '-':
		return hyphens
	case '_':
		return 4
	case '+', '#':
		return signs
	}
	return noLevels
}

// levelAt returns the first level, from at on, whose separators a part of a name has; noLevels if there is none.
func levelAt(text string, from, to, at int) int {
	first := noLevels
	for i := from; i < to; i++ {
		if l := levelOf(text[i]); l >= at && l < first {
			first = l
		}
	}
	if first == signs && signed(text, from, to) {
		return noLevels
	}
	return first
}

// split emits a part of a name at or below a level, and then its own parts.
func (s *scanner) split(text string, from, to, at int) {
	at = levelAt(text, from, to, at)
	if at == noLevels {
		s.humps(text, from, to)
		return
	}
	if n := s.count(text, from, to, at); n > 1 || text[from] == '.' {
		if to-from <= maxCompound {
			s.put(strings.ToLower(text[from:to]), s.n, n, from, to, false)
			if at == hyphens && n <= 3 { // "health-check" is also found as "healthcheck"
				s.put(strings.ReplaceAll(strings.ToLower(text[from:to]), "-", ""), s.n, n, from, to, false)
			}
		}
	}
	s.each(text, from, to, at, func(f, t int) { s.split(text, f, t, at+1) })
}

// each calls fn for the parts of a name at a level.
func (s *scanner) each(text string, from, to, at int, fn func(f, t int)) {
	for from < to {
		end := from
		for end < to && levelOf(text[end]) != at {
			end++
		}
		if at == signs && end < to && signed(text, from, min(to, end+1)) { // c# in the middle
			end++
		} else if at == signs && end+1 < to && signed(text, from, end+2) {
			end += 2
		}
		if f, t := from, end; f < t {
			fn(f, t)
		}
		from = end + 1
		if at == signs {
			from = end
			for from < to && (text[from] == '+' || text[from] == '#') {
				from++
			}
		}
	}
}

// count returns the number of words in a part of a name.
func (s *scanner) count(text string, from, to, at int) int {
	at = levelAt(text, from, to, at)
	if at == noLevels {
		return len(humpsOf(text[from:to], nil)) + 1
	}
	n := 0
	s.each(text, from, to, at, func(f, t int) { n += s.count(text, f, t, at+1) })
	return n
}

// humps emits a word, and the words of one that is written likeThis.
func (s *scanner) humps(text string, from, to int) {
	var room [8]int
	cuts := humpsOf(text[from:to], room[:0])
	s.put(strings.ToLower(text[from:to]), s.n, len(cuts)+1, from, to, false)
	if len(cuts) == 0 {
		s.n++
		return
	}
	at := from
	for i := range len(cuts) + 1 {
		end := to
		if i < len(cuts) {
			end = from + cuts[i]
		}
		s.put(strings.ToLower(text[at:end]), s.n, 1, at, end, false)
		s.n++
		at = end
	}
}

// humpsOf returns where a word of ASCII is split at capitals: likeThis, HTTPServer.
func humpsOf(word string, cuts []int) []int {
	for i := 1; i < len(word); i++ {
		c, before := word[i], word[i-1]
		if c >= utf8.RuneSelf {
			return nil
		}
		if !isUpper(c) {
			continue
		}
		if isLower(before) || isDigit(before) && i+1 < len(word) && isLower(word[i+1]) && i > 2 ||
			isUpper(before) && i+2 < len(word) && isLower(word[i+1]) && isLower(word[i+2]) {
			cuts = append(cuts, i)
		}
	}
	return cuts
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// Words splits a text into its words: runs of letters, digits and marks, in lower case.
func Words(text string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !isWord(r) }),
		func(w string) bool { return w == "" })
}
