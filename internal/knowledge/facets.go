package knowledge

import (
	"cmp"
	"slices"
	"strings"
)

// A FacetMark is the prefix of the terms of one facet.
type FacetMark struct{ Facet, Mark string }

// FacetMarks returns the facets by which hits are counted.
func FacetMarks() []FacetMark {
	return []FacetMark{
		{"kind", markKind},
		{"category", markCategory},
		{"tag", markTag},
		{"language", markLanguage},
		{"severity", markSeverity},
	}
}

// maxFacetValues is the largest number of values returned for a facet, the most frequent first.
const maxFacetValues = 20

// FacetCounts returns the counts of a facet, the greatest first.
func FacetCounts(f FacetMark, counts map[string]int) []FacetCount {
	list := make([]FacetCount, 0, len(counts))
	for term, n := range counts {
		if n > 0 {
			list = append(list, FacetCount{f.Facet, term[len(f.Mark):], n})
		}
	}
	slices.SortFunc(list, func(a, b FacetCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return list[:min(len(list), maxFacetValues)]
}
