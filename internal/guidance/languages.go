package guidance

import (
	"slices"

	"tenet/internal/knowledge"
)

// spoken returns the languages of a query: those that it names and those that follow from its paths.
func (q *Query) spoken() []string {
	all := slices.Clone(q.Languages)
	for _, p := range q.Paths {
		for _, l := range knowledge.LanguagesOf(p) {
			if !slices.Contains(all, l) {
				all = append(all, l)
			}
		}
	}
	return all
}
