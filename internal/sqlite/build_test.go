package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestWhatABuildHasIndexedIsNotIndexedAgain keeps a new mirror from writing its whole full-text index anew, in one go, when it has
// taken a few writes: for as long as that lasts it takes no other.
func TestWhatABuildHasIndexedIsNotIndexedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mirror.db")
	b, err := NewBuilder(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	b.piece = 50
	if err := b.Begin(knowledge.Position{System: "test", Seq: 1}); err != nil {
		t.Fatal(err)
	}
	rule := func(i int) *knowledge.Record {
		return record(t, storetest.Rule(func(r *knowledge.Rule) { r.RuleID = fmt.Sprintf("rule-%06d", i) }), i)
	}
	const built, written = 1000, 600
	for i := range built {
		if err := b.Record(rule(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path, Options{Mirror: true})
	pages := func() map[int64]bool {
		t.Helper()
		ids := map[int64]bool{}
		err := s.read(t.Context(), "pages", "SELECT id FROM search_words_data WHERE id > ?", []any{structureRow}, func(r *sql.Rows) error {
			var id int64
			err := r.Scan(&id)
			ids[id] = true
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	before := pages()
	for i := range written {
		r := rule(built + i)
		if err := s.Foresee(t.Context(), []store.Left{{Key: r.Key, Record: r}}); err != nil {
			t.Fatal(err)
		}
	}
	after := pages()
	gone := 0
	for id := range before {
		if !after[id] {
			gone++
		}
	}
	if gone > 0 {
		t.Errorf("%d writes have written %d of %d pages of the full-text index anew", written, gone, len(before))
	}
	if n := len(after) - len(before); n > written/2 {
		t.Errorf("%d writes have left %d pages: they are not merged with one another", written, n)
	}
	if err := s.do(t.Context(), "check", func(ctx context.Context, tx *tx) error {
		return tx.exec(ctx, "INSERT INTO search_words (search_words) VALUES ('integrity-check')")
	}); err != nil {
		t.Errorf("the full-text index is not sound: %v", err)
	}
}
