package live

import (
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// A filter selects the changes that a subscriber gets: those that pass each of its lists. An empty list passes
// everything.
type filter struct {
	kinds      []knowledge.Kind
	categories []string
	keys       map[knowledge.Key]bool
	principals bool     // the subscriber may see principals
	hidden     []string // confidential categories that the subscriber may not read
}

// wants reports whether an event passes.
func (f *filter) wants(e *event) bool {
	if e.toAll {
		return true
	}
	for _, category := range f.hidden {
		if slices.Contains(e.tells, category) {
			return false
		}
	}
	if !f.principals && knowledge.Describe(e.key.Kind).Hidden {
		return false
	}
	if len(f.kinds) > 0 && !slices.Contains(f.kinds, e.key.Kind) {
		return false
	}
	if len(f.keys) > 0 && !f.keys[e.key] {
		return false
	}
	// A change without a document passes: subscribers that keep the document must learn that it was deleted.
	return len(f.categories) == 0 || e.unknown || slices.Contains(f.categories, e.category)
}

// name returns a text that is equal for filters that pass the same changes, and only for those.
func (f *filter) name() string {
	var b strings.Builder
	if f.principals {
		b.WriteByte('p')
	}
	for _, list := range [][]string{texts(f.kinds), f.categories, keyTexts(f.keys), f.hidden} {
		list = slices.Clone(list)
		slices.Sort(list)
		b.WriteByte(0)
		for _, s := range slices.Compact(list) {
			b.WriteString(s)
			b.WriteByte(1) // no id contains it
		}
	}
	return b.String()
}

func texts(kinds []knowledge.Kind) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return out
}

func keyTexts(keys map[knowledge.Key]bool) []string {
	out := make([]string, 0, len(keys))
	for k := range keys {
		out = append(out, k.String())
	}
	return out
}
