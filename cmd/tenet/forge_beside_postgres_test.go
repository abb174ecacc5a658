package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
)

// removedFrom returns the address of a PostgreSQL with rules: r-0 to r-9, of which r-6 was retired and is archived,
// r-7 was purged, r-8 was retired and restored, and r-9 was changed by hand.
func removedFrom(t *testing.T) string {
	t.Helper()
	return pgtest.Template(t, "forge-beside", func(url string) error {
		l, err := server.OpenLocal(t.Context(), server.Options{DataDir: t.TempDir(), DatabaseURL: url, NoSeed: true})
		if err != nil {
			return err
		}
		defer l.Close()
		c := &knowledge.Category{ID: "c", Name: "Category"}
		c.Normalize()
		ops := []knowledge.Op{knowledge.Put(c, knowledge.NoVersion)}
		for i := range 10 {
			r := &knowledge.Rule{
				RuleID: fmt.Sprint("r-", i), Title: fmt.Sprint("Title ", i), Description: "Text about okapis",
				Category: "c", IsActive: true, Common: knowledge.Common{Tags: []string{"zoo"}},
			}
			r.Normalize()
			ops = append(ops, knowledge.Put(r, knowledge.NoVersion))
		}
		on := func(verb knowledge.Verb, id string) []knowledge.Op {
			return []knowledge.Op{{Verb: verb, Key: knowledge.Key{Kind: knowledge.KindRule, ID: id}}}
		}
		for _, ops := range [][]knowledge.Op{
			ops, on(knowledge.VerbRetire, "r-6"), on(knowledge.VerbArchive, "r-6"), on(knowledge.VerbPurge, "r-7"),
			on(knowledge.VerbRetire, "r-8"), on(knowledge.VerbRestore, "r-8"),
		} {
			b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "ann", Ops: ops}
			if _, err := l.Apply(t.Context(), b); err != nil {
				return err
			}
		}
		pgtest.Exec(t, url, "UPDATE rules SET description = 'By hand, about okapis' WHERE rule_id = 'r-9'")
		return nil
	})
}

// forgedBesidePostgres are forgeries of what stands beside the log of a PostgreSQL.
func forgedBesidePostgres() map[string]struct{ forge, says string } {
	return map[string]struct{ forge, says string }{
		"nothing": {"SELECT 1", ""},
		"a batch taken out": {
			"DELETE FROM batches WHERE id = (SELECT batch_id FROM changes WHERE seq = 3)",
			"its batch is missing in the ledger",
		},
		"a batch by another":         {"UPDATE batches SET actor = 'mallory'", "the ledger has its batch by another"},
		"a batch entered by another": {"UPDATE batches SET entered_by = 'mallory'", "the ledger has its batch by another"},
		"a batch that found what never was": {
			"INSERT INTO batches (id, fingerprint, actor, found) SELECT gen_random_uuid(), fingerprint, actor, '{999}' " +
				"FROM batches LIMIT 1",
			"has found change 999",
		},
		"a purge forgotten":    {"DELETE FROM purges WHERE id = 'r-7'", "it removed rule/r-7"},
		"an archive forgotten": {"DELETE FROM purges WHERE id = 'r-6'", "rule/r-6"},
		"a purge of another version": {
			"UPDATE purges SET version = 1 WHERE id = 'r-7'",
			"rule/r-7 counts as removed at version 1",
		},
		"a purge by another": {"UPDATE purges SET actor = 'mallory' WHERE id = 'r-7'", "rule/r-7 counts as removed"},
		"a purge at another time": {
			"UPDATE purges SET at = at - interval '1 day' WHERE id = 'r-7'",
			"rule/r-7 counts as removed",
		},
		"a purge that was none": {
			"INSERT INTO purges SELECT 'rule', 'r-5', 1, batch_id, actor, at FROM purges LIMIT 1",
			"rule/r-5 counts as removed",
		},
		"a purge of what never was": {
			"INSERT INTO purges SELECT 'rule', 'x', 7, batch_id, actor, at FROM purges LIMIT 1",
			"rule/x counts as removed",
		},
		"a purge yet to come": {
			"INSERT INTO purges SELECT 'rule', 'r-5', 7, batch_id, actor, at FROM purges LIMIT 1",
			"rule/r-5 counts as removed at version 7",
		},
		"a document hidden from searches": {
			"DELETE FROM search WHERE id = 'r-5'",
			"rule/r-5 is active, and no search finds it",
		},
		"a document that searches find": {
			"INSERT INTO search SELECT kind, 'r-7', category, rank, title, tags, vector FROM search LIMIT 1",
			"rule/r-7 is found by searches, and is not active",
		},
		"a title that searches show": {
			"UPDATE search SET title = 'Forged' WHERE id = 'r-5'",
			"searches do not find rule/r-5",
		},
		"a category of searches": {"UPDATE search SET category = '' WHERE id = 'r-5'", "searches do not find rule/r-5"},
		"a place in searches":    {"UPDATE search SET rank = 0 WHERE id = 'r-5'", "searches do not find rule/r-5"},
		"words of searches": {
			"UPDATE search SET vector = ts_delete(vector, 'okapi') WHERE id = 'r-5'",
			"searches do not find rule/r-5",
		},
		"all words of searches": {"UPDATE search SET vector = '' WHERE id = 'r-5'", "searches do not find rule/r-5"},
		"words of what was restored": {
			"UPDATE search SET vector = ts_delete(vector, 'okapi') WHERE id = 'r-8'",
			"searches do not find rule/r-8",
		},
		"words of what a hand has made": {
			"UPDATE search SET vector = ts_delete(vector, 'okapi') WHERE id = 'r-9'",
			"searches do not find rule/r-9",
		},
		"a tag taken out": {"DELETE FROM facets WHERE id = 'r-5'", "do not find rule/r-5"},
		"a tag put in": {
			"INSERT INTO facets SELECT kind, id, facet, 'farm', rank FROM facets WHERE id = 'r-5'",
			"do not find rule/r-5",
		},
		"a tag that is moved": {"UPDATE facets SET rank = 0 WHERE id = 'r-5'", "do not find rule/r-5"},
	}
}

// TestAForgeryBesideTheLogOfAPostgreSQLIsFound forges what the log is answered by, and what documents are found by.
func TestAForgeryBesideTheLogOfAPostgreSQLIsFound(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	for name, is := range forgedBesidePostgres() {
		t.Run(name, func(t *testing.T) {
			url := removedFrom(t)
			pgtest.Exec(t, url, is.forge)
			dir := filepath.Join(t.TempDir(), "data")
			code, said := command(t, dir, "doctor", "changes", "--database-url", url)
			if want := map[bool]int{true: exitOK, false: exitFailed}[is.says == ""]; code != want ||
				!strings.Contains(said, is.says) {
				t.Errorf("the code is %d, want %d and %q:\n%s", code, want, is.says, said)
			}
			mendsSearch(t, said, is.says, dir, "--database-url", url)
		})
	}
}

// TestALogThatWasTrimmedStillVerifies trims the log below a batch that changed nothing, and documents that are
// removed.
func TestALogThatWasTrimmedStillVerifies(t *testing.T) {
	url := removedFrom(t)
	pgtest.Exec(t, url, "INSERT INTO batches (id, fingerprint, actor, found) SELECT gen_random_uuid(), fingerprint, "+
		"actor, '{3}' FROM batches LIMIT 1")
	pgtest.Exec(t, url, "SELECT tenet_retain(now() + interval '1 hour', 1, 2000)")
	if left := pgtest.Value(t, url, "SELECT min(seq) FROM changes"); left == "1" {
		t.Fatal("nothing was trimmed")
	}
	pgtest.Exec(t, url, "INSERT INTO batches (id, fingerprint, actor, found) SELECT gen_random_uuid(), sha256('x'), "+
		"'ann', ARRAY[max(seq)] FROM changes")
	code, said := command(t, filepath.Join(t.TempDir(), "data"), "doctor", "changes", "--database-url", url)
	if code != exitOK {
		t.Errorf("of an honest log: %d\n%s", code, said)
	}
}
