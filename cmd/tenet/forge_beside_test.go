package main

import (
	"database/sql" //nolint:depguard // a forger writes past the engine
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

// listedDirectory returns a data directory with 300 rules, so many that searches read lists, and one that was purged.
func listedDirectory(t *testing.T) string {
	t.Helper()
	dir, l := emptyDirectory(t)
	defer l.Close()
	c := &knowledge.Category{ID: "c", Name: "Category"}
	c.Normalize()
	ops := []knowledge.Op{knowledge.Put(c, knowledge.NoVersion)}
	for i := range 300 {
		r := &knowledge.Rule{
			RuleID: fmt.Sprint("r-", i), Title: fmt.Sprint("Title ", i), Description: "Text about okapis",
			Category: "c", IsActive: true, Common: knowledge.Common{Tags: []string{"zoo"}},
		}
		r.Normalize()
		ops = append(ops, knowledge.Put(r, knowledge.NoVersion))
	}
	purge := knowledge.Op{Verb: knowledge.VerbPurge, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "r-7"}}
	for _, ops := range [][]knowledge.Op{ops, {purge}} {
		b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "ann", Ops: ops}
		if _, err := l.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// forgedBeside are forgeries of what stands beside the log: of what a batch sent again is answered by, of the versions
// of removed documents, and of what lists and searches find documents by.
func forgedBeside() map[string]struct{ forge, says string } {
	return map[string]struct{ forge, says string }{
		"nothing":                 {"SELECT 1", ""},
		"a batch taken out":       {"DELETE FROM batches", "its batch is missing in the ledger"},
		"a batch by another":      {"UPDATE batches SET actor = 'mallory'", "another actor or end"},
		"a batch that ends later": {"UPDATE batches SET seq = 302 WHERE seq = 301", "another end for its batch"},
		"a batch beyond the log": {
			"INSERT INTO batches SELECT zeroblob(16), fingerprint, actor, at, 999 FROM batches LIMIT 1",
			"up to change 999",
		},
		"a purge forgotten":          {"DELETE FROM purged", "it removed rule/r-7"},
		"a purge of another version": {"UPDATE purged SET version = 1", "rule/r-7 counts as removed at version 1"},
		"a purge that was none": {
			"INSERT INTO purged (kind, id, version) VALUES ('rule', 'r-8', 1)",
			"rule/r-8 counts as removed",
		},
		"a purge of what never was": {
			"INSERT INTO purged (kind, id, version) VALUES ('rule', 'x', 1)",
			"rule/x counts as removed",
		},
		"a text above a document": {
			"INSERT INTO overlays VALUES ('rule', 'r-8', 1, zeroblob(16), '{}')",
			"rule/r-8 is covered",
		},
		"a text below a document": {"INSERT INTO below VALUES ('rule', 'r-8', '{}')", "rule/r-8 is covered"},
		"a log that begins later": {"INSERT INTO meta VALUES ('log_start', 4)", "change 5: it is missing"},
		"a number taken out": {
			"DELETE FROM search WHERE id = 'r-8'",
			"rule/r-8 is active, and no search finds it",
		},
		"a number put in": {
			"INSERT INTO search (kind, id) VALUES ('rule', 'r-7')",
			"rule/r-7 is found by searches",
		},
		"a number moved": {
			"UPDATE search SET number = 5000 WHERE id = 'r-8'",
			"searches do not find rule/r-8",
		},
		"a document that counts gone": {
			"INSERT OR REPLACE INTO search_gone VALUES (0, 1, unhex(replace(hex(zeroblob(1024)), '0', 'F')))",
			"searches do not find",
		},
		"a list taken out": {"DELETE FROM search_words WHERE number = " + okapi, "searches do not find"},
		"a list cut off": {
			"UPDATE search_words SET documents = substr(documents, 1, length(documents) - 2) WHERE number = " + okapi,
			"searches do not find",
		},
		"a word renamed":   {"UPDATE search_terms SET term = 'lion' WHERE number = " + okapi, "searches do not find"},
		"a word taken out": {"DELETE FROM search_terms WHERE number = " + okapi, "to no word"},
		"lengths of texts": {"UPDATE search_chunks SET shapes = zeroblob(length(shapes))", "searches do not find"},
		"a tag taken out":  {"DELETE FROM facets WHERE id = 'r-8'", "do not find rule/r-8"},
		"a tag put in": {
			"INSERT INTO facets SELECT kind, facet, 'farm', active, rank, id, category FROM facets WHERE id = 'r-8'",
			"do not find rule/r-8",
		},
		"a tag that is moved": {"UPDATE facets SET rank = 0 WHERE id = 'r-8'", "do not find rule/r-8"},
	}
}

// okapi is the number of a word that every rule holds.
const okapi = "(SELECT number FROM search_terms WHERE term LIKE 'okapi%')"

// mendsSearch does what the verification has said where lists or searches do not find what is there, and verifies
// again.
func mendsSearch(t *testing.T, said, wrong, dir string, args ...string) {
	t.Helper()
	found := strings.Contains(wrong, "search") || strings.Contains(wrong, "do not find") || wrong == "to no word"
	if told := strings.Contains(said, "tenet doctor search"); told != found {
		t.Errorf("that the search index is to be rebuilt is said: %t\n%s", told, said)
	}
	if !found {
		return
	}
	if code, said := command(t, dir, append([]string{"doctor", "search"}, args...)...); code != exitOK ||
		!strings.Contains(said, "indexed") {
		t.Errorf("doctor search: %d\n%s", code, said)
	}
	if code, said := command(t, dir, append([]string{"doctor", "changes"}, args...)...); code != exitOK {
		t.Errorf("when the index is rebuilt: %d\n%s", code, said)
	}
}

func TestAForgeryBesideTheLogIsFound(t *testing.T) {
	dir := listedDirectory(t)
	for name, is := range forgedBeside() {
		t.Run(name, func(t *testing.T) {
			forged := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(forged, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", filepath.Join(forged, "tenet.db"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := db.Exec(is.forge)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := res.RowsAffected(); is.says != "" && (err != nil || n == 0) {
				t.Fatalf("%d rows are forged, %v", n, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			code, said := command(t, forged, "doctor", "changes")
			if want := map[bool]int{true: exitOK, false: exitFailed}[is.says == ""]; code != want ||
				!strings.Contains(said, is.says) {
				t.Errorf("the code is %d, want %d and %q:\n%s", code, want, is.says, said)
			}
			mendsSearch(t, said, is.says, forged)
		})
	}
}
