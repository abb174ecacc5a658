package postgres_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// withRoles runs deploy/postgres/roles.sql in a fresh database, under names of the test's own, migrates as the owner
// and gives the rights. It returns the address for a role.
func withRoles(t *testing.T) (address func(role string) string, prefix string) {
	t.Helper()
	url := pgtest.URL(t)
	prefix = "t" + strings.ReplaceAll(knowledge.NewBatchID().String(), "-", "")[:12]
	script, err := os.ReadFile("../../deploy/postgres/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(script), "tenet_", prefix+"_")
	for range 2 { // again it changes nothing
		if _, err := pgtest.Connect(t, url).Exec(t.Context(), text, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("roles.sql: %v", err)
		}
	}
	roles := []string{"owner", "app", "reader", "backup", "replication"}
	t.Cleanup(func() {
		pgtest.Exec(t, url, "REASSIGN OWNED BY "+prefix+"_owner TO postgres")
		for _, r := range roles {
			pgtest.Exec(t, url, "DROP OWNED BY "+prefix+"_"+r)
			pgtest.Exec(t, url, "DROP ROLE "+prefix+"_"+r)
		}
	})
	address = func(role string) string { return strings.Replace(url, "postgres@", prefix+"_"+role+"@", 1) }
	if _, err := postgres.Migrate(t.Context(), postgres.Address{URL: address("owner")}, -1); err != nil {
		t.Fatalf("migrate as the owner: %v", err)
	}
	if _, err := postgres.Grant(t.Context(), postgres.Address{URL: address("owner")},
		postgres.Roles{App: prefix + "_app", Reader: prefix + "_reader"}, false); err != nil {
		t.Fatalf("grant: %v", err)
	}
	return address, prefix
}

// inspect opens an inspection for the test.
func inspect(t *testing.T, url string) *postgres.Inspection {
	t.Helper()
	i, err := postgres.Inspect(t.Context(), postgres.Address{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close(context.Background()) })
	return i
}

func TestTheProgramsRoleDoesItsWorkAndCanTouchNothingThatWasWritten(t *testing.T) {
	address, prefix := withRoles(t)
	s, err := postgres.Open(t.Context(), postgres.Options{URL: address("app")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	serve(t, s)
	gone := storetest.Category()
	apply(t, s, knowledge.Put(gone, knowledge.NoVersion))
	apply(t, s, knowledge.Op{Verb: knowledge.VerbRetire, Key: gone.Key()})
	apply(t, s, knowledge.Op{Verb: knowledge.VerbPurge, Key: gone.Key()})
	if l, err := s.Changes(t.Context(), knowledge.ChangeQuery{Key: gone.Key()}); err != nil || len(l) != 3 ||
		l[0].Record != nil {
		t.Errorf("a purge as the program's role left %d changes, %v, the first with its text: %t", len(l), err,
			len(l) > 0 && l[0].Record != nil)
	}
	now := knowledge.At(time.Now())
	entered := storetest.Batch(knowledge.Put(storetest.Category(), knowledge.NoVersion))
	entered.EnteredBy, entered.At = "clerk", knowledge.At(now.AddDate(0, 0, -1))
	if _, err := s.Apply(t.Context(), entered); err != nil {
		t.Errorf("a batch that is entered for another: %v", err)
	}
	if l, err := s.Changes(t.Context(), knowledge.ChangeQuery{Batch: entered.ID}); err != nil || len(l) != 1 ||
		l[0].EnteredBy != "clerk" {
		t.Errorf("who has entered it: %+v, %v", l, err)
	}
	if err := postgres.NewAuditBook(s).Add(t.Context(), store.AuditEntry{
		At: now, Actor: "a", Action: "put",
		Key: "rule/x", Reason: "why",
	}); err != nil {
		t.Error(err)
	}
	old := knowledge.At(now.AddDate(0, -2, 0))
	if _, err := s.Retain(t.Context(), old, 1); err != nil {
		t.Errorf("shorten the log by what is old: %v", err)
	}
	if _, err := s.Retain(t.Context(), now, 1); err == nil || !strings.Contains(err.Error(), "last 30 days") {
		t.Errorf("shorten the log by what is new: %v, want a refusal", err)
	}
	if err := s.VerifyChanges(t.Context(), func(knowledge.Seq, knowledge.Seq) {}); err != nil {
		t.Error(err)
	}
	storetest.RunBook(t, s.RunBook())

	conn := pgtest.Connect(t, address("app"))
	for _, sql := range []string{
		"INSERT INTO changes SELECT * FROM changes LIMIT 1", "UPDATE changes SET actor = 'x'", "DELETE FROM changes",
		"TRUNCATE changes",
		"UPDATE batches SET actor = 'x'", "DELETE FROM batches", "TRUNCATE batches",
		"UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit", "UPDATE audit_head SET seq = 0",
		"DELETE FROM audit_head",
		"INSERT INTO audit_erased (erasure, seq, hash) SELECT 'x', seq, hash FROM audit", "DELETE FROM audit_erased",
		"UPDATE purges SET actor = 'x'", "DELETE FROM purges",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)",
		"TRUNCATE rules CASCADE", "CREATE TABLE x ()", "CREATE TEMP TABLE x ()", "CREATE SCHEMA x",
		"CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"DROP TABLE rules", "ALTER TABLE rules DISABLE TRIGGER ALL", "ALTER TABLE rules ADD COLUMN x int",
		"CREATE INDEX ON rules (title)",
		"DROP TRIGGER tenet_log_made ON rules",
		"CREATE OR REPLACE FUNCTION tenet_log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
		"SET session_replication_role = replica", "SET ROLE " + prefix + "_owner", "ALTER ROLE " + prefix +
			"_app SUPERUSER", "CREATE ROLE x", "CREATE DATABASE x",
		"COPY rules TO PROGRAM 'true'",
	} {
		_, err := conn.Exec(t.Context(), sql)
		if got := pgtest.Code(err); got != "42501" {
			t.Errorf("%s: %v, want that it is not permitted", sql, err)
		}
	}
	if _, err := conn.Exec(t.Context(), "GRANT DELETE ON changes TO "+prefix+"_app"); err != nil {
		t.Errorf("the server only warns of a grant that gives nothing: %v", err)
	}
	if faults, err := inspect(t, address("app")).RightsFaults(t.Context(), ""); err != nil || len(faults) > 0 {
		t.Errorf("its rights: %v, %v; want none too many or too few", faults, err)
	}
}

func TestTheReadersRoleOnlyReads(t *testing.T) {
	address, _ := withRoles(t)
	conn := pgtest.Connect(t, address("reader")+"&default_transaction_read_only=off")
	for _, sql := range []string{
		"SELECT count(*) FROM rules", "SELECT count(*) FROM changes",
		"SELECT count(*) FROM audit",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for _, sql := range []string{
		"DELETE FROM rules", "INSERT INTO categories (category_id, name) VALUES ('x', 'x')",
		"CREATE TEMP TABLE x ()", "SELECT tenet_retain(now(), 1, 1)",
	} {
		if _, err := conn.Exec(t.Context(), sql); pgtest.Code(err) != "42501" {
			t.Errorf("%s: %v, want that it is not permitted", sql, err)
		}
	}
}

func TestEveryRightTooManyOrTooFewIsNamed(t *testing.T) {
	address, prefix := withRoles(t)
	app := prefix + "_app"
	for _, sql := range []string{
		"GRANT DELETE ON changes TO " + app, "GRANT UPDATE ON audit TO PUBLIC", "REVOKE INSERT ON rules FROM " + app,
		"GRANT TRUNCATE ON labels TO " + app,
		"GRANT CREATE ON SCHEMA public TO " + app, "REVOKE EXECUTE ON FUNCTION tenet_retain_audit FROM " + app,
		"CREATE TABLE later ()",
	} {
		pgtest.Exec(t, address("owner"), sql)
	}
	faults, err := inspect(t, address("owner")).RightsFaults(t.Context(), app)
	var got []string
	for _, f := range faults {
		got = append(got, f.String())
	}
	want := []string{
		"function tenet_retain_audit(timestamptz): lacks EXECUTE", "schema public: CREATE is too much",
		"table audit: UPDATE is too much",
		"table changes: DELETE is too much", "table labels: TRUNCATE is too much", "table rules: lacks INSERT",
	}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("found %q, %v; want %q", got, err, want)
	}
	if _, err := postgres.Grant(t.Context(), postgres.Address{URL: address("owner")},
		postgres.Roles{App: app, Reader: prefix + "_reader"}, false); err != nil {
		t.Fatal(err)
	}
	if faults, err := inspect(t, address("owner")).RightsFaults(t.Context(), app); err != nil || len(faults) > 0 {
		t.Errorf("after `tenet migrate grants` there are still %v, %v", faults, err)
	}
	if faults, err := inspect(t, address("owner")).RightsFaults(t.Context(), ""); err != nil || len(faults) == 0 ||
		!strings.Contains(faults[len(faults)-1].Right, "ownership") {
		t.Errorf("the owner at work: %v, %v; want that it owns the tables", faults, err)
	}
	if _, err := postgres.Grant(t.Context(), postgres.Address{URL: address("owner")},
		postgres.Roles{App: "nobody-here"}, true); err == nil || !strings.Contains(err.Error(), "nobody-here") {
		t.Errorf("grants for a role that there is none of: %v", err)
	}
	if _, err := postgres.Grant(t.Context(), postgres.Address{URL: address("app")}, postgres.Roles{App: app},
		true); err == nil || !strings.Contains(err.Error(), "does not own") {
		t.Errorf("grants by who owns nothing: %v", err)
	}
}
