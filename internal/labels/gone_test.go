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

type who struct{}

// TestWhoReadsAtManyLabelsTakesTheCopiesOfNobody has one caller ask at ever other labels, and hold what it asked for.
func TestWhoReadsAtManyLabelsTakesTheCopiesOfNobody(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 12 {
		c := storetest.Category(func(c *knowledge.Category) { c.ID = "c-" + string(rune('a'+i)) })
		if _, err := s.Apply(t.Context(), storetest.Batch(knowledge.Put(c, knowledge.NoVersion))); err != nil {
			t.Fatal(err)
		}
	}
	count := map[string]int{} // copies made for each caller
	hold, holding := make(chan struct{}), make(chan struct{}, 8)
	c := labels.New(labels.Options{
		Source: s, Feed: s,
		Who: func(ctx context.Context) string { return ctx.Value(who{}).(string) },
		Make: func(ctx context.Context, fill func(store.Sink) error) (labels.Copy, error) {
			name := ctx.Value(who{}).(string)
			count[name]++ // one is made at a time
			made, err := made(ctx, t.TempDir(), fill)
			return &held{made, name == "holder", hold, holding}, err
		},
	})
	defer c.Close()
	ask := func(name string, seq knowledge.Seq) error {
		_, err := c.ListAt(context.WithValue(t.Context(), who{}, name), &knowledge.Label{LabelID: "l", Seq: seq},
			knowledge.Query{Kind: knowledge.KindRule})
		return err
	}
	if err := ask("polite", 1); err != nil {
		t.Fatal(err)
	}
	for seq := range knowledge.Seq(8) {
		if err := ask("greedy", 2+seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask("polite", 1); err != nil || count["polite"] != 1 || count["greedy"] != 8 {
		t.Errorf("%v: the copy of who asked once was made %d times, beside %d of others", err, count["polite"],
			count["greedy"])
	}
	ended := make(chan error, 2)
	for seq := range knowledge.Seq(2) { // holders that read without end
		go func() { ended <- ask("holder", 10+seq) }()
		<-holding
	}
	over, ok := errors.AsType[*store.UnavailableError](ask("holder", 12))
	if !ok || !over.TooMany {
		t.Errorf("a caller whose share is in use is answered %v", over)
	}
	if err := errors.Join(ask("fourth", 2), ask("fifth", 3), ask("polite", 1)); err != nil {
		t.Errorf("beside a caller who holds its share: %v", err)
	}
	close(hold)
	if err := errors.Join(<-ended, <-ended); err != nil {
		t.Error(err)
	}
}

// A held copy answers lists when it is let go, if it waits at all.
type held struct {
	labels.Copy
	waits         bool
	hold, holding chan struct{}
}

func (h *held) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if h.waits {
		h.holding <- struct{}{}
		<-h.hold
	}
	return h.Copy.List(ctx, q)
}
