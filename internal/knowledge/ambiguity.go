package knowledge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf16"
)

// Ambiguity returns what different JSON parsers would read differently, or nothing: a name that occurs twice in an
// object (some take the first, some the last), and half of a surrogate pair (encoding/json silently replaces it). The
// text must be JSON.
func Ambiguity(data []byte) string {
	var open []*memberNames // one for each bracket that is open; nil for an array
	atName := false
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{':
			open, atName = append(open, &memberNames{}), true
		case '[':
			open, atName = append(open, nil), false
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			atName = len(open) > 0 && open[len(open)-1] != nil
		case ':':
			atName = false
		case '"':
			start := i
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			text := data[start+1 : i]
			if at := loneSurrogate(text); at >= 0 {
				return fmt.Sprintf("byte %d: %s is half of a character", start+at+2, text[at:at+6])
			}
			if atName && !open[len(open)-1].add(text) {
				return fmt.Sprintf("byte %d: a second %s in the same object", start+1, clipped(data[start:i+1]))
			}
		}
	}
	return ""
}

// loneSurrogate returns where a string, as JSON writes it, has an escaped surrogate without its partner, or -1.
func loneSurrogate(text []byte) int {
	for i := bytes.IndexByte(text, '\\'); i >= 0 && i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		r, ok := escapedUnit(text[i:])
		switch {
		case !ok:
			i++
		case !utf16.IsSurrogate(r):
			i += 5
		default:
			low, _ := escapedUnit(text[i+6:])
			if utf16.DecodeRune(r, low) == '\uFFFD' {
				return i
			}
			i += 11
		}
	}
	return -1
}

// escapedUnit returns the UTF-16 unit that an escape such as \u00e9 at the start of text stands for.
func escapedUnit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}

// A memberNames collects the member names of an object.
type memberNames struct {
	few  [][]byte
	many map[string]bool // once they are more than few
}

// add takes a name, as JSON writes it, and reports whether it is new.
func (m *memberNames) add(name []byte) bool {
	const few = 16
	if bytes.IndexByte(name, '\\') >= 0 { // one name can be written in several ways
		var plain string
		if json.Unmarshal(append(append([]byte{'"'}, name...), '"'), &plain) == nil {
			name = []byte(plain)
		}
	}
	if m.many != nil {
		if m.many[string(name)] {
			return false
		}
		m.many[string(name)] = true
		return true
	}
	for _, other := range m.few {
		if bytes.Equal(other, name) {
			return false
		}
	}
	if m.few = append(m.few, name); len(m.few) > few {
		m.many = make(map[string]bool, 4*few)
		for _, n := range m.few {
			m.many[string(n)] = true
		}
	}
	return true
}
