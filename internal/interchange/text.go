package interchange

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"tenet/internal/knowledge"
)

// cleanText returns the text of a file: UTF-8, without byte order mark, lines ending in a line feed. Trailing spaces
// stay: they mean a line break in Markdown. UTF-16, as some programs of Windows write, becomes UTF-8.
func cleanText(data []byte) (string, error) {
	data, err := fromUTF16(data)
	if err != nil {
		return "", err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		for i := 0; i < len(data); {
			r, n := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && n == 1 {
				return "", fmt.Errorf("line %d: byte %d (0x%02x) is not UTF-8: save the file as UTF-8",
					1+bytes.Count(data[:i], []byte("\n")), i+1, data[i])
			}
			i += n
		}
	}
	return strings.ReplaceAll(string(data), "\r\n", "\n"), nil
}

// fromUTF16 returns UTF-8 of what is UTF-16 by its byte order mark or its first characters, and anything else as it is.
func fromUTF16(data []byte) ([]byte, error) {
	var order binary.ByteOrder
	begin := 2 // behind the mark
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe, 0, 0}), bytes.HasPrefix(data, []byte{0, 0, 0xfe, 0xff}):
		return nil, errors.New("the file is UTF-32: save it as UTF-8")
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		if order = unmarkedUTF16(data); order == nil {
			return data, nil
		}
		begin = 0
	}
	if len(data)%2 != 0 {
		return nil, fmt.Errorf("the file is UTF-16 and ends within a character, at byte %d: save it as UTF-8",
			len(data))
	}
	out := make([]byte, 0, len(data)/2)
	for i := begin; i < len(data); i += 2 {
		r := rune(order.Uint16(data[i:]))
		if utf16.IsSurrogate(r) {
			if i += 2; i < len(data) {
				r = utf16.DecodeRune(r, rune(order.Uint16(data[i:])))
			}
			if r == unicode.ReplacementChar || utf16.IsSurrogate(r) {
				return nil, fmt.Errorf("line %d: half a character of UTF-16, at byte %d: save the file as UTF-8",
					1+bytes.Count(out, []byte("\n")), i-1)
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}

// unmarkedUTF16 returns the order of bytes of UTF-16 that begins without a mark, nil for another text: its first
// characters are letters of ASCII, each beside a zero.
func unmarkedUTF16(data []byte) binary.ByteOrder {
	const looked = 4
	if len(data) < 2*looked {
		return nil
	}
	zeros := [2]int{}
	for i, b := range data[:2*looked] {
		if b == 0 {
			zeros[i%2]++
		}
	}
	switch zeros {
	case [2]int{0, looked}:
		return binary.LittleEndian
	case [2]int{looked, 0}:
		return binary.BigEndian
	}
	return nil
}

var declaresLatin1 = compiled(`^<\?xml[^>]*encoding=["'](?i:iso-8859-1|latin1|windows-1252)["']`)

// fromLatin1 returns UTF-8 of XML that says that it is Latin-1, and anything else as it is, so that what is not as it
// says is refused with its place: 0x80 to 0x9f are no characters there, and Windows has others of them than the web.
func fromLatin1(data []byte) []byte {
	if !declaresLatin1().Match(data) || utf8.Valid(data) {
		return data
	}
	out := make([]byte, 0, len(data)+len(data)/8)
	for _, b := range data {
		if b >= 0x80 && b < 0xa0 {
			return data
		}
		out = utf8.AppendRune(out, rune(b))
	}
	return out
}

// withoutSeparators returns a text without the separators that some programs put between its parts, and how many there
// were. A page break and a vertical tab become line feeds; the separators of files, groups, records and units go, and
// leave a space where words would run together. They show nothing and do nothing; any other control character can move
// a terminal's cursor or hide text, and is refused with its place.
func withoutSeparators(s string) (string, int) {
	const separators = "\v\f\x1c\x1d\x1e\x1f"
	if !strings.ContainsAny(s, separators) {
		return s, 0
	}
	n := 0
	out := make([]byte, 0, len(s))
	for i := range len(s) { // bytes will do: no part of a longer character looks like one of these
		switch b := s[i]; {
		case b == '\v', b == '\f':
			n++
			out = append(out, '\n')
		case b >= 0x1c && b <= 0x1f:
			n++
			atEdge := len(out) == 0 || isSpace(out[len(out)-1]) || i+1 == len(s) || isSpace(s[i+1])
			if !atEdge {
				out = append(out, ' ')
			}
		default:
			out = append(out, b)
		}
	}
	return string(out), n
}

func isSpace(b byte) bool { return b <= ' ' }

// trimBlankLines removes empty lines from both ends and nothing else.
func trimBlankLines(s string) string {
	for {
		line, rest, found := strings.Cut(s, "\n")
		if !found || strings.TrimSpace(line) != "" {
			break
		}
		s = rest
	}
	for {
		i := strings.LastIndexByte(s, '\n')
		if i < 0 || strings.TrimSpace(s[i:]) != "" {
			break
		}
		s = s[:i]
	}
	if strings.TrimSpace(s) == "" {
		return ""
	}
	return s
}

// A fence follows the code fences of Markdown line by line, so that what stands in code is not taken for structure.
type fence struct {
	mark byte
	size int
}

// inside takes the next line and reports whether it belongs to a fenced block, its first and last line included.
func (f *fence) inside(line string) bool {
	s := strings.TrimLeft(line, " \t")
	n := 0
	for n < len(s) && (s[n] == '`' || s[n] == '~') && s[n] == s[0] {
		n++
	}
	switch {
	case f.size == 0 && n >= 3 && (s[0] == '~' || !strings.Contains(s[n:], "`")):
		f.mark, f.size = s[0], n
		return true
	case f.size == 0:
		return false
	case n >= f.size && s[0] == f.mark && strings.TrimSpace(s[n:]) == "":
		f.size = 0
	}
	return true
}

var (
	headingLine = compiled(`^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$`)
	commentLine = compiled(`^\s*<!--.*-->\s*$`)
	linkMarkup  = compiled(`!?\[([^\]]*)\]\([^)]*\)`)
	htmlMarkup  = compiled(`</?[a-zA-Z][^<>]*>`)
)

// heading returns the level and the text of a heading line, 0 for another line.
func heading(line string) (int, string) {
	m := headingLine().FindStringSubmatch(line)
	if m == nil {
		return 0, ""
	}
	return len(m[1]), plain(m[2])
}

// plain returns one line of Markdown without its marks.
func plain(s string) string {
	s = linkMarkup().ReplaceAllString(s, "$1")
	s = htmlMarkup().ReplaceAllString(s, "")
	s = strings.NewReplacer("**", "", "`", "", "__", "").Replace(s)
	return strings.Join(strings.Fields(s), " ")
}

// leadingHeading returns the heading that a text begins with, or "".
func leadingHeading(body string) string {
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimSpace(line) == "" || commentLine().MatchString(line) {
			continue
		}
		_, text := heading(line)
		return text
	}
	return ""
}

// topHeading returns the first heading of level 1 outside of code, or "".
func topHeading(body string) string {
	var f fence
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if f.inside(line) {
			continue
		}
		if level, text := heading(line); level == 1 {
			return text
		}
	}
	return ""
}

// firstParagraph returns the first paragraph of prose: no heading, code, table, image or HTML.
func firstParagraph(body string) string {
	var f fence
	var lines []string
	for line := range strings.Lines(body + "\n\n") {
		line = strings.TrimRight(line, "\n")
		s := strings.TrimSpace(line)
		level, _ := heading(line)
		prose := !f.inside(line) && s != "" && level == 0 && !strings.ContainsAny(s[:1], "|<!>") &&
			!strings.HasPrefix(s, ":::") && strings.Trim(s, "-*_= ") != ""
		if prose {
			lines = append(lines, s)
			continue
		}
		if len(lines) > 0 {
			break
		}
	}
	return strings.Join(lines, " ")
}

// shorten returns s as one line of at most [knowledge.MaxTitle] characters, and whether something was cut.
func shorten(s string) (string, bool) {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= knowledge.MaxTitle {
		return s, false
	}
	r := []rune(s)[:knowledge.MaxTitle-1]
	return strings.TrimRight(string(r), " ") + "…", true
}

// humanName makes a title of a file's or folder's name: "clean-code.mdc" gives "Clean code".
func humanName(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || unicode.IsSpace(r) })
	s := strings.Join(words, " ")
	if s == "" {
		return name
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// stem returns the name of a file without the endings that only say its format.
func stem(p string) string {
	base := path.Base(p)
	lower := strings.ToLower(base)
	for _, end := range []string{
		".instructions.md", ".prompt.md", ".chatmode.md", ".agent.md", ".metadata.yaml", ".metadata.yml", ".jsonl.gz",
		".jsonl.zst", ".jsonl", ".ndjson",
		".sarif.json", ".jsonc", ".json",
		".markdown", ".mdx", ".mdc", ".md", ".yaml", ".yml", ".csv", ".tsv",
		".toml", ".prompt", ".sarif", ".xml", ".ruleset",
	} {
		if strings.HasSuffix(lower, end) && len(base) > len(end) {
			return base[:len(base)-len(end)]
		}
	}
	return base
}
