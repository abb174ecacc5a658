package knowledge

import (
	_ "embed" // for traditional.txt
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed traditional.txt
var traditionalText string

// firstHan is the first character of the table.
const firstHan = 0x3400

// theSimplified has for each character from firstHan on the simplified one, 0 for itself. It is made once.
//
//nolint:gochecknoglobals // made once, never written again
var theSimplified = sync.OnceValue(func() []uint16 {
	table := make([]uint16, 0x9fff-firstHan+1)
	for line := range strings.Lines(traditionalText) {
		if line[0] == '#' {
			continue
		}
		for pair := range strings.FieldsSeq(line) {
			from, size := utf8.DecodeRuneInString(pair)
			to, _ := utf8.DecodeRuneInString(pair[size:])
			table[from-firstHan] = uint16(to) // all are below 0xa000, as a test checks
		}
	}
	return table
})

// simplify replaces traditional Chinese characters by simplified ones, so that each text is found by both. The length
// stays the same.
func simplify(run string) string {
	table := theSimplified()
	var out []byte
	for at, r := range run {
		if i := int(r) - firstHan; i >= 0 && i < len(table) && table[i] != 0 {
			if out == nil {
				out = []byte(run)
			}
			utf8.EncodeRune(out[at:], rune(table[i]))
		}
	}
	if out == nil {
		return run
	}
	return string(out)
}
