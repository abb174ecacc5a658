package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// general returns the category that the documents of storetest belong to.
func general() knowledge.Document {
	return storetest.Category(func(c *knowledge.Category) { c.ID = storetest.GeneralCategory })
}

// apply applies ops that must succeed.
func apply(t testing.TB, s store.Writer, ops ...knowledge.Op) knowledge.Receipt {
	t.Helper()
	r, err := s.Apply(t.Context(), storetest.Batch(ops...))
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return r
}

// put writes documents in one batch.
func put(t testing.TB, s store.Writer, docs ...knowledge.Document) knowledge.Receipt {
	t.Helper()
	ops := make([]knowledge.Op, len(docs))
	for i, d := range docs {
		ops[i] = knowledge.Put(d, knowledge.AnyVersion)
	}
	return apply(t, s, ops...)
}

// feed returns the whole log.
func feed(t testing.TB, s store.Feed, after knowledge.Seq) []knowledge.Change {
	t.Helper()
	var all []knowledge.Change
	for {
		part, err := s.Changes(t.Context(), knowledge.ChangeQuery{After: after})
		if err != nil {
			t.Fatalf("Changes after %d: %v", after, err)
		}
		if len(part) == 0 {
			return all
		}
		all = append(all, part...)
		after = part[len(part)-1].Seq
	}
}

// everything returns what a store holds of the primary: key, version and JSON.
func everything(t testing.TB, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.Compare(t.Context(), func(r *knowledge.Record) error {
		all[r.Key.String()] = fmt.Sprintf("%d %s", r.Version, r.JSON)
		return nil
	})
	if err != nil {
		t.Fatalf("Compare: %v", err)
	}
	return all
}

// visible returns what readers of a store find.
func visible(t testing.TB, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, kind := range knowledge.Kinds() {
		q := knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity}
		err := store.All(t.Context(), s, q, func(r *knowledge.Record) error {
			all[r.Key.String()] = fmt.Sprintf("%d %s", r.Version, r.JSON)
			return nil
		})
		if err != nil {
			t.Fatalf("List %s: %v", kind, err)
		}
	}
	return all
}

func equal(t testing.TB, what string, want, got map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// world fills a primary with documents of every kind, changes of every sort, and returns a rule in it.
func world(t testing.TB, s *Store) *knowledge.Rule {
	t.Helper()
	rule, practice, template := storetest.Rule(), storetest.Practice(), storetest.Template()
	gone := storetest.Rule()
	put(t, s, general(), rule, practice, template, storetest.Violation(rule.RuleID), storetest.Principal(), gone)
	apply(t, s, knowledge.Op{Verb: knowledge.VerbRetire, Key: practice.Key()}, knowledge.Op{
		Verb: knowledge.VerbPurge,
		Key:  gone.Key(),
	})
	rule.Title = "Close what you open, always"
	put(t, s, rule)
	apply(t, s, knowledge.Op{
		Verb: knowledge.VerbPatch, Key: template.Key(),
		Patch: []byte(`{"description":"Patched."}`),
	})
	return rule
}

func TestReplicatedMirrorEqualsItsPrimary(t *testing.T) {
	primary, mirror := openTest(t, Options{}), openTest(t, Options{Mirror: true})
	if _, err := mirror.Position(t.Context()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Position of a new mirror: %v, want ErrNotFound", err)
	}
	world(t, primary)
	changes := feed(t, primary, 0)
	for range 2 { // the second time, all of it is there
		if err := mirror.Replicate(t.Context(), changes); err != nil {
			t.Fatalf("Replicate: %v", err)
		}
		equal(t, "the mirror differs", everything(t, primary), everything(t, mirror))
		equal(t, "what readers of the mirror find differs", visible(t, primary), visible(t, mirror))
	}
	got := feed(t, mirror, 0)
	for i := range got {
		if got[i].Record != nil {
			got[i].Record = got[i].Record.From(knowledge.SourcePrimary)
		}
	}
	if diff := cmp.Diff(changes, got); diff != "" {
		t.Errorf("the mirror's log differs (-primary +mirror):\n%s", diff)
	}
	want, err := primary.Position(t.Context())
	if err != nil {
		t.Fatalf("Position: %v", err)
	}
	if want.System == "" {
		t.Error("the primary has no identifier")
	}
	if err := mirror.SetIdentity(t.Context(), want.System, want.Timeline); err != nil {
		t.Fatalf("SetIdentity: %v", err)
	}
	pos, err := mirror.Position(t.Context())
	if err != nil || pos != want {
		t.Errorf("Position = %+v, %v; want %+v", pos, err, want)
	}
	if err := mirror.VerifyChanges(t.Context(), nil); err != nil {
		t.Errorf("VerifyChanges: %v", err)
	}
	rec, err := mirror.Get(t.Context(), knowledge.Key{Kind: knowledge.KindCategory, ID: storetest.GeneralCategory})
	if err != nil || rec.Source != knowledge.SourceMirror {
		t.Errorf("Get = %+v, %v; want a record of the mirror", rec, err)
	}
	if _, err := mirror.Apply(t.Context(), storetest.Batch(knowledge.Put(general(), 0))); !errors.Is(err,
		store.ErrUnavailable) {
		t.Errorf("Apply to a mirror: %v, want ErrUnavailable", err)
	}
}

func TestMirrorRefusesGapsAndOtherHistories(t *testing.T) {
	primary, mirror := openTest(t, Options{}), openTest(t, Options{Mirror: true})
	rule := world(t, primary)
	changes := feed(t, primary, 0)
	if err := mirror.Replicate(t.Context(), changes[:3]); err != nil {
		t.Fatalf("Replicate: %v", err)
	}
	before := everything(t, mirror)
	if err := mirror.Replicate(t.Context(), changes[4:]); !errors.Is(err, ErrGap) {
		t.Errorf("Replicate with a gap: %v, want ErrGap", err)
	}
	forged := append([]knowledge.Change(nil), changes[3:]...)
	forged[2].Version++
	if err := mirror.Replicate(t.Context(), forged); !errors.Is(err, ErrOtherHistory) {
		t.Errorf("Replicate of another history: %v, want ErrOtherHistory", err)
	}
	other := openTest(t, Options{})
	put(t, other, general(), rule, storetest.Rule())
	if err := mirror.Replicate(t.Context(), feed(t, other, 0)); !errors.Is(err, ErrOtherHistory) {
		t.Errorf("Replicate of changes that the mirror has otherwise: %v, want ErrOtherHistory", err)
	}
	equal(t, "a refused change left something behind", before, everything(t, mirror))
	if err := mirror.Replicate(t.Context(), changes); err != nil {
		t.Errorf("Replicate after the refusals: %v", err)
	}
	equal(t, "the mirror differs", everything(t, primary), everything(t, mirror))
}

func TestMirrorKeepsSoManyVersions(t *testing.T) {
	primary, mirror := openTest(t, Options{}), openTest(t, Options{Mirror: true, Versions: 3})
	rule := storetest.Rule()
	put(t, primary, general(), rule)
	for range 9 {
		put(t, primary, rule)
	}
	if err := mirror.Rebuild(t.Context(), func(sink store.Sink) error {
		return primary.Snapshot(t.Context(), 3, sink)
	}, nil); err != nil {
		t.Fatalf("Rebuild: %v", err)
	}
	list, err := mirror.Changes(t.Context(), knowledge.ChangeQuery{Key: rule.Key()})
	if err != nil || len(list) != 3 || list[2].Version != 10 {
		t.Errorf("the history of the rule has %d changes (%v), want versions 8 to 10", len(list), err)
	}
	if _, err := mirror.Changes(t.Context(), knowledge.ChangeQuery{}); !errors.Is(err, store.ErrGone) {
		t.Errorf("Changes from the start of a rebuilt mirror: %v, want ErrGone", err)
	}
	put(t, primary, rule)
	if err := mirror.Replicate(t.Context(), feed(t, primary, 11)); err != nil {
		t.Fatalf("Replicate: %v", err)
	}
	if list := feed(t, mirror, 11); len(list) != 1 || list[0].Version != 11 {
		t.Errorf("the feed after the rebuild: %+v, want the one change", list)
	}
	if err := mirror.VerifyChanges(t.Context(), nil); err != nil {
		t.Errorf("VerifyChanges: %v", err)
	}
}

func TestRebuildSwapsTheFileUnderItsReaders(t *testing.T) {
	ctx := t.Context()
	primary := openTest(t, Options{})
	path := filepath.Join(t.TempDir(), "mirror.db")
	mirror := openAt(t, path, Options{Mirror: true})
	rule := world(t, primary)
	for round := range 3 {
		put(t, primary, storetest.Rule())
		err := mirror.Rebuild(ctx, func(sink store.Sink) error {
			if round > 0 {
				if _, err := mirror.Get(ctx, rule.Key()); err != nil {
					t.Errorf("Get while the mirror is rebuilt: %v", err)
				}
			}
			return primary.Snapshot(ctx, 20, sink)
		}, nil)
		if err != nil {
			t.Fatalf("Rebuild: %v", err)
		}
		equal(t, "the mirror differs", everything(t, primary), everything(t, mirror))
		equal(t, "what readers of the mirror find differs", visible(t, primary), visible(t, mirror))
	}
	hits, err := mirror.Search(ctx, knowledge.SearchQuery{Text: "always"})
	if err != nil || len(hits.Hits) != 1 {
		t.Errorf("Search in a rebuilt mirror: %v, %v; want the rule", hits, err)
	}
	broken := errors.New("the primary went away")
	if err := mirror.Rebuild(ctx, func(store.Sink) error { return broken }, nil); !errors.Is(err, broken) {
		t.Errorf("Rebuild that fails: %v", err)
	}
	put(t, primary, rule)
	if err := mirror.Replicate(ctx, feed(t, primary, 13)); err != nil {
		t.Fatalf("Replicate after the swaps: %v", err)
	}
	want := everything(t, primary)
	if err := mirror.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	again := openAt(t, path, Options{Mirror: true})
	equal(t, "the mirror differs after it was opened again", want, everything(t, again))
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) > 4 { // the link, the file, its two companions
		t.Errorf("files left behind: %v (%v)", names, err)
	}
}

func TestLeftoversOfASwapAreSweptAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mirror.db")
	mirror := openAt(t, path, Options{Mirror: true})
	if err := mirror.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for _, name := range []string{".g7", ".g7-wal", ".glink"} {
		if err := os.WriteFile(path+name, []byte("half a file"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openAt(t, path, Options{Mirror: true})
	names, err := filepath.Glob(path + ".g*")
	if err != nil || len(names) > 0 {
		t.Errorf("left after Open: %v (%v)", names, err)
	}
}

// left returns what a batch that only puts leaves behind.
func left(t testing.TB, docs ...knowledge.Document) []store.Left {
	t.Helper()
	var list []store.Left
	for _, d := range docs {
		rec, err := knowledge.NewRecord(d)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, store.Left{Key: d.Key(), Record: rec})
	}
	return list
}

// stamped returns a copy of a rule as it would be stored, with a title of its own.
func stamped(t testing.TB, r *knowledge.Rule, title string, version int64) *knowledge.Rule {
	t.Helper()
	d, err := knowledge.Clone(r)
	if err != nil {
		t.Fatal(err)
	}
	c := d.(*knowledge.Rule)
	c.Title = title
	now := knowledge.At(moment(1_700_000_000_000_000).Time)
	c.Stamp = knowledge.Stamp{CreatedBy: "a", CreatedAt: now, UpdatedBy: "a", UpdatedAt: now, Version: version}
	return c
}

func titleOf(t testing.TB, s *Store, key knowledge.Key) (string, knowledge.BatchID) {
	t.Helper()
	rec, err := s.Get(t.Context(), key)
	if errors.Is(err, store.ErrNotFound) {
		return "", knowledge.BatchID{}
	}
	if err != nil {
		t.Fatalf("Get(%s): %v", key, err)
	}
	d, err := rec.Document()
	if err != nil {
		t.Fatal(err)
	}
	return d.Text().Title, rec.Pending
}

func TestOverlaysLieOverTheMirrorUntilTheyAreSettled(t *testing.T) {
	ctx := t.Context()
	primary, mirror := openTest(t, Options{}), openTest(t, Options{Mirror: true})
	rule := storetest.Rule(func(r *knowledge.Rule) { r.Title = "base" })
	put(t, primary, general(), rule)
	if err := mirror.Replicate(ctx, feed(t, primary, 0)); err != nil {
		t.Fatal(err)
	}
	want := func(title string, pending knowledge.BatchID) {
		t.Helper()
		got, by := titleOf(t, mirror, rule.Key())
		if got != title || by != pending {
			t.Errorf("readers find %q of batch %s, want %q of %s", got, by, title, pending)
		}
		hits, err := mirror.Search(ctx, knowledge.SearchQuery{Text: "title:" + title})
		if title != "" && (err != nil || len(hits.Hits) != 1) {
			t.Errorf("search finds %+v (%v) for title %q, want the rule", hits, err, title)
		}
	}
	under := func(title string) {
		t.Helper()
		got := ""
		err := mirror.Compare(ctx, func(r *knowledge.Record) error {
			if r.Key == rule.Key() {
				d, err := r.Document()
				got = d.Text().Title
				return err
			}
			return nil
		})
		if err != nil || got != title {
			t.Errorf("below the overlays there is %q (%v), want %q", got, err, title)
		}
	}
	none := knowledge.BatchID{}
	a, b, c := knowledge.NewBatchID(), knowledge.NewBatchID(), knowledge.NewBatchID()
	overlay := func(id knowledge.BatchID, list []store.Left) {
		t.Helper()
		if err := mirror.Overlay(ctx, store.Entry{Batch: knowledge.Batch{ID: id}, Left: list}); err != nil {
			t.Fatalf("Overlay: %v", err)
		}
	}
	settle := func(id knowledge.BatchID, applied []store.Left) {
		t.Helper()
		if err := mirror.Settle(ctx, id, []knowledge.Key{rule.Key()}, applied); err != nil {
			t.Fatalf("Settle: %v", err)
		}
	}
	overlay(a, left(t, stamped(t, rule, "first", 2)))
	overlay(a, left(t, stamped(t, rule, "first", 2))) // laid again after a crash
	want("first", a)
	under("base")
	overlay(b, left(t, stamped(t, rule, "second", 3)))
	want("second", b)
	overlay(c, []store.Left{{Key: rule.Key()}})
	want("", none)
	under("base")

	// The primary's own news go below.
	apply(t, primary, knowledge.Op{Verb: knowledge.VerbPatch, Key: rule.Key(), Patch: []byte(`{"title":"theirs"}`)})
	if err := mirror.Replicate(ctx, feed(t, primary, 2)); err != nil {
		t.Fatal(err)
	}
	want("", none)
	under("theirs")

	// A rebuild carries them over.
	if err := mirror.Rebuild(ctx, func(sink store.Sink) error {
		return primary.Snapshot(ctx, 20, sink)
	}, nil); err != nil {
		t.Fatal(err)
	}
	want("", none)
	under("theirs")

	settle(c, nil)
	want("second", b)
	settle(a, left(t, stamped(t, rule, "first applied", 4))) // not the uppermost
	want("second", b)
	under("first applied")
	settle(b, nil)
	want("first applied", none)
	under("first applied")
	settle(b, nil) // again
	want("first applied", none)
}

func TestFeedEndsTheOverlayOfItsOwnBatch(t *testing.T) {
	ctx := t.Context()
	primary, mirror := openTest(t, Options{}), openTest(t, Options{Mirror: true})
	rule := storetest.Rule(func(r *knowledge.Rule) { r.Title = "base" })
	put(t, primary, general())
	b := storetest.Batch(knowledge.Put(rule, 0))
	waiting := store.Entry{Batch: b, Left: left(t, stamped(t, rule, "pending", 1))}
	if err := mirror.Overlay(ctx, waiting); err != nil {
		t.Fatal(err)
	}
	if title, by := titleOf(t, mirror, rule.Key()); title != "pending" || by != b.ID {
		t.Errorf("readers find %q of %s, want the overlay", title, by)
	}
	if _, err := primary.Apply(ctx, b); err != nil {
		t.Fatal(err)
	}
	if err := mirror.Replicate(ctx, feed(t, primary, 0)); err != nil {
		t.Fatal(err)
	}
	if err := mirror.Overlay(ctx, waiting); err != nil { // who journalled it comes late
		t.Fatal(err)
	}
	if title, by := titleOf(t, mirror, rule.Key()); title != "base" || by != (knowledge.BatchID{}) {
		t.Errorf("readers find %q of %s, want what the primary has", title, by)
	}
	equal(t, "the mirror differs", everything(t, primary), everything(t, mirror))
}

func TestForeseenWritesAreSeenAtOnceAndNeverGoBack(t *testing.T) {
	ctx := t.Context()
	primary, mirror := openTest(t, Options{}), openTest(t, Options{Mirror: true})
	rule := storetest.Rule(func(r *knowledge.Rule) { r.Title = "one" })
	first := put(t, primary, general(), rule)
	rule.Title = "two"
	second := put(t, primary, rule)
	foresee := func(r *knowledge.Record) {
		t.Helper()
		if err := mirror.Foresee(ctx, []store.Left{{Key: rule.Key(), Record: r}}); err != nil {
			t.Fatalf("Foresee: %v", err)
		}
	}
	foresee(second.Records[0])
	foresee(first.Records[1]) // older: ignored
	if title, _ := titleOf(t, mirror, rule.Key()); title != "two" {
		t.Errorf("readers find %q, want two", title)
	}
	changes := feed(t, primary, 0)
	if err := mirror.Replicate(ctx, changes[:2]); err != nil {
		t.Fatal(err)
	}
	if title, _ := titleOf(t, mirror, rule.Key()); title != "two" {
		t.Errorf("the feed brought readers back to %q", title)
	}
	apply(t, primary, knowledge.Op{Verb: knowledge.VerbPurge, Key: rule.Key()})
	foresee(nil)
	if err := mirror.Replicate(ctx, changes[2:]); err != nil {
		t.Fatal(err)
	}
	if title, _ := titleOf(t, mirror, rule.Key()); title != "" {
		t.Errorf("the feed brought a purged rule back as %q", title)
	}
	if err := mirror.Replicate(ctx, feed(t, primary, 3)); err != nil {
		t.Fatal(err)
	}
	equal(t, "the mirror differs", everything(t, primary), everything(t, mirror))
}

func TestBuildTakesPages(t *testing.T) {
	ctx := t.Context()
	primary := openTest(t, Options{})
	world(t, primary)
	at, err := primary.Position(ctx)
	if err != nil {
		t.Fatal(err)
	}
	kinds := knowledge.Kinds()
	path := filepath.Join(t.TempDir(), "mirror.db")
	err = build(ctx, path, at, func() ([]*knowledge.Record, error) {
		for len(kinds) > 0 {
			kind := kinds[0]
			kinds = kinds[1:]
			page, err := primary.List(ctx, knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity})
			if err != nil || len(page.Records) > 0 {
				return page.Records, err
			}
		}
		return nil, nil
	})
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	mirror := openAt(t, path, Options{Mirror: true})
	equal(t, "the mirror differs", everything(t, primary), everything(t, mirror))
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	err = build(canceled, filepath.Join(t.TempDir(), "x.db"), at,
		func() ([]*knowledge.Record, error) { return nil, nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("build with a cancelled context: %v", err)
	}
}

// build writes a new mirror file at path from the pages that next returns, up to one that is empty.
func build(ctx context.Context, path string, at knowledge.Position, next func() ([]*knowledge.Record, error)) error {
	b, err := NewBuilder(ctx, path)
	if err != nil {
		return err
	}
	if err := b.Begin(at); err != nil {
		return err
	}
	for {
		page, err := next()
		if err != nil {
			return errors.Join(err, b.Discard())
		}
		if len(page) == 0 {
			return b.Finish()
		}
		for _, r := range page {
			if err := b.Record(r); err != nil {
				return errors.Join(err, b.Discard())
			}
		}
	}
}
