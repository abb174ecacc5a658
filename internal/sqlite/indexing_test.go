package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A halt is a log whose reader holds back what makes a search index, at a number of documents.
type halt struct {
	slog.Handler
	at      int64
	reached chan struct{} // closed at that number
	goOn    chan struct{}
	resume  func() // closes goOn
	first   int64  // the number at which it began
	begun   bool
}

func haltAt(at int64) *halt {
	h := &halt{Handler: slog.DiscardHandler, at: at, reached: make(chan struct{}), goOn: make(chan struct{})}
	h.resume = sync.OnceFunc(func() { close(h.goOn) })
	return h
}

// indexing are the options of a store whose index is made in steps of ten documents.
func (h *halt) indexing(o Options) Options {
	o.IndexLater, o.indexStep, o.Log = true, 10, slog.New(h)
	return o
}

func (h *halt) Enabled(context.Context, slog.Level) bool { return true }

func (h *halt) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "indexing documents for search" {
		return nil
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "done" {
			return true
		}
		if !h.begun {
			h.begun, h.first = true, a.Value.Int64()
		}
		if a.Value.Int64() == h.at {
			close(h.reached)
			<-h.goOn
		}
		return false
	})
	return nil
}

// outdate makes the index of a closed file one of another form, whose lists this program could not read.
func outdate(t *testing.T, path string, form int) {
	t.Helper()
	db, err := handle{path: path, conns: 1}.open()
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		fmt.Sprintf("UPDATE meta SET value = %d WHERE key = 'search_form'", form),
		"UPDATE search_waiting SET entry = x'00'", "UPDATE search_words SET documents = x'ff', places = x'ff'",
	} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// outdated makes a file with thirty rules whose search index has another form.
func outdated(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tenet.db")
	s := openAt(t, path, Options{})
	put(t, s, general())
	var ops []knowledge.Op
	for i := range 30 {
		ops = append(ops, knowledge.Put(wordy(i, fmt.Sprintf("number%d", i)), knowledge.NoVersion))
	}
	apply(t, s, ops...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	outdate(t, path, 3)
	return path
}

// An index of form 5 has no names with a sign in them.
func TestAFileOfAnOlderProgramFindsNamesWithASign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenet.db")
	s := openAt(t, path, Options{})
	put(t, s, general(), wordy(1, "a list of n+1 queries"), wordy(2, "n queries, and 1 more"), wordy(3, "a role with s3:*"),
		wordy(4, "a bucket of s3"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	outdate(t, path, 5)
	s = openAt(t, path, Options{})
	for question, want := range map[string][]string{
		"n+1": {"rule-000001"}, `"n+1 queries"`: {"rule-000001"}, "s3:*": {"rule-000003"},
		"role OR bucket -s3:*": {"rule-000004"},
	} {
		if got := found(t, s, knowledge.SearchQuery{Text: question}); !slices.Equal(got, want) {
			t.Errorf("%s finds %v, want %v", question, got, want)
		}
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Errorf("the file of an older program: %v", err)
	}
}

// indexLater opens a file and waits for the halt.
func indexLater(t *testing.T, path string, h *halt, o Options) *Store {
	t.Helper()
	s := openAt(t, path, h.indexing(o))
	t.Cleanup(h.resume)
	<-h.reached
	return s
}

func TestEverythingButSearchWorksWhileTheIndexIsMade(t *testing.T) {
	h := haltAt(20)
	s := indexLater(t, outdated(t), h, Options{})
	_, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "number7"})
	u, ok := errors.AsType[*store.UnavailableError](err)
	if !ok || !errors.Is(u.Err, store.ErrIndexing) || u.RetryAfter <= 0 || u.Halt {
		t.Errorf("a search meanwhile: %v, want that it comes too early, and when to come back", err)
	}
	if done, all := s.Indexing(); done != 20 || all != 31 {
		t.Errorf("%d of %d documents are told, want 20 of 31", done, all)
	}
	_, err = s.Search(t.Context(), knowledge.SearchQuery{Text: `"`, Limit: -1})
	if _, invalid := errors.AsType[*knowledge.InvalidError](err); !invalid {
		t.Errorf("a wrong question meanwhile: %v", err)
	}
	if _, err := s.Get(t.Context(), wordy(25, "").Key()); err != nil {
		t.Errorf("a read meanwhile: %v", err)
	}
	if err := VerifyPlaces(t.Context(), s); err != nil {
		t.Errorf("what lists find meanwhile: %v", err)
	}
	retired := wordy(27, "number27")
	retired.SetActive(false)
	put(t, s, wordy(5, "changed5"), wordy(25, "changed25"), retired, wordy(31, "number31")) // some are in the index
	apply(t, s, knowledge.Op{Verb: knowledge.VerbPurge, Key: wordy(4, "").Key()},
		knowledge.Op{Verb: knowledge.VerbPurge, Key: wordy(24, "").Key()})
	h.resume()
	s.indexer.Wait()
	for word, want := range map[string][]string{
		"number7": {"rule-000007"}, "number26": {"rule-000026"}, "number31": {"rule-000031"},
		"changed5": {"rule-000005"}, "changed25": {"rule-000025"},
		"number4": {}, "number5": {}, "number24": {}, "number25": {}, "number27": {},
	} {
		if got := found(t, s, knowledge.SearchQuery{Text: word, Literal: true}); !slices.Equal(got, want) {
			t.Errorf("afterwards %s finds %v, want %v", word, got, want)
		}
	}
	if done, all := s.Indexing(); done != 0 || all != 0 {
		t.Errorf("afterwards %d of %d documents are told", done, all)
	}
	soundLists(t, s)
	if err := VerifyPlaces(t.Context(), s); err != nil {
		t.Error(err)
	}
}

// TestAnIndexIsMadeOnAfterAKill takes the files as they are in the middle, as a kill leaves them.
func TestAnIndexIsMadeOnAfterAKill(t *testing.T) {
	path, killed := outdated(t), filepath.Join(t.TempDir(), "tenet.db")
	h := haltAt(20)
	s := indexLater(t, path, h, Options{})
	put(t, s, wordy(31, "number31"))
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(killed+suffix, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h.resume()
	again := haltAt(-1)
	s = openAt(t, killed, again.indexing(Options{}))
	s.indexer.Wait()
	if again.first != 21 {
		t.Errorf("the next process begins with %d documents, want those 21 that are in the index", again.first)
	}
	if got := found(t, s, knowledge.SearchQuery{Text: "title", Limit: 50}); len(got) != 31 {
		t.Errorf("%d documents are found, want 31", len(got))
	}
	soundLists(t, s)
}

func TestAStoreIsClosedWhileItsIndexIsMade(t *testing.T) {
	path, h := outdated(t), haltAt(10)
	s := indexLater(t, path, h, Options{})
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.quit
	h.resume()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, Options{}) // as a command does, which waits
	soundLists(t, s)
	if got := found(t, s, knowledge.SearchQuery{Text: "title", Limit: 50}); len(got) != 30 {
		t.Errorf("%d documents are found, want 30", len(got))
	}
}

func TestARebuiltMirrorNeedsNoIndexToBeMade(t *testing.T) {
	primary, path := openTest(t, Options{}), filepath.Join(t.TempDir(), "mirror.db")
	docs := []knowledge.Document{general()}
	for i := range 30 {
		docs = append(docs, wordy(i, fmt.Sprintf("number%d", i)))
	}
	put(t, primary, docs...)
	rebuild := func(mirror *Store) {
		t.Helper()
		if err := mirror.Rebuild(t.Context(), func(to store.Sink) error {
			return primary.Snapshot(t.Context(), 20, to)
		}, nil); err != nil {
			t.Fatal(err)
		}
	}
	mirror := openAt(t, path, Options{Mirror: true})
	rebuild(mirror)
	if err := mirror.Close(); err != nil {
		t.Fatal(err)
	}
	outdate(t, resolve(path), 3)
	h := haltAt(10)
	mirror = indexLater(t, path, h, Options{Mirror: true})
	if _, err := mirror.Search(t.Context(), knowledge.SearchQuery{Text: "number7"}); !errors.Is(err,
		store.ErrUnavailable) {
		t.Errorf("a search before the rebuild: %v", err)
	}
	rebuild(mirror)
	check := func(when string) {
		t.Helper()
		if got := found(t, mirror, knowledge.SearchQuery{Text: "title", Limit: 50}); len(got) != 30 {
			t.Errorf("%s, %d documents are found, want 30", when, len(got))
		}
		soundLists(t, mirror)
	}
	check("with the new file")
	h.resume()
	mirror.indexer.Wait()
	check("after what made the old index has ended")
}

func TestANewFileIsSearchedAtOnce(t *testing.T) {
	s := openTest(t, Options{IndexLater: true})
	if got := found(t, s, knowledge.SearchQuery{Text: "anything"}); len(got) != 0 {
		t.Errorf("an empty file finds %v", got)
	}
}
