package labels_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/labels"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestAListNamesTheDocumentsThatTheLogHasLost shortens the log below what labels hold.
func TestAListNamesTheDocumentsThatTheLogHasLost(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := labels.New(labels.Options{
		Source: s, Feed: s,
		Make: func(ctx context.Context, fill func(store.Sink) error) (labels.Copy, error) {
			return made(ctx, t.TempDir(), fill)
		},
	})
	defer c.Close()
	apply := func(ops ...knowledge.Op) {
		t.Helper()
		if _, err := s.Apply(t.Context(), storetest.Batch(ops...)); err != nil {
			t.Fatal(err)
		}
	}
	apply(knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = storetest.GeneralCategory }),
		knowledge.NoVersion))
	var lost []knowledge.Key
	holds := map[string]int64{}
	for _, id := range []string{"A-1", "A-2", "A-3"} {
		r := storetest.Rule(func(r *knowledge.Rule) { r.RuleID = id })
		apply(knowledge.Put(r, knowledge.NoVersion))
		if id != "A-2" {
			r.Title = "Another title"
			apply(knowledge.Put(r, knowledge.AnyVersion))
			lost, holds["rule/"+id] = append(lost, r.Key()), 1
		}
	}
	early, err := store.Newest(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "A-2"}})
	late, err := store.Newest(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Retain(t.Context(), knowledge.At(time.Now().Add(time.Hour)), 1); err != nil {
		t.Fatal(err)
	}
	rules := knowledge.Query{Kind: knowledge.KindRule}
	_, err = c.ListAt(t.Context(), &knowledge.Label{LabelID: "production", Seq: late.Seq, Holds: holds}, rules)
	if gone, ok := errors.AsType[*store.GoneError](err); !ok || !slices.Equal(gone.Keys, lost) ||
		gone.At != late.Seq || !strings.Contains(err.Error(), "rule/A-1, rule/A-3") {
		t.Errorf("versions that a label holds are gone: %v", err)
	}
	apply(knowledge.Op{Verb: knowledge.VerbRestore, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "A-2"}})
	if _, err := s.Retain(t.Context(), knowledge.At(time.Now().Add(time.Hour)), 1); err != nil {
		t.Fatal(err)
	}
	_, err = c.ListAt(t.Context(), &knowledge.Label{LabelID: "production", Seq: early.Seq}, rules)
	if gone, ok := errors.AsType[*store.GoneError](err); !ok || len(gone.Keys) > 0 || gone.At != early.Seq ||
		gone.Oldest <= early.Seq {
		t.Errorf("the log begins after a label: %v", err)
	}
}
