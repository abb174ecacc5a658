package guidance

import (
	"math"
	"unicode"
)

// reserve is the share of a budget that is kept free, because the estimates have errors.
const reserve = 0.12

// A Family is a family of models with its own way of counting tokens.
type Family struct {
	Name   string
	Factor float64 // tokens of the family for each estimated token
	Source string  // how the factor was determined, and when
}

// families returns the table of families, first the one that the estimate was fitted to.
func families() []Family {
	return []Family{
		{"openai", 1, "fitted to o200k, English and code, mean error 6 % (2026-11)"},
		{"claude", 1.44, "derived from published comparisons of the two tokenizers (2026-11)"},
	}
}

// Families returns the names of the families that a budget may name, the default first.
func Families() []string {
	var names []string
	for _, f := range families() {
		names = append(names, f.Name)
	}
	return names
}

func family(name string) (Family, bool) {
	for _, f := range families() {
		if f.Name == name {
			return f, true
		}
	}
	return Family{}, false
}

// cost converts an estimate into tokens of the family.
func (f Family) cost(estimate int32) int { return int(math.Ceil(float64(estimate) * f.Factor)) }

// Weights of the estimate: of a piece (a run of letters and digits, or of other signs), and of each character by its
// class.
const (
	perPiece       = 0.6417
	perAlnum       = 0.0767
	perPunctuation = 0.0207
	perSpace       = 0.1368
)

// Estimate estimates the number of tokens of a text for o200k. In scripts without spaces between words every character
// counts as a piece.
func Estimate(text string) int32 {
	const (
		space = iota
		alnum
		punctuation
	)
	pieces, alnums, marks, spaces := 0, 0, 0, 0
	before := space
	for _, r := range text {
		class := punctuation
		switch {
		case r < 0x80:
			switch {
			case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
				class = alnum
			case r == ' ' || r >= '\t' && r <= '\r':
				class = space
			}
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai):
			pieces++
			alnums++
			before = space
			continue
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
			class = alnum
		case unicode.IsSpace(r):
			class = space
		}
		switch class {
		case space:
			spaces++
		case alnum:
			alnums++
		default:
			marks++
		}
		if class != space && class != before {
			pieces++
		}
		before = class
	}
	sum := perPiece*float64(pieces) + perAlnum*float64(alnums) + perPunctuation*float64(marks) +
		perSpace*float64(spaces)
	return int32(math.Min(math.Ceil(sum), math.MaxInt32))
}
