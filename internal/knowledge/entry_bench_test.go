package knowledge_test

import (
	"slices"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store/storegen"
)

// BenchmarkEntry makes index entries, which every write, mirror and replay waits for.
func BenchmarkEntry(b *testing.B) {
	docs := slices.Collect(storegen.Generate(1, 2000))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		knowledge.NewEntry(docs[i%len(docs)])
		i++
	}
}
