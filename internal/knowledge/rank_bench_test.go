package knowledge_test

import (
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store/storegen"
)

// BenchmarkRank is what a search costs beside its statements: 501 candidates, of which 40 are read and ranked.
func BenchmarkRank(b *testing.B) {
	_, search, err := knowledge.SearchQuery{Text: storegen.CommonWord}.Check()
	if err != nil {
		b.Fatal(err)
	}
	var records []*knowledge.Record
	var list []knowledge.Candidate
	for d := range storegen.Generate(1, 600) {
		d.Stamps().Version = 1
		rec, err := knowledge.NewRecord(d)
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, rec)
		list = append(list, knowledge.Candidate{Key: rec.Key, Rank: rec.Rank, Title: d.Text().Title, Tags: "some tags of it"})
	}
	list = list[:501]
	b.Run("shortlist", func(b *testing.B) {
		for b.Loop() {
			search.Shortlist(list, 20)
		}
	})
	b.Run("rank", func(b *testing.B) {
		for b.Loop() {
			if _, err := search.Rank(records[100:140], 20); err != nil {
				b.Fatal(err)
			}
		}
	})
}
