package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// addDetails adds what the parts of a tenet tell about themselves, each value on a line with the path of its names.
func addDetails(t *table, path string, details map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(details)) {
		label := strings.TrimSpace(path + " " + strings.ReplaceAll(name, "_", " "))
		switch v := details[name].(type) {
		case map[string]any:
			addDetails(t, label, v)
		case nil:
			t.add(label, "-")
		case string:
			t.add(label, v)
		default:
			if data, err := json.Marshal(v); err == nil {
				t.add(label, string(data))
			}
		}
	}
}
