package labels_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/labels"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storegen"
)

// BenchmarkLabel compares a list and a search at a label with those of now, and making the copy with making the mirror
// that a rebuild makes. TENET_BENCH_DOCUMENTS says how many documents there are; 2000. Of each hundred one has changed
// since the label.
func BenchmarkLabel(b *testing.B) {
	n, _ := strconv.Atoi(os.Getenv("TENET_BENCH_DOCUMENTS"))
	if n == 0 {
		n = 2000
	}
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ops := []knowledge.Op{}
	apply := func() {
		if _, err := s.Apply(b.Context(), knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: "b",
			Ops: ops,
		}); err != nil {
			b.Fatal(err)
		}
		ops = ops[:0]
	}
	add := func(op knowledge.Op) {
		if ops = append(ops, op); len(ops) == knowledge.MaxBatchOps {
			apply()
		}
	}
	var changed []knowledge.Key
	i := 0
	for d := range storegen.Generate(1, n) {
		if i++; i%100 == 0 {
			changed = append(changed, d.Key())
		}
		add(knowledge.Put(d, knowledge.NoVersion))
	}
	apply()
	at, err := store.Newest(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	label := &knowledge.Label{LabelID: "production", Seq: at.Seq}
	for _, key := range changed {
		add(knowledge.Op{Verb: knowledge.VerbRetire, Key: key})
	}
	apply()
	copies := func() *labels.Copies {
		return labels.New(labels.Options{
			Source: s, Feed: s, Patience: 1 << 50,
			Make: func(ctx context.Context, fill func(store.Sink) error) (labels.Copy, error) {
				return made(ctx, b.TempDir(), fill)
			},
		})
	}
	list := knowledge.Query{Kind: knowledge.KindRule, Limit: 20}
	b.Run("rebuild of a mirror", func(b *testing.B) {
		for b.Loop() {
			m, err := made(b.Context(), b.TempDir(),
				func(sink store.Sink) error { return s.Snapshot(b.Context(), 0, sink) })
			if err != nil {
				b.Fatal(err)
			}
			if err := m.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("copy", func(b *testing.B) {
		for b.Loop() {
			c := copies()
			if _, err := c.ListAt(b.Context(), label, list); err != nil {
				b.Fatal(err)
			}
			if err := c.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	c := copies()
	defer c.Close()
	search := knowledge.SearchQuery{Text: "encrypt the connection pool", Limit: 20}
	for name, r := range map[string]func() error{
		"list now":        func() error { _, err := s.List(b.Context(), list); return err },
		"list at label":   func() error { _, err := c.ListAt(b.Context(), label, list); return err },
		"search now":      func() error { _, err := s.Search(b.Context(), search); return err },
		"search at label": func() error { _, err := c.SearchAt(b.Context(), label, search); return err },
	} {
		if err := r(); err != nil { // also makes the copy
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := r(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func made(ctx context.Context, dir string, fill func(store.Sink) error) (labels.Copy, error) {
	path := filepath.Join(dir, "tenet.db")
	b, err := sqlite.NewBuilder(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := fill(b); err != nil {
		return nil, fmt.Errorf("%w, %w", err, b.Discard())
	}
	if err := b.Finish(); err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, path, sqlite.Options{Mirror: true, CheckLimit: -1})
}
