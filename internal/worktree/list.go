package worktree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// SetInJSON returns a JSON file with an entry in the list at a path of names: it replaces our entry, or is appended.
// All other bytes stay. A nil entry removes ours, and then the list and its parent objects if they are empty. An entry
// that contains mark is ours.
func SetInJSON(text []byte, entry any, mark string, names ...string) ([]byte, error) {
	return inItsLineEnds(text, func(text []byte) ([]byte, error) { return setInJSON(text, entry, mark, names) })
}

func setInJSON(text []byte, entry any, mark string, names []string) ([]byte, error) {
	var list []json.RawMessage
	there, err := GetJSON(text, &list, names...)
	if err != nil {
		return nil, fmt.Errorf("want a list at %s: %w", strings.Join(names, "."), err)
	}
	ours := slices.IndexFunc(list, func(e json.RawMessage) bool { return bytes.Contains(e, []byte(mark)) })
	if entry == nil && ours < 0 {
		return text, nil
	}
	if entry != nil && !there {
		return setJSON(text, []any{entry}, names)
	}
	if entry == nil && len(list) == 1 {
		return setJSON(text, nil, names)
	}
	doc, err := hujson.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	at := func(i int) []string { return append(slices.Clone(names), fmt.Sprint(i)) }
	switch {
	case entry == nil:
		err = patch(&doc, "remove", at(ours), nil)
	case ours >= 0:
		if same(doc.Find(pointer(at(ours))), entry) {
			return text, nil
		}
		err = patch(&doc, "replace", at(ours), entry)
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
