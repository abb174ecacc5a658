package erasure

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tenet/internal/knowledge"
)

// mentioned returns the fields of a document that still name a person after the erasure.
func mentioned(rec *knowledge.Record, person *knowledge.Erasure, words []string) ([]string, error) {
	d, err := rec.Document()
	if err != nil {
		return nil, err
	}
	person.Redact(d, "")
	raw, err := knowledge.Canonical(d)
	if err != nil {
		return nil, err
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, err
	}
	var fields []string
	for name, part := range parts {
		var value any
		if err := json.Unmarshal(part, &value); err != nil {
			return nil, err
		}
		if holds(value, words) {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	return fields, nil
}

// holds reports whether any text in a JSON value contains one of the words, in lower case.
func holds(value any, words []string) bool {
	switch v := value.(type) {
	case string:
		return slices.ContainsFunc(words, func(w string) bool { return hasWord(strings.ToLower(v), w) })
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return holds(e, words) })
	case map[string]any:
		for name, e := range v {
			if holds(name, words) || holds(e, words) {
				return true
			}
		}
	}
	return false
}

// hasWord reports whether a text contains a word without a letter or digit beside it.
func hasWord(text, word string) bool {
	part := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
	for from := 0; word != ""; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return false
		}
		at += from
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(word):])
		if (at == 0 || !part(before)) && (at+len(word) == len(text) || !part(after)) {
			return true
		}
		from = at + len(word)
	}
	return false
}
