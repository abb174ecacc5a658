package interchange

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"tenet/internal/knowledge"
)

// slug makes an id's text of any text: lower case, without accents, everything else that an id can't hold a dash. Lost
// is true when letters or digits of another script fell away, so that two texts may have become one.
func slug(s string) (out string, lost bool) {
	var b strings.Builder
	dash := false
	for _, r := range norm.NFKD.String(strings.ToLower(s)) {
		r = unicode.ToLower(r)
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '.':
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			dash = false
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // the accent of the letter before
		default:
			dash = true
			lost = lost || unicode.IsLetter(r) || unicode.IsDigit(r)
		}
	}
	return strings.Trim(b.String(), ".-"), lost
}

// shortHash returns 8 hex digits of the hash of s.
func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// makeID makes an id of texts, joined by dashes. What was lost or would not fit is replaced by a hash of the whole, so
// that different texts have different ids.
func makeID(texts ...string) string {
	whole := strings.Join(texts, "/")
	id, lost := "", false
	for _, t := range texts {
		s, l := slug(t)
		lost = lost || l || s == "" && t != ""
		if s != "" && id != "" {
			id += "-"
		}
		id += s
	}
	const room = knowledge.MaxID - 9
	if len(id) > knowledge.MaxID || lost && len(id) > room {
		id, lost = strings.Trim(id[:room], ".-"), true
	}
	if lost || id == "" {
		id = strings.TrimPrefix(id+"-"+shortHash(whole), "-")
	}
	return id
}

// pathTexts returns what the id of a file is made of: its folders and its name without the ending. A skill is named by
// its folder.
func pathTexts(p string) []string {
	dir, base := path.Split(p)
	texts := strings.FieldsFunc(dir, func(r rune) bool { return r == '/' })
	if strings.EqualFold(base, "SKILL.md") && len(texts) > 0 {
		return texts
	}
	return append(texts, stem(base))
}

// ids gives out ids, each once. It holds for each the number to try next.
type ids map[string]int

// free returns id, or id with the first number behind it that was not given out.
func (t ids) free(id string) string {
	got := id
	for t[got] > 0 {
		t[id]++
		n := "-" + strconv.Itoa(t[id])
		got = id[:min(len(id), knowledge.MaxID-len(n))] + n
	}
	t[got] = 1
	return got
}

// forPath returns the id of a file. Where two paths give one id, the second in path order gets a hash of its path.
func (t ids) forPath(source, p string) string {
	id := makeID(append([]string{source}, pathTexts(p)...)...)
	if t[id] > 0 {
		id = id[:min(len(id), knowledge.MaxID-9)] + "-" + shortHash(p)
	}
	return t.free(id)
}
