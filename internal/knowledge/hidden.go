package knowledge

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTags is the largest number of tag characters in a region's flag: six of its code, and the end.
const maxTags = 7

// A hider finds characters in a text that are drawn as nothing where no script needs them.
type hider struct {
	prev rune
	tags int // invisible tag characters in a row
}

// fault says what hides at byte i of s, where r stands, or returns "".
func (h *hider) fault(s string, i int, r rune) string {
	prev := h.prev
	h.prev = r
	if h.tags++; r < 0xe0000 || r > 0xe007f {
		h.tags = 0
	}
	switch {
	case r == '\n' || r == '\t' || r == '\r':
	case r < ' ' || r >= 0x7f && r < 0xa0:
		return fmt.Sprintf("%s: control character U+%04X", place(s, i), r)
	case r == 0x061c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
		return fmt.Sprintf("%s: invisible direction character U+%04X, which makes text read otherwise than it is",
			place(s, i), r)
	case r >= 0xe0000 && r <= 0xe007f && prev != 0x1f3f4 && (prev < 0xe0000 || prev > 0xe007f):
		// Tag characters follow a black flag to make the flags of regions; elsewhere they only hide text.
		return fmt.Sprintf("%s: invisible tag character U+%04X", place(s, i), r)
	case h.tags > maxTags:
		return fmt.Sprintf("%s: more invisible tag characters than the flag of a region has, U+%04X the last",
			place(s, i), r)
	case variation(r) && !varies(prev):
		return fmt.Sprintf("%s: variation selector U+%04X behind a character that has no variants", place(s, i), r)
	case zeroWidth(r) && zeroWidth(prev):
		return fmt.Sprintf("%s: several characters without width in a row, U+%04X the last, hide something",
			place(s, i), r)
	case zeroWidth(r) && r != 0x00ad && plain(prev) && plain(after(s, i)): // but for hyphenation
		if fault := secretFault(s); fault != "" {
			return fault
		}
		return fmt.Sprintf("%s: invisible character U+%04X inside of a word, which its script does not need",
			place(s, i), r)
	case ignorable(r) && !zeroWidth(r) && !variation(r) && h.tags == 0 && !belongs(prev, r, after(s, i)):
		return fmt.Sprintf("%s: invisible character U+%04X, which no script needs there", place(s, i), r)
	}
	return ""
}

// after returns the character behind byte i of s, utf8.RuneError at the end.
func after(s string, i int) rune {
	_, n := utf8.DecodeRuneInString(s[i:])
	r, _ := utf8.DecodeRuneInString(s[i+n:])
	return r
}

// zeroWidth reports whether a character has no width: some scripts and emoji need single ones.
func zeroWidth(r rune) bool {
	return r == 0x00ad || r >= 0x200b && r <= 0x200d || r == 0x2060 || r == 0xfeff
}

// ignorable reports whether a character is drawn as nothing: those that Unicode calls default-ignorable, and three
// signs that only steer annotations.
func ignorable(r rune) bool {
	return r >= 0xad && (unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || zeroWidth(r) || variation(r) ||
		r == 0x061c || r >= 0x180b && r <= 0x180f || r >= 0x200e && r <= 0x200f || r >= 0x202a && r <= 0x202e ||
		r >= 0x2060 && r <= 0x206f || r >= 0xfff9 && r <= 0xfffb || r >= 0x1bca0 && r <= 0x1bca3 ||
		r >= 0x1d173 && r <= 0x1d17a || r >= 0xe0000 && r <= 0xe0fff)
}

// belongs reports whether the script of its neighbours needs an ignorable character: marks that a joiner keeps in their
// order, fillers of old Hangul syllables, vowels of Khmer, variants of Mongolian letters, and shorthand.
func belongs(prev, r, next rune) bool {
	switch {
	case r == 0x034f:
		return unicode.Is(unicode.M, prev)
	case r == 0x115f || r == 0x1160:
		return jamo(prev) || jamo(next)
	case r == 0x17b4 || r == 0x17b5:
		return unicode.Is(unicode.Khmer, prev)
	case r >= 0x180b && r <= 0x180f:
		return unicode.Is(unicode.Mongolian, prev)
	case r >= 0x1bca0 && r <= 0x1bca3:
		return unicode.Is(unicode.Duployan, prev)
	}
	return false
}

// jamo reports whether a character is a part of a Hangul syllable that is drawn.
func jamo(r rune) bool {
	return r >= 0x1100 && r <= 0x11ff && r != 0x115f && r != 0x1160 || r >= 0xa960 && r <= 0xa97f ||
		r >= 0xd7b0 && r <= 0xd7ff
}

// plain reports whether a character belongs to a script that needs no joiners.
func plain(r rune) bool { return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }

// variation reports whether a character only selects a variant of the one before it. A run of them can carry any text.
func variation(r rune) bool { return r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef }

// varies reports whether a character has variants: signs, emoji, keycap digits, and characters of Asian scripts.
func varies(r rune) bool {
	return unicode.In(r, unicode.S, unicode.P, unicode.N) || r == 0x200d || r >= 0x1000 && !variation(r) &&
		!zeroWidth(r)
}

// blank reports whether nothing of a text is seen: it is empty, or all of it is space or drawn as nothing.
func blank(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsSpace(r) && !ignorable(r) && r != 0x2800 // Braille without dots
	})
}
