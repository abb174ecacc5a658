package postgres_test

import (
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/store/storegen"
)

// BenchmarkBulk writes generated documents in batches of 1,000, as an import does. One step is one batch.
func BenchmarkBulk(b *testing.B) {
	s, err := postgres.Open(b.Context(), postgres.Options{URL: migrated(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const size = 1000
	var ops []knowledge.Op
	batches := make(chan knowledge.Batch, 1)
	go func() {
		defer close(batches)
		for _, c := range storegen.Categories() {
			ops = append(ops, knowledge.Put(c, 0))
		}
		for d := range storegen.Generate(1, b.N*size) {
			if d.Key().Kind == knowledge.KindCategory {
				continue
			}
			if ops = append(ops, knowledge.Put(d, 0)); len(ops) >= size {
				batches <- knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "bench", Ops: ops}
				ops = nil
			}
		}
	}()
	b.ResetTimer()
	n := 0
	for batch := range batches {
		if _, err := s.Apply(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		n += len(batch.Ops)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "documents/s")
}
