package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// warmed returns a cache whose warm tier alone holds the documents a0 to a9.
func warmed(t *testing.T, next store.Store, dir string) (*Store, []knowledge.Key) {
	t.Helper()
	s := openTest(t, next, Options{Warm: MinWarm, Dir: dir})
	stop := run(t, s)
	var keys []knowledge.Key
	for i := range 10 {
		keys = append(keys, put(t, s, rule(fmt.Sprint("a", i))).Key)
	}
	await(t, "the feed is level", func() bool { return s.Followed() == 10 })
	stop()
	for _, key := range keys {
		get(t, s, key)
	}
	sinkEach(t, s, keys...)
	return s, keys
}

// sinkEach moves documents from the hot tier to the warm one, as the demotion of an evicted item does.
func sinkEach(t *testing.T, s *Store, keys ...knowledge.Key) {
	t.Helper()
	for _, key := range keys {
		it := s.mem.peek(key, stripeOf(key))
		if it == nil {
			t.Fatalf("%s is not in the hot tier", key)
		}
		s.mem.hot.Invalidate(slotOf(key))
		s.mem.demote(descent{slotOf(key), it})
	}
}

func TestWhatFallsOutOfHotIsFoundInWarm(t *testing.T) {
	src := newSource()
	s, keys := warmed(t, src, "")
	before := src.asked.Load()
	for _, key := range keys {
		want, err := src.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		got := get(t, s, key)
		if diff := cmp.Diff(want.From(knowledge.SourceWarm), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
		if again := get(t, s, key); again.Source != knowledge.SourceHot {
			t.Errorf("%s comes from %s the second time, want hot", key, again.Source)
		}
	}
	if n := src.asked.Load() - before; n != 10 { // by this test
		t.Errorf("the source was asked %d times by the cache", n-10)
	}
	if st := s.Stats(); st.Demoted != 10 || st.Promoted != 10 || st.Records.SinceStart.Warm != 10 ||
		st.WarmEntries != 10 {
		t.Errorf("stats: %+v", st)
	}
}

func TestAWarmEntryIsAsOldAsItsQuestion(t *testing.T) {
	src := newSource()
	s, keys := warmed(t, src, "")
	put(t, s, rule("a0"))
	if got := get(t, s, keys[0]); got.Version != 2 || got.Source != knowledge.SourcePrimary {
		t.Errorf("version %d from %s, want 2 from the source", got.Version, got.Source)
	}
	// One that is brought back in the middle of a change does not get any younger by it.
	before, _ := s.mem.warm.head(slotOf(keys[1]))
	get(t, s, keys[1])
	if it := s.mem.peek(keys[1], stripeOf(keys[1])); it == nil || it.asOf != before.asOf {
		t.Errorf("the promoted item is %+v, want it as of %d", it, before.asOf)
	}
}

func TestADemotionThatIsLateIsHarmless(t *testing.T) {
	src := newSource()
	s, keys := warmed(t, src, "")
	for _, key := range keys {
		get(t, s, key)
	}
	late := s.mem.peek(keys[0], stripeOf(keys[0]))
	put(t, s, rule("a0"))
	s.mem.demote(descent{slotOf(keys[0]), late})
	if rec, asOf := s.mem.warm.get(keys[0]); rec != nil && rec.Version == 1 && s.mem.stamps.holds(asOf,
		stripeOf(keys[0])) {
		t.Error("an old version was demoted as valid")
	}
	get(t, s, keys[0])
	s.mem.demote(descent{slotOf(keys[0]), late})
	if got := get(t, s, keys[0]).Version; got != 2 {
		t.Errorf("version %d, want 2", got)
	}
}

func TestAnItemThatIsBackInHotIsNotCompressed(t *testing.T) {
	src := newSource()
	s, keys := warmed(t, src, "")
	for _, key := range keys {
		get(t, s, key)
	}
	s.mem.warm.cache.Reset()
	s.mem.demote(descent{slotOf(keys[0]), s.mem.peek(keys[0], stripeOf(keys[0]))})
	if st := s.Stats(); st.WarmEntries != 0 {
		t.Errorf("%d entries are in the warm tier", st.WarmEntries)
	}
}

func TestPrincipalsStayOutOfTheWarmTier(t *testing.T) {
	s := openTest(t, newSource(), Options{Hot: 64 << 10, Warm: MinWarm})
	run(t, s)
	for range 200 { // more than fit
		get(t, s, put(t, s, storetest.Principal()).Key)
	}
	for i := range 200 {
		get(t, s, put(t, s, rule(fmt.Sprint("a", i))).Key)
	}
	await(t, "rules are demoted", func() bool { return s.Stats().Demoted > 0 })
	if st := s.Stats(); st.EvictedRoom == 0 {
		t.Error("nothing was evicted")
	}
	for _, rec := range list(t, s, knowledge.Query{
		Kind:     knowledge.KindPrincipal,
		Activity: knowledge.AnyActivity,
	}).Records {
		if _, ok := s.mem.warm.head(slotOf(rec.Key)); ok {
			t.Errorf("%s is in the warm tier", rec.Key)
		}
	}
}

func TestARecordTooLargeForTheWarmTierReplacesNothing(t *testing.T) {
	src := newSource()
	s, keys := warmed(t, src, "")
	noise := make([]byte, 0, 300_000)
	for i := range 30_000 {
		noise = fmt.Appendf(noise, "%x ", i*i*2654435761)
	}
	put(t, s, rule("a0", func(r *knowledge.Rule) { r.Description = string(noise) }))
	get(t, s, keys[0])
	sinkEach(t, s, keys[0])
	if rec, _ := s.mem.warm.get(keys[0]); rec != nil {
		t.Errorf("the warm tier holds version %d", rec.Version)
	}
	if st := s.Stats(); st.Unfit != 1 {
		t.Errorf("%d items did not fit, want 1", st.Unfit)
	}
}

func TestARestartBeginsWarm(t *testing.T) {
	src, dir := newSource(), t.TempDir()
	first, keys := warmed(t, shared{src}, dir)
	if err := first.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	// While nobody looks one document changes and one is removed.
	put(t, src, rule("a0"))
	write(t, src, knowledge.Op{Verb: knowledge.VerbRetire, Key: keys[1]})

	s := openTest(t, shared{src}, Options{Warm: MinWarm, Dir: dir})
	run(t, s)
	await(t, "the feed is followed", func() bool { return s.Followed() == 12 })
	if got := get(t, s, keys[0]); got.Version != 2 || got.Source != knowledge.SourcePrimary {
		t.Errorf("what changed: version %d from %s, want 2 from the source", got.Version, got.Source)
	}
	if got := get(t, s, keys[1]); got.Version != 2 || got.Active {
		t.Errorf("what was retired: version %d, active %t", got.Version, got.Active)
	}
	for _, key := range keys[2:] {
		if got := get(t, s, key); got.Source != knowledge.SourceWarm {
			t.Errorf("%s comes from %s, want warm", key, got.Source)
		}
	}
}

// A purged text must be in no file, and in no memory that is written to one: the whole tier goes, and its dictionary.
func TestAPurgeEmptiesTheWarmTierAndWhatWasSaved(t *testing.T) {
	src, dir := newSource(), t.TempDir()
	s, keys := warmed(t, shared{src}, dir)
	if err := os.WriteFile(filepath.Join(dir, dictFile), []byte("of another start"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, n := s.mem.warm.size(); n == 0 {
		t.Fatal("the warm tier is empty before the purge")
	}
	run(t, s)
	write(t, src, knowledge.Op{Verb: knowledge.VerbPurge, Key: keys[1]})
	await(t, "the warm tier is empty", func() bool { _, n := s.mem.warm.size(); return n == 0 })
	await(t, "what was saved is gone", func() bool {
		_, err := os.Stat(filepath.Join(dir, dictFile))
		return errors.Is(err, fs.ErrNotExist)
	})
}

func TestARestartWithNothingNewNeedsNoFollower(t *testing.T) {
	src, dir := newSource(), t.TempDir()
	keys := savedWarm(t, src, dir)
	s := openTest(t, shared{src}, Options{Warm: MinWarm, Dir: dir})
	if got := get(t, s, keys[0]); got.Source != knowledge.SourceWarm {
		t.Errorf("source %s, want warm", got.Source)
	}
}

// savedWarm saves a warm tier with the documents a0 to a9 in dir.
func savedWarm(t *testing.T, src *source, dir string) []knowledge.Key {
	t.Helper()
	s, keys := warmed(t, shared{src}, dir)
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return keys
}

func TestTheWarmTierWaitsForTheFeedAfterARestart(t *testing.T) {
	src, dir, gate := newSource(), t.TempDir(), newSource()
	keys := savedWarm(t, src, dir)
	gate.setAway(&store.UnavailableError{Reason: "not yet"})
	s := openTest(t, shared{src}, Options{Warm: MinWarm, Dir: dir, Feed: both{src, gate}})
	run(t, s)
	if got := get(t, s, keys[0]); got.Source != knowledge.SourcePrimary {
		t.Errorf("source %s before the feed could be asked, want the source", got.Source)
	}
	gate.setAway(nil)
	await(t, "the feed is found", func() bool { return !s.AsOf().IsZero() })
	if got := get(t, s, keys[1]); got.Source != knowledge.SourceWarm {
		t.Errorf("source %s, want warm", got.Source)
	}
}

func TestWhatWasSavedIsUsedOnlyWhereItIsSure(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, src *source, dir string) (Options, bool){
		"as it is": func(*testing.T, *source, string) (Options, bool) { return Options{Warm: MinWarm}, true },
		"over another database": func(t *testing.T, src *source, _ string) (Options, bool) {
			src.become(another(t, 20))
			return Options{Warm: MinWarm}, false
		},
		"over an older copy": func(_ *testing.T, src *source, _ string) (Options, bool) {
			src.log = src.log[:9]
			return Options{Warm: MinWarm}, false
		},
		"over a log that was cut": func(_ *testing.T, src *source, _ string) (Options, bool) {
			src.cut(10)
			return Options{Warm: MinWarm}, false
		},
		"with another budget": func(*testing.T, *source, string) (Options, bool) {
			return Options{Warm: 3 * MinWarm}, false
		},
		"a byte flipped in the stamps": func(t *testing.T, _ *source, dir string) (Options, bool) {
			flip(t, filepath.Join(dir, stampsFile), 4000)
			return Options{Warm: MinWarm}, false
		},
		"a byte flipped in the entries": func(t *testing.T, _ *source, dir string) (Options, bool) {
			files, _ := filepath.Glob(filepath.Join(dir, warmDir, "data.*.bin"))
			for _, f := range files {
				flip(t, f, 100)
			}
			return Options{Warm: MinWarm}, false
		},
		"without the entries": func(t *testing.T, _ *source, dir string) (Options, bool) {
			if err := os.RemoveAll(filepath.Join(dir, warmDir)); err != nil {
				t.Fatal(err)
			}
			return Options{Warm: MinWarm}, false
		},
	} {
		t.Run(name, func(t *testing.T) {
			src, dir := newSource(), t.TempDir()
			keys := savedWarm(t, src, dir)
			o, usable := spoil(t, src, dir)
			o.Dir = dir
			s := openTest(t, shared{src}, o)
			run(t, s)
			await(t, "the feed is followed", func() bool { return !s.AsOf().IsZero() })
			rec, err := s.Get(t.Context(), keys[0])
			warm := err == nil && rec.Source == knowledge.SourceWarm
			if warm != usable {
				t.Errorf("answered by the warm tier: %v, want %v", warm, usable)
			}
		})
	}
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 { // a worker of the save that had nothing to write
		return
	}
	b[at%len(b)] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAKillLosesTheWarmTier is about what only the killed process knew: a batch in the journal is in no log yet.
func TestAKillLosesTheWarmTier(t *testing.T) {
	src, dir := newSource(), t.TempDir()
	keys := savedWarm(t, src, dir)
	killed, err := Open(t.Context(), shared{src}, Options{Hot: 1 << 20, Warm: MinWarm, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, killed, keys[0]); got.Source != knowledge.SourceWarm {
		t.Fatalf("source %s, want warm", got.Source)
	}
	killed.Invalidate(keys...) // and it is never closed
	t.Cleanup(killed.mem.warm.close)
	s := openTest(t, shared{src}, Options{Warm: MinWarm, Dir: dir})
	for _, key := range keys {
		if got := get(t, s, key); got.Source != knowledge.SourcePrimary {
			t.Errorf("%s comes from %s, want the source", key, got.Source)
		}
	}
}

func TestWhatWasInvalidAtTheEndIsInvalidAtTheStart(t *testing.T) {
	src, dir := newSource(), t.TempDir()
	s, keys := warmed(t, shared{src}, dir)
	s.Invalidate(keys[0])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, shared{src}, Options{Warm: MinWarm, Dir: dir})
	for i, want := range []knowledge.Source{knowledge.SourcePrimary, knowledge.SourceWarm} {
		if got := get(t, again, keys[i]); got.Source != want {
			t.Errorf("%s comes from %s, want %s", keys[i], got.Source, want)
		}
	}
}

func TestOnlyTheOwnerReadsTheWarmFiles(t *testing.T) {
	src, dir := newSource(), filepath.Join(t.TempDir(), "cache")
	savedWarm(t, src, dir)
	st, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o700 {
		t.Errorf("the directory's mode is %s", st.Mode())
	}
}

func TestNothingStaysOnDiskWhileItIsInUse(t *testing.T) {
	src, dir := newSource(), t.TempDir()
	savedWarm(t, src, dir)
	if err := os.Mkdir(filepath.Join(dir, "fastcache.tmp.123"), 0o700); err != nil { // of a save that was cut off
		t.Fatal(err)
	}
	openTest(t, shared{src}, Options{Warm: MinWarm, Dir: dir})
	left, err := fs.Glob(os.DirFS(dir), "*")
	if err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

func TestADirectoryThatCantBeMadeIsSaidAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), newSource(), Options{Hot: 1 << 20, Warm: MinWarm, Dir: filepath.Join(file, "cache")})
	if err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("Open: %v", err)
	}
}

func TestABudgetBelowTheLeastTurnsWarmOff(t *testing.T) {
	log := &lines{}
	s := openTest(t, newSource(), Options{Warm: MinWarm - 1, Log: log.logger()})
	if st := s.Stats(); st.WarmBudget != 0 || log.count("too small") != 1 {
		t.Errorf("warm budget %d, told %d times", st.WarmBudget, log.count("too small"))
	}
}

func TestAnOpenThatIsGivenUpLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, newSource(), Options{Hot: 1 << 20, Warm: MinWarm}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
}

func TestListsAndSearchesFallAndComeBackToo(t *testing.T) {
	src, dir := newSource(), t.TempDir()
	s, keys := warmed(t, shared{src}, dir)
	q := knowledge.Query{Kind: knowledge.KindRule}
	find := knowledge.SearchQuery{Text: "descriptors", Kinds: []knowledge.Kind{knowledge.KindRule}}
	want := list(t, s, q)
	wantHits, err := s.Search(t.Context(), find)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, shared{src}, Options{Warm: MinWarm, Dir: dir})
	before := src.asked.Load()
	got := list(t, again, q)
	hits, err := again.Search(t.Context(), find)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(simplePage(want), simplePage(got)); diff != "" || got.Source != knowledge.SourceWarm {
		t.Errorf("list from %s (-want +got):\n%s", got.Source, diff)
	}
	if diff := cmp.Diff(simpleHits(wantHits), simpleHits(hits)); diff != "" || len(hits.Hits) != len(keys) {
		t.Errorf("search (-want +got):\n%s", diff)
	}
	if n := src.asked.Load() - before; n != 0 {
		t.Errorf("the source was asked %d times", n)
	}
	// What has changed since is not on them any more.
	write(t, again, knowledge.Op{Verb: knowledge.VerbRetire, Key: keys[0]})
	if n := len(list(t, again, q).Records); n != 9 {
		t.Errorf("%d documents are listed, want 9", n)
	}
}

func openWarmTest(t testing.TB) *warm {
	t.Helper()
	w, err := openWarm("", MinWarm)
	if err != nil {
		t.Fatal(err)
	}
	w.usable.Store(true)
	t.Cleanup(w.close)
	return w
}

func FuzzWarmDecode(f *testing.F) {
	w := openWarmTest(f)
	rec := &knowledge.Record{
		Key: knowledge.Key{Kind: knowledge.KindRule, ID: "a"}, Version: 3, Category: "general", Active: true, Rank: 7,
		Updated: knowledge.At(time.Unix(1, 2000)), JSON: []byte(`{"rule_id":"a"}`), Source: knowledge.SourceWarm,
	}
	f.Add([]byte{})
	f.Add(make([]byte, fixedSize))
	f.Add(w.encode(nil, rec, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, asOf := w.decode(b, rec.Key)
		if got == nil {
			return
		}
		if len(got.JSON) > 2*knowledge.MaxDocument {
			t.Fatalf("%d bytes out of %d", len(got.JSON), len(b))
		}
		if len(got.Category) > 255 {
			t.Skip("no category is so long")
		}
		again, was := w.decode(w.encode(nil, got, asOf), rec.Key)
		got.JSON, again.JSON = append([]byte{}, got.JSON...), append([]byte{}, again.JSON...)
		if diff := cmp.Diff(got, again); diff != "" || was != asOf {
			t.Errorf("as of %d and %d (-first +second):\n%s", asOf, was, diff)
		}
	})
}

func FuzzListingDecode(f *testing.F) {
	at := slot{ask: askSearch, id: "x"}
	it := &item{from: knowledge.SourcePrimary, list: &listing{
		keys: []knowledge.Key{{Kind: knowledge.KindRule, ID: "a"}}, shapes: []uint32{7},
		parts: []part{{Score: 1.5, Snippet: "s", Marks: [][2]int{{0, 1}}}},
	}}
	b, err := encodeListing(it)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, true)
	f.Add([]byte(`{"k":[],"s":[],"f":"primary"}`), false)
	f.Fuzz(func(t *testing.T, b []byte, search bool) {
		at := at
		if !search {
			at.ask = askList
		}
		got, ok := decodeListing(b, at, 3, nil)
		if !ok {
			return
		}
		l := got.list
		if len(l.bodies) != len(l.keys) || len(l.shapes) != len(l.keys) || search && len(l.parts) != len(l.keys) ||
			!search && len(l.parts) != 0 {
			t.Errorf("%+v", l)
		}
		records := make([]*knowledge.Record, len(l.keys))
		for i := range records {
			records[i] = &knowledge.Record{Key: l.keys[i]}
		}
		readyItem(at, got, records, 3)
	})
}

func FuzzWarmRoundTrip(f *testing.F) {
	w := openWarmTest(f)
	f.Add("a", int64(1), int64(2), int64(3), true, "general", []byte(`{}`), uint64(4))
	f.Fuzz(func(t *testing.T, id string, version, rank, micros int64, active bool, category string, doc []byte, asOf uint64) {
		want := &knowledge.Record{
			Key: knowledge.Key{Kind: knowledge.KindRule, ID: id}, Version: version, Rank: rank,
			Updated: knowledge.At(time.UnixMicro(micros)),
			Active:  active, Category: category, JSON: doc, Source: knowledge.SourceWarm,
		}
		if !w.put(want, asOf) {
			return
		}
		got, was := w.get(want.Key)
		if was != asOf {
			t.Errorf("as of %d, want %d", was, asOf)
		}
		if len(doc) == 0 {
			want.JSON, got.JSON = nil, nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
