package interchange

import (
	"slices"

	"tenet/internal/knowledge"
)

// Targets returns the assistants that files can be written for.
func Targets() []string {
	var names []string
	for _, a := range Adapters() {
		if a.Kind == knowledge.KindRule && a.Target != "" && a.Place == AtFolder && !slices.Contains(names, a.Target) {
			names = append(names, a.Target)
		}
	}
	slices.Sort(names)
	return names
}
