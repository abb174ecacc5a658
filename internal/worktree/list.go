package worktree

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// SetInJSON returns a JSON file with an entry in the list at a path of names: it replaces our entry, or is appended.
// All other bytes stay. A nil entry removes ours, and then the list and its parent objects if they are empty. In a
// list, a name is the index of an entry.
func SetInJSON(text []byte, entry any, ours func(json.RawMessage) bool, names ...string) ([]byte, error) {
	return inItsForm(text, func(text []byte) ([]byte, error) { return setInJSON(text, entry, ours, names) })
}

func setInJSON(text []byte, entry any, ours func(json.RawMessage) bool, names []string) ([]byte, error) {
	var list []json.RawMessage
	there, err := GetJSON(text, &list, names...)
	if err != nil {
		return nil, fmt.Errorf("want a list at %s: %w", strings.Join(names, "."), err)
	}
	own := slices.IndexFunc(list, ours)
	if entry == nil && own < 0 {
		return text, nil
	}
	if entry != nil && !there {
		return setJSON(text, []any{entry}, names)
	}
	if entry == nil && len(list) == 1 {
		return setJSON(text, nil, names)
	}
	doc, err := parse(text, names)
	if err != nil {
		return nil, err
	}
	at := func(i int) []string { return append(slices.Clone(names), fmt.Sprint(i)) }
	switch {
	case entry == nil:
		err = patch(&doc, "remove", at(own), nil)
	case own >= 0:
		if same(doc.Find(pointer(at(own))), entry) {
			return text, nil
		}
		err = patch(&doc, "replace", at(own), entry)
	default:
		err = patch(&doc, "add", at(len(list)), entry)
		if a, ok := doc.Find(pointer(names)).Value.(*hujson.Array); ok && err == nil {
			lineUp(a)
		}
	}
	if err != nil {
		return nil, err
	}
	return doc.Pack(), nil
}

// lineUp puts the last entry of a list on a separate line, with the first one's indentation, if the first one is on
// one.
func lineUp(a *hujson.Array) {
	n := len(a.Elements)
	if n < 2 {
		return
	}
	first := string(a.Elements[0].BeforeExtra)
	line := strings.LastIndexByte(first, '\n')
	if line < 0 {
		return
	}
	before := strings.TrimRight(string(a.Elements[n-1].BeforeExtra), " \t")
	if !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	a.Elements[n-1].BeforeExtra = hujson.Extra(before + first[line+1:])
}
