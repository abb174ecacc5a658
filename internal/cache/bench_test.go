package cache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storegen"
)

// filled returns a cache over documents of every kind, and their keys. Pages, searches and a document that does not
// exist were asked for once.
func filled(t testing.TB) (*Store, []knowledge.Key) {
	t.Helper()
	src := newSource()
	s := openTest(t, src, Options{Hot: 512 << 20, Warm: MinWarm})
	var keys []knowledge.Key
	for _, rec := range generated(t, 2000) {
		src.docs[rec.Key.Kind][rec.Key.ID] = rec
		get(t, s, rec.Key)
		keys = append(keys, rec.Key)
	}
	if n := len(list(t, s, pageQuery()).Records); n != pageQuery().Limit {
		t.Fatalf("%d documents on the page", n)
	}
	if found, err := s.Search(t.Context(), searchQuery()); err != nil || len(found.Hits) != searchQuery().Limit {
		t.Fatal(found, err)
	}
	if _, err := s.Get(t.Context(), nothing()); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return s, keys
}

func pageQuery() knowledge.Query {
	return knowledge.Query{Kind: knowledge.KindRule, Category: "security", Severity: knowledge.SeverityError, Limit: 50}
}

func searchQuery() knowledge.SearchQuery {
	return knowledge.SearchQuery{Text: storegen.CommonWord, Kinds: []knowledge.Kind{knowledge.KindRule}, Limit: 20}
}

func nothing() knowledge.Key { return knowledge.Key{Kind: knowledge.KindRule, ID: "nothing"} }

// TestTheCachedPathAllocatesNothing keeps it from growing back. A list and a search cost the text of their key.
func TestTheCachedPathAllocatesNothing(t *testing.T) {
	s, keys := filled(t)
	type scope struct{} // a context as the doors hand it down has values
	ctx := context.WithValue(t.Context(), scope{}, "caller")
	for _, c := range []struct {
		name string
		want float64
		call func() error
	}{
		{"a document", 0, func() error { _, err := s.Get(ctx, keys[7]); return err }},
		{"no document", 0, func() error {
			if _, err := s.Get(ctx, nothing()); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		}},
		{"a page", 1, func() error { _, err := s.List(ctx, pageQuery()); return err }},
		// one is the question's own
		{"a search", 2, func() error { _, err := s.Search(ctx, searchQuery()); return err }},
	} {
		before := s.Stats().Loads
		got := testing.AllocsPerRun(1000, func() {
			if err := c.call(); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.want || s.Stats().Loads != before {
			t.Errorf("%s: %v allocations and %d loads, want %v and none", c.name, got, s.Stats().Loads-before, c.want)
		}
	}
}

func BenchmarkGetHot(b *testing.B) {
	s, keys := filled(b)
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Get(ctx, keys[i%len(keys)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetHotParallel(b *testing.B) {
	s, keys := filled(b)
	ctx := b.Context()
	b.ReportAllocs()
	var start atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for i := int(start.Add(977)); pb.Next(); i++ {
			if _, err := s.Get(ctx, keys[i%len(keys)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGetNothing(b *testing.B) {
	s, _ := filled(b)
	ctx, key := b.Context(), nothing()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.Get(ctx, key)
	}
}

// BenchmarkGetWarm includes the way to the hot tier and out of it again.
func BenchmarkGetWarm(b *testing.B) {
	s, keys := filled(b)
	ctx := b.Context()
	for _, key := range keys {
		s.mem.warm.put(s.mem.peek(key, stripeOf(key)).rec, s.mem.stamps.now())
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key := keys[i%len(keys)]
		s.mem.hot.Invalidate(slotOf(key))
		if rec, err := s.Get(ctx, key); err != nil || rec.Source != knowledge.SourceWarm {
			b.Fatal(rec, err)
		}
	}
}

// BenchmarkGetMiss is what the cache adds to a question that it can't answer: its source is a map.
func BenchmarkGetMiss(b *testing.B) {
	s, keys := filled(b)
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key := keys[i%len(keys)]
		s.mem.stamps.change(stripeOf(key))
		if _, err := s.Get(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListHot(b *testing.B) {
	s, _ := filled(b)
	ctx, q := b.Context(), pageQuery()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.List(ctx, q); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkListAfterAnEdit is a page of which one body has changed.
func BenchmarkListAfterAnEdit(b *testing.B) {
	s, _ := filled(b)
	ctx, q := b.Context(), pageQuery()
	page, err := s.List(ctx, q)
	if err != nil {
		b.Fatal(err)
	}
	edited := stripeOf(page.Records[0].Key)
	b.ReportAllocs()
	for b.Loop() {
		s.mem.stamps.change(edited)
		if _, err := s.List(ctx, q); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSearchHot(b *testing.B) {
	s, _ := filled(b)
	ctx, q := b.Context(), searchQuery()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Search(ctx, q); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDemote(b *testing.B) {
	s, keys := filled(b)
	var recs []*knowledge.Record
	bytes := 0
	for _, key := range keys {
		rec := s.mem.peek(key, stripeOf(key)).rec
		if _, err := s.mem.warm.codec.learn(rec.JSON); err != nil {
			b.Fatal(err)
		}
		recs = append(recs, rec)
		bytes += len(rec.JSON)
	}
	b.SetBytes(int64(bytes / len(recs)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.mem.warm.put(recs[i%len(recs)], uint64(i))
	}
}

func BenchmarkStamps(b *testing.B) {
	var s stamps
	for _, n := range []int{1, 2, 50} {
		deps := make([]stripe, n)
		for i := range deps {
			deps[i] = hash("a", fmt.Sprint(i), "")
		}
		b.Run(fmt.Sprint("deps=", n), func(b *testing.B) {
			for b.Loop() {
				if !s.valid(1, deps...) {
					b.Fatal("invalid")
				}
			}
		})
	}
}
