package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store/storetest"
)

// byHand runs a statement as a person at a prompt and returns the server's code, "" when it took it.
func byHand(t *testing.T, url, sql string) string {
	t.Helper()
	_, err := pgtest.Connect(t, url).Exec(t.Context(), sql)
	var pg *pgconn.PgError
	if err != nil && !errors.As(err, &pg) {
		t.Fatalf("%s: %v", sql, err)
	}
	if pg == nil {
		return ""
	}
	return pg.Code
}

func TestHandEditsAreInTheLog(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	for _, sql := range []string{
		"INSERT INTO rules (rule_id, category, title, description, created_by, version) VALUES ('hand', 'general', " +
			"'Made by hand', 'd', 'mallory', 77)",
		"UPDATE rules SET title = 'Changed by hand', updated_by = 'mallory', created_by = 'mallory', version = 9 " +
			"WHERE rule_id = 'hand'",
		"UPDATE rules SET active = false WHERE rule_id = 'hand'",
		"UPDATE rules SET active = true, extra = '{\"x\": 1.0}', scope = '{\"languages\": [\"go\"]}' WHERE rule_id " +
			"= 'hand'",
	} {
		if code := byHand(t, url, sql); code != "" {
			t.Fatalf("%s: refused with %s", sql, code)
		}
	}
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "hand"}
	list, err := s.Changes(t.Context(), knowledge.ChangeQuery{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for i, c := range list {
		verbs = append(verbs, string(c.Verb))
		if c.Actor != "postgres" || c.Batch != (knowledge.BatchID{}) || c.Version != int64(i)+1 ||
			!c.At.Equal(c.Record.Updated.Time) {
			t.Errorf("change %d: %+v, want version %d of the database user without a batch", i, c, i+1)
		}
	}
	if got := strings.Join(verbs, " "); got != "put put retire restore" {
		t.Errorf("verbs %q", got)
	}
	rec, err := s.Get(t.Context(), key)
	if err != nil || string(rec.JSON) != string(list[len(list)-1].Record.JSON) {
		t.Errorf("the row and the log differ (%v):\n%s\n%s", err, rec.JSON, list[len(list)-1].Record.JSON)
	}
	// A batch after a hand edit is the batch's again, and another hand edit the hand's.
	apply(t, s, knowledge.Op{Verb: knowledge.VerbPatch, Key: key, Patch: []byte(`{"priority":5}`), IfVersion: 4})
	byHand(t, url, "UPDATE rules SET priority = 6 WHERE rule_id = 'hand'")
	list, err = s.Changes(t.Context(), knowledge.ChangeQuery{Key: key, Newest: true, Limit: 2})
	if err != nil || list[0].Actor != "postgres" || list[1].Actor != storetest.Tester {
		t.Errorf("the last two changes: %+v, %v", list, err)
	}
	found, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "changed by hand", Language: "go"})
	if err != nil || len(found.Hits) != 1 {
		t.Errorf("search does not follow hand edits: %+v, %v", found, err)
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestWhatAHandMayNotDoIsRefused(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	r := storetest.Rule(func(r *knowledge.Rule) { r.RuleID = "kept" })
	apply(t, s, knowledge.Put(r, knowledge.NoVersion), knowledge.Put(storetest.Template(), knowledge.NoVersion))
	before, err := s.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]string{
		"DELETE FROM rules":                                                        "TN007",
		"TRUNCATE rules CASCADE":                                                   "TN007",
		"DELETE FROM categories":                                                   "TN007",
		"TRUNCATE violations":                                                      "TN007",
		"UPDATE rules SET rule_id = 'other'":                                       "TN007",
		"UPDATE templates SET usage_count = 5, name = 'x'":                         "TN007",
		"SET session_replication_role = replica; DELETE FROM rules":                "TN007",
		"SELECT tenet_purge('category', 'general')":                                "TN004",
		"SELECT tenet_purge('rule', 'nobody')":                                     "TN002",
		"UPDATE rules SET examples = '[\"x\"]'":                                    "23514",
		"UPDATE rules SET anti_patterns = '[{\"code\": [\"x\"]}]'":                 "23514",
		"UPDATE rules SET tags = '[1]'":                                            "23514",
		"UPDATE rules SET tags = '{}'":                                             "23514",
		"UPDATE rules SET scope = '{\"globs\": 5}'":                                "23514",
		"UPDATE rules SET extra = '[]'":                                            "23514",
		"UPDATE rules SET severity = 'LOUD'":                                       "23514",
		"UPDATE rules SET category = 'nowhere'":                                    "23503",
		"UPDATE templates SET variables = '[{\"name\": \"a\", \"options\": [1]}]'": "23514",
		"INSERT INTO categories (category_id, name) VALUES ('a/b', 'x')":           "23514",
		"INSERT INTO principals (principal_id, name, token_hash, expiry) VALUES ('p', 'p', repeat('0', 64), " +
			"'infinity')": "23514",
	} {
		if got := byHand(t, url, sql); got != want {
			t.Errorf("%s: code %q, want %s", sql, got, want)
		}
	}
	after, err := s.Position(t.Context())
	if err != nil || after != before {
		t.Errorf("the log has moved from %+v to %+v, %v", before, after, err)
	}
}

func TestAPurgeByHandLeavesNoTextBehind(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	apply(t, s, knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "gone" }), knowledge.NoVersion))
	conn := pgtest.Connect(t, url)
	for _, sql := range []string{
		"BEGIN", "UPDATE categories SET description = 'a name'",
		"SELECT tenet_purge('category', 'gone')", "COMMIT",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	list, err := s.Changes(t.Context(), knowledge.ChangeQuery{Key: knowledge.Key{
		Kind: knowledge.KindCategory,
		ID:   "gone",
	}})
	if err != nil || len(list) != 3 || list[2].Verb != knowledge.VerbPurge {
		t.Fatalf("changes: %+v, %v", list, err)
	}
	for _, c := range list {
		if c.Record != nil {
			t.Errorf("version %d still holds %s", c.Version, c.Record.JSON)
		}
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestALongTransactionByHandIsReadWhole(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	const n = 2500
	byHand(t, url, "INSERT INTO categories (category_id, name) SELECT 'c' || i, 'x' FROM generate_series(1, 2500) i")
	byHand(t, url, "INSERT INTO categories (category_id, name) VALUES ('last', 'x')")
	list, err := s.Changes(t.Context(), knowledge.ChangeQuery{Limit: 1})
	if err != nil || len(list) != n || list[n-1].More || !list[n-2].More {
		t.Errorf("%d changes, %v; want the whole transaction of %d", len(list), err, n)
	}
}

func TestUsesAreCountedWithoutAVersion(t *testing.T) {
	s := open(t)
	general(t, s)
	tpl := storetest.Template()
	apply(t, s, knowledge.Put(tpl, knowledge.NoVersion))
	for range 2 {
		if err := s.AddUses(t.Context(), map[string]int64{tpl.TemplateID: 3, "gone": 1}); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, s, knowledge.Put(tpl, 1)) // writing the document leaves the count alone
	uses, err := s.Uses(t.Context(), []string{tpl.TemplateID, "gone"})
	if err != nil || len(uses) != 1 || uses[tpl.TemplateID] != 6 {
		t.Errorf("uses %v, %v; want 6", uses, err)
	}
	if list, err := s.Changes(t.Context(), knowledge.ChangeQuery{Key: tpl.Key()}); err != nil || len(list) != 2 {
		t.Errorf("%d changes, %v; want the two writes", len(list), err)
	}
}

func TestTamperingIsNamed(t *testing.T) {
	for what, c := range map[string]struct {
		sql  string
		seq  knowledge.Seq
		part string
	}{
		"a document changed": {
			"UPDATE changes SET document = document || '{\"title\": \"Forged\"}' WHERE seq = 3", 3,
			"another one",
		},
		"a document emptied": {"UPDATE changes SET document = NULL WHERE seq = 4", 4, "never purged"},
		"a change removed":   {"DELETE FROM changes WHERE seq = 3", 3, "missing"},
		"a verb changed":     {"UPDATE changes SET verb = 'retire' WHERE seq = 2", 2, "does not follow"},
		"a hash made to fit": {
			"UPDATE changes SET document = '{}', document_hash = sha256('{}') WHERE seq = 5",
			5, "does not follow",
		},
		"a chain made anew":       {"UPDATE changes SET chain = sha256('x') WHERE seq = 2", 2, "does not follow"},
		"a version of the future": {"UPDATE changes SET version = 40 WHERE seq = 6", 6, "does not follow"},
	} {
		url := migrated(t)
		s := openAt(t, url)
		general(t, s)
		for range 5 {
			apply(t, s, knowledge.Put(storetest.Rule(), knowledge.NoVersion))
		}
		if err := s.VerifyChanges(t.Context(), nil); err != nil {
			t.Errorf("before: %v", err)
		}
		pgtest.Exec(t, url, c.sql)
		err := s.VerifyChanges(t.Context(), nil)
		var tampered *postgres.TamperError
		if !errors.As(err, &tampered) || tampered.Seq != c.seq || !strings.Contains(tampered.Why, c.part) {
			t.Errorf("%s: %v, want change %d and %q", what, err, c.seq, c.part)
		}
	}
}
