package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/sqlite"
	"tenet/internal/store/storetest"
)

// people are the texts that no scrubbed copy may hold.
func people() []string {
	return []string{
		storetest.Erased, storetest.ErasedName, "I. Vogel", storetest.Bystander, "someone", "clerk",
		"vogel@acme.example",
		strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64), "tenet_c",
	}
}

// held returns the people whom the files below a directory name.
func held(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, name := range people() {
			if at := bytes.Index(bytes.ToLower(data), []byte(strings.ToLower(name))); at >= 0 {
				list = append(list, path+" holds "+name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestAScrubbedCopyNamesNobody copies a database in which people stand everywhere, and looks for all of them in every
// byte of the copy.
func TestAScrubbedCopyNamesNobody(t *testing.T) {
	work := t.TempDir()
	dir, key := filepath.Join(work, "data"), filepath.Join(work, "scrub.key")
	withPerson(t, dir)
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rule := storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Description = "ines.vogel-1", "INES VOGEL (vogel@acme.example) knows; unvogel stays."
		r.Extra = map[string]any{"ines.vogel": "someone"}
	})
	if _, err := s.Apply(t.Context(), storetest.Batch(knowledge.Put(rule, knowledge.NoVersion))); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	if len(held(t, dir)) < len(people()) {
		t.Fatalf("the original holds only %q: the test would prove nothing", held(t, dir))
	}
	do := func(in string, want int, args ...string) string {
		t.Helper()
		code, said := command(t, in, args...)
		if code != want {
			t.Fatalf("tenet %s ends with %d, want %d:\n%s", strings.Join(args, " "), code, want, said)
		}
		return said
	}
	copied, again := filepath.Join(work, "copy"), filepath.Join(work, "again")
	if said := do(dir, exitOK, "scrub", "--to", copied, "--key-file", key); !strings.Contains(said, "changes copied") {
		t.Errorf("scrub says\n%s", said)
	}
	if list := held(t, copied); len(list) > 0 {
		t.Errorf("the copy names people:\n%s", strings.Join(list, "\n"))
	}
	do(copied, exitOK, "doctor", "changes")
	if said := do(copied, exitOK, "search", "unvogel"); !strings.Contains(said, "person-") {
		t.Errorf("the rule of the copy is not found by its other words:\n%s", said)
	}
	if said := do(copied, exitOK, "archive", "list"); !strings.Contains(said, "rule/R-4") {
		t.Errorf("what was archived is not in the copy's archive:\n%s", said)
	}
	if said := do(copied, exitOK, "history", "rule/R-1"); !strings.Contains(said, "2 ") {
		t.Errorf("the history was not copied:\n%s", said)
	}
	do(dir, exitOK, "scrub", "--to", again, "--key-file", key)
	if one, two := do(copied, exitOK, "token", "list"), do(again, exitOK, "token", "list"); one != two {
		t.Errorf("the same key gave other pseudonyms:\n%s\n%s", one, two)
	}
	for _, to := range []string{copied, dir} {
		if said := do(dir, exitUnavailable, "scrub", "--to", to); !strings.Contains(said, "never over another") {
			t.Errorf("over %s it says\n%s", to, said)
		}
	}

	address := pgtest.URL(t)
	do(dir, exitOK, "scrub", "--to", address)
	if said := do(dir, exitUnavailable, "scrub", "--to", address); !strings.Contains(said, "never over another") {
		t.Errorf("over a PostgreSQL that holds documents it says\n%s", said)
	}
	export := filepath.Join(work, "export")
	if err := os.Mkdir(export, 0o700); err != nil {
		t.Fatal(err)
	}
	do(dir, exitOK, "export", filepath.Join(export, "all.jsonl"), "--database-url", address)
	if list := held(t, export); len(list) > 0 {
		t.Errorf("the PostgreSQL names people:\n%s", strings.Join(list, "\n"))
	}
}

// TestAScrubSaysWhyItLeftAChangeOut copies a log with a version whose text was purged and one that the copy refuses:
// the report counts them apart, and names the second with the reason of the copy.
func TestAScrubSaysWhyItLeftAChangeOut(t *testing.T) {
	work := t.TempDir()
	dir := filepath.Join(work, "data")
	withPerson(t, dir)
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	category := storetest.Category(func(c *knowledge.Category) { c.ID = "short-lived" })
	rule := storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category = "R-moved", "short-lived" })
	moved := storetest.Rule(func(r *knowledge.Rule) { r.RuleID = "R-moved" })
	gone := storetest.Rule(func(r *knowledge.Rule) { r.RuleID = "R-gone" })
	for _, op := range []knowledge.Op{
		knowledge.Put(category, knowledge.NoVersion), knowledge.Put(rule, knowledge.NoVersion), knowledge.Put(moved, 1),
		{Verb: knowledge.VerbPurge, Key: category.Key()},
		knowledge.Put(gone, knowledge.NoVersion),
		{Verb: knowledge.VerbPurge, Key: gone.Key()},
	} {
		if _, err := s.Apply(t.Context(), storetest.Batch(op)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	code, said := command(t, dir, "scrub", "--to", filepath.Join(work, "copy"))
	if code != exitOK {
		t.Fatalf("scrub ends with %d:\n%s", code, said)
	}
	for _, want := range []string{
		"6 changes not copied, since a purge has taken the text out of the log", "1 change refused by the copy:",
		"rule/R-moved version 1: ", "short-lived",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("scrub says\n%s\nwant %q in it", said, want)
		}
	}
	if strings.Contains(said, "R-gone") {
		t.Errorf("scrub names a document whose text was purged as refused:\n%s", said)
	}
}
