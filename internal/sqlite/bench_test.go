package sqlite

import (
	"path/filepath"
	"sync"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store/storetest"
)

// openCorpus opens a file of many documents.
func openCorpus(b *testing.B) *Store {
	b.Helper()
	path := filepath.Join(b.TempDir(), "corpus.db")
	corpus(b, path, corpusSize)
	return openAt(b, path, Options{Mirror: true})
}

func BenchmarkReads(b *testing.B) {
	s := openCorpus(b)
	ctx := b.Context()
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Get(ctx, knowledge.Key{Kind: knowledge.KindRule, ID: "rule-050001"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, q := range map[string]knowledge.Query{
		"house":                 {Kind: knowledge.KindRule},
		"category":              {Kind: knowledge.KindRule, Category: "category-03"},
		"category any":          {Kind: knowledge.KindRule, Category: "category-03", Activity: knowledge.AnyActivity},
		"severity":              {Kind: knowledge.KindRule, Severity: knowledge.SeverityWarning},
		"tag":                   {Kind: knowledge.KindRule, Tag: "tag7"},
		"rare tag by title":     {Kind: knowledge.KindRule, Tag: "rare", Order: knowledge.OrderTitle},
		"frequent tag by title": {Kind: knowledge.KindRule, Tag: "tag7", Order: knowledge.OrderTitle},
		"violations of a rule":  {Kind: knowledge.KindViolation, Repository: "repository-3"},
		"retired":               {Kind: knowledge.KindRule, Activity: knowledge.RetiredOnly},
	} {
		b.Run("list/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.List(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, q := range map[string]knowledge.SearchQuery{
		"common":           {Text: "database"},
		"two common":       {Text: "database testing"},
		"rare":             {Text: "unusual77"},
		"phrase":           {Text: `"always review"`},
		"prefix":           {Text: "unusual77*"},
		"common prefix":    {Text: "wor*"},
		"common narrowed":  {Text: "database", Category: "category-03", Tag: "tag7"},
		"common not":       {Text: "database -testing"},
		"common templates": {Text: "database", Kinds: []knowledge.Kind{knowledge.KindTemplate}},
	} {
		b.Run("search/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Search(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWrites(b *testing.B) {
	for name, c := range map[string]struct{ writers, size int }{
		"one": {1, 1}, "sixteen": {16, 1}, "batch of 1000": {1, 1000},
	} {
		b.Run(name, func(b *testing.B) {
			s := openTest(b, Options{})
			put(b, s, general())
			var wg sync.WaitGroup
			work := make(chan knowledge.Batch, c.writers)
			for range c.writers {
				wg.Go(func() {
					for batch := range work {
						if _, err := s.Apply(b.Context(), batch); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				ops := make([]knowledge.Op, c.size)
				for i := range ops {
					ops[i] = knowledge.Put(storetest.Rule(), 0)
				}
				work <- storetest.Batch(ops...)
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N*c.size)/b.Elapsed().Seconds(), "documents/s")
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		corpus(b, filepath.Join(b.TempDir(), "corpus.db"), 20_000)
	}
	b.ReportMetric(20_000*float64(b.N)/b.Elapsed().Seconds(), "documents/s")
}
