package guidance

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// answered returns the keys and versions of what holds, and the whole answer.
func answered(t *testing.T, x *Index, s store.Store, q Query) ([]string, *Answer) {
	t.Helper()
	p, err := x.Prepare(t.Context(), s, q)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Answer(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, i := range a.Items {
		list = append(list, i.Key+" "+strings.Repeat("I", int(i.Version)))
	}
	slices.Sort(list)
	return list, a
}

func always(id string, change func(*knowledge.Rule)) *knowledge.Rule {
	return storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Enforcement, r.Severity = id, "recommended", knowledge.SeverityWarning
		r.Scope, r.Tags = knowledge.Scope{Activation: "always"}, nil
		if change != nil {
			change(r)
		}
	})
}

func TestPacksAndLabelsAndExemptionsDecideWhatIsAskedAbout(t *testing.T) {
	s := openStore(t)
	write := func(ops ...knowledge.Op) {
		t.Helper()
		if _, err := s.Apply(t.Context(), storetest.Batch(ops...)); err != nil {
			t.Fatal(err)
		}
	}
	put := func(d knowledge.Document) knowledge.Op { return knowledge.Put(d, knowledge.AnyVersion) }
	write(put(storetest.Category(func(c *knowledge.Category) { c.ID = storetest.GeneralCategory })))
	write(put(always("a", func(r *knowledge.Rule) { r.Tags = []string{"t"} })), put(always("b", nil)),
		put(always("c", nil)))
	write(put(storetest.Pack(func(p *knowledge.Pack) {
		p.PackID, p.Select, p.Raise = "base", knowledge.Selection{Tags: []string{"t"}}, nil
	})), put(storetest.Pack(func(p *knowledge.Pack) {
		p.PackID, p.Extends, p.Select = "top", []string{"base"}, knowledge.Selection{IDs: []string{"rule/b"}}
		p.Raise = []knowledge.Raise{{ID: "rule/a", Enforcement: "mandatory", Severity: knowledge.SeverityCritical}}
	})))
	newest, err := store.Newest(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	write(put(storetest.Label(func(l *knowledge.Label) { l.LabelID, l.Seq = "then", newest.Seq })))
	x := New(Options{Store: s, Feed: s})
	if err := x.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := func(what string, q Query, list ...string) *Answer {
		t.Helper()
		got, a := answered(t, x, s, q)
		if !slices.Equal(got, list) {
			t.Errorf("%s: %v, want %v (%v)", what, got, list, a.Notes)
		}
		return a
	}
	follow := func(ops ...knowledge.Op) {
		t.Helper()
		end, err := store.Newest(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		write(ops...)
		changes, err := s.Changes(t.Context(), knowledge.ChangeQuery{After: end.Seq})
		if err != nil {
			t.Fatal(err)
		}
		x.learn(t.Context(), changes)
	}
	q := Query{Paths: []string{"x.go"}}
	want("everything", q, "rule/a I", "rule/b I", "rule/c I")
	inTop := Query{Paths: q.Paths, Packs: []string{"top"}}
	a := want("a pack", inTop, "rule/a I", "rule/b I")
	if i := a.Items[0]; i.Key != "rule/a" || i.Enforcement != "mandatory" || i.Severity != knowledge.SeverityCritical ||
		!slices.Contains(i.Because, Reason{By: ByPack, Pack: "base"}) {
		t.Errorf("what the pack raises is %+v", i)
	}
	atThen := Query{Paths: q.Paths, Label: "then"}
	before := want("at the label", atThen, "rule/a I", "rule/b I", "rule/c I")
	// Everything moves on: changed, retired, new, in the pack and out of it.
	follow(put(always("a", func(r *knowledge.Rule) { r.Title, r.Tags = "Otherwise", []string{"t"} })),
		knowledge.Op{Verb: knowledge.VerbRetire, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "b"}},
		put(always("d", func(r *knowledge.Rule) { r.Tags = []string{"t"} })))
	want("after the writes", q, "rule/a II", "rule/c I", "rule/d I")
	want("the pack after them", inTop, "rule/a II", "rule/d I")
	after := want("the label after them", atThen, "rule/a I", "rule/b I", "rule/c I")
	if before.ETag != after.ETag || before.Items[0].Text != after.Items[0].Text {
		t.Errorf("the answer at the label was %s and is %s", before.ETag, after.ETag)
	}
	want("the pack at the label", Query{Paths: q.Paths, Packs: []string{"top"}, Label: "then"}, "rule/a I", "rule/b I")
	follow(put(storetest.Label(func(l *knowledge.Label) {
		l.LabelID, l.Seq, l.Holds = "then", newest.Seq+100, map[string]int64{"rule/b": 1}
	})))
	want("the label moved on, which holds one back", atThen, "rule/a II", "rule/b I", "rule/c I", "rule/d I")

	until := knowledge.At(time.Now().Add(time.Hour))
	follow(put(storetest.Repository(func(r *knowledge.Repository) {
		r.RepositoryID, r.Packs, r.Exemptions = "repo", []string{"top"}, []knowledge.Exemption{
			{Rule: "a", Reason: "it is old", Until: until, Paths: []string{"legacy/**"}},
			{Rule: "d", Reason: "no more", Until: knowledge.At(time.Now().Add(-time.Hour))},
		}
	})))
	want("a repository", Query{Paths: q.Paths, Repository: "repo"}, "rule/a II", "rule/d I")
	exempt := want("where it is exempt", Query{Paths: []string{"legacy/x.go"}, Repository: "repo"}, "rule/d I")
	if len(exempt.Notes) == 0 || !strings.Contains(exempt.Notes[0], "rule/a need not hold in repo until") {
		t.Errorf("the notes are %q", exempt.Notes)
	}
	want("where it is so for one path of two", Query{Paths: []string{"legacy/x.go", "x.go"}, Repository: "repo"},
		"rule/a II", "rule/d I")
	for what, q := range map[string]Query{
		"a label": {Paths: q.Paths, Label: "nobody"}, "a pack": {Paths: q.Paths, Packs: []string{"nobody"}},
		"a repository":          {Paths: q.Paths, Repository: "nobody"},
		"a label that can't be": {Paths: q.Paths, Label: "../x"},
	} {
		if _, err := x.Prepare(t.Context(), s, q); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s that is missing: %v, want not found", what, err)
		}
	}
}

func openStore(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A stuckFeed does not answer until it is let go, and tells that it was asked.
type stuckFeed struct {
	store.Feed
	asked, free chan struct{}
}

func (f *stuckFeed) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	select {
	case f.asked <- struct{}{}:
	default:
	}
	<-f.free
	return f.Feed.Changes(ctx, q)
}

// TestAQuestionAtALabelThatIsBeingReadEndsWithItsContext asks at a label while the log does not answer another.
func TestAQuestionAtALabelThatIsBeingReadEndsWithItsContext(t *testing.T) {
	s := openStore(t)
	for _, d := range []knowledge.Document{
		storetest.Category(func(c *knowledge.Category) { c.ID = storetest.GeneralCategory }),
		storetest.Label(func(l *knowledge.Label) { l.LabelID, l.Seq, l.Holds = "then", 1, nil }), always("late", nil),
	} {
		if _, err := s.Apply(t.Context(), storetest.Batch(knowledge.Put(d, knowledge.NoVersion))); err != nil {
			t.Fatal(err)
		}
	}
	feed := &stuckFeed{s, make(chan struct{}, 1), make(chan struct{})}
	x := New(Options{Store: s, Feed: s})
	if err := x.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.o.Feed = feed
	first := make(chan error)
	go func() {
		_, err := x.Prepare(t.Context(), s, Query{Label: "then"})
		first <- err
	}()
	<-feed.asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Prepare(ctx, anyway{s}, Query{Label: "then"}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	close(feed.free)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// anyway reads also for a context that has ended.
type anyway struct{ store.Past }

func (a anyway) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	return a.Past.Get(context.WithoutCancel(ctx), key)
}
