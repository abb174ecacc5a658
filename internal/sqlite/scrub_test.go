package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store/storetest"
)

// holding returns the files of a directory in which a text stands.
func holding(t testing.TB, dir, text string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err == nil && bytes.Contains(bytes.ToLower(b), []byte(text)) {
			names = append(names, f.Name())
		}
	}
	return names
}

// filled writes documents around one with a word of its own, in two versions, so that the index has several pieces.
func filled(t testing.TB, s *Store) knowledge.Key {
	t.Helper()
	secret := storetest.Rule()
	secret.Title, secret.Description = "Zanzibarquokka", "The zanzibarquokka lives at qwophone street. "+
		string(bytes.Repeat([]byte("qwophone street. "), 800))
	docs := []knowledge.Document{general(), secret}
	for i := range waitingMax { // so many that they go into the lists at once
		r := storetest.Rule()
		r.RuleID, r.Description = fmt.Sprintf("AROUND-%d", i), fmt.Sprintf("Words of number %d: alpha beta gamma.", i)
		docs = append(docs, r)
	}
	put(t, s, docs...)
	secret.Tags = []string{"quokkatag"}
	put(t, s, secret)
	return secret.Key()
}

func TestAPurgedTextIsInNoFile(t *testing.T) {
	for _, word := range []string{"quokka", "qwophone"} {
		dir := t.TempDir()
		s := openAt(t, filepath.Join(dir, "tenet.db"), Options{})
		key := filled(t, s)
		if len(holding(t, dir, word)) == 0 {
			t.Fatalf("%q stands in no file before the purge: the test can't see it", word)
		}
		apply(t, s, knowledge.Op{Verb: knowledge.VerbPurge, Key: key})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if names := holding(t, dir, word); names != nil {
			t.Errorf("after the purge and a clean stop %q stands in %v", word, names)
		}
	}
}

// Whoever purges does not wait for the index, and needs no stop: the writer scrubs it behind the purge. Reading the
// file of an open database would drop its locks, so that a copy is looked at.
func TestAPurgedTextLeavesTheIndexWhileTenetRuns(t *testing.T) {
	s := openTest(t, Options{})
	key := filled(t, s)
	meant := func() []knowledge.Correction {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "zanzibarqokka"})
		if err != nil {
			t.Fatal(err)
		}
		return hits.Reading.SearchedFor
	}
	if len(meant()) != 1 {
		t.Fatalf("searched for %v before the purge, want the word that was meant", meant())
	}
	apply(t, s, knowledge.Op{Verb: knowledge.VerbPurge, Key: key})
	owed := func() (n int) {
		err := s.read(t.Context(), "test.owed", "SELECT count(*) FROM meta WHERE key = '"+scrubKey+"'", nil,
			scanInto(&n))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for end := time.Now().Add(20 * time.Second); owed() > 0; {
		if time.Now().After(end) {
			t.Fatal("the index is not scrubbed")
		}
		apply(t, s, knowledge.Put(general(), knowledge.AnyVersion)) // others write meanwhile
	}
	dir := t.TempDir()
	if err := s.Backup(t.Context(), filepath.Join(dir, "copy.db")); err != nil {
		t.Fatal(err)
	}
	if names := holding(t, dir, "quokka"); names != nil {
		t.Errorf("the words still stand in the index")
	}
	if c := meant(); len(c) > 0 {
		t.Errorf("searched for %v, which is purged", c)
	}
}

func TestAScrubThatAKillHasCutOffGoesOnAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tenet.db")
	s := openAt(t, path, Options{})
	key := filled(t, s)
	// As a kill right behind the commit of a purge leaves it: the row is gone, the index not yet merged.
	err := s.do(t.Context(), "test", func(ctx context.Context, t *tx) error {
		now, err := t.current(ctx, key)
		if err != nil {
			return err
		}
		err = t.remove(ctx, key, now, 3)
		t.job.purged = false
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(holding(t, dir, "quokka")) == 0 {
		t.Fatal("the index was scrubbed already: the test sees nothing")
	}
	s = openAt(t, path, Options{})
	var n int
	for end := time.Now().Add(20 * time.Second); ; {
		err := s.read(t.Context(), "test.owed", "SELECT count(*) FROM meta WHERE key = '"+scrubKey+"'", nil,
			scanInto(&n))
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the next start does not scrub the index")
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if names := holding(t, dir, "quokka"); names != nil {
		t.Errorf("after the next start the words still stand in %v", names)
	}
}

func scanInto(dest ...any) func(*sql.Rows) error {
	return func(rows *sql.Rows) error { return rows.Scan(dest...) }
}
