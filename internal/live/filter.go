package live

import (
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// A filter says which changes a subscriber gets: those that pass each of its lists, where an empty one lets everything
// through.
type filter struct {
	kinds      []knowledge.Kind
	categories []string
	keys       map[knowledge.Key]bool
	principals bool // the subscriber may see principals
}

// wants reports whether an event passes.
func (f *filter) wants(e *event) bool {
	if e.toAll {
		return true
	}
	if e.key.Kind == knowledge.KindPrincipal && !f.principals {
		return false
	}
	if len(f.kinds) > 0 && !slices.Contains(f.kinds, e.key.Kind) {
		return false
	}
	if len(f.keys) > 0 && !f.keys[e.key] {
		return false
	}
	// A change that left no document behind passes: whoever kept the document must hear that it is gone.
	return len(f.categories) == 0 || e.unknown || slices.Contains(f.categories, e.category)
}

// name returns a text that is the same for filters that let the same through, and for no others.
func (f *filter) name() string {
	var b strings.Builder
	if f.principals {
		b.WriteByte('p')
	}
	for _, list := range [][]string{texts(f.kinds), f.categories, keyTexts(f.keys)} {
		list = slices.Clone(list)
		slices.Sort(list)
		b.WriteByte(0)
		for _, s := range slices.Compact(list) {
			b.WriteString(s)
			b.WriteByte(1) // stands in no id
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
