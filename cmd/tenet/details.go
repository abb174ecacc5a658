package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// detailDepth is how deep a person is shown what the parts of a server tell about themselves; programs get all of it.
const detailDepth = 2

// addDetails adds what the parts of a server tell about themselves, each value on a line with the path of its names.
// Within the parts, what is zero or empty is left out.
func addDetails(t *table, path []string, details map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(details)) {
		at := append(slices.Clone(path), strings.ReplaceAll(name, "_", " "))
		v := details[name]
		if inner, ok := v.(map[string]any); ok {
			if len(at) < detailDepth {
				addDetails(t, at, inner)
			}
			continue
		}
		if len(path) > 0 && isNothing(v) {
			continue
		}
		text, ok := v.(string)
		if !ok {
			data, err := json.Marshal(v)
			if err != nil {
				continue
			}
			text = string(data)
		}
		t.add(strings.Join(at, " "), text)
	}
}

func isNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	return false
}
