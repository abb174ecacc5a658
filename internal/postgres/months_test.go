package postgres_test

import (
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
)

// aged returns a database whose audit has four months of long ago. Three entries stand in the first, two in the second,
// and one in this month; the second has one entry that stands before the last of the first.
func aged(t *testing.T) string {
	t.Helper()
	url := migrated(t)
	pgtest.Exec(t, url, `ALTER TABLE audit DETACH PARTITION audit_first;
ALTER TABLE audit ATTACH PARTITION audit_first FOR VALUES FROM (MINVALUE) TO ('2025-01-01Z');
CREATE TABLE audit_2025_01 PARTITION OF audit FOR VALUES FROM ('2025-01-01Z') TO ('2025-02-01Z');
CREATE TABLE audit_2025_02 PARTITION OF audit FOR VALUES FROM ('2025-02-01Z') TO ('2025-03-01Z');
CREATE TABLE audit_2025_03 PARTITION OF audit FOR VALUES FROM ('2025-03-01Z') TO ('2025-04-01Z')`)
	for _, at := range []string{"01-10", "01-20", "02-01", "01-31", "02-10"} {
		addEntry(t, url, "2025-"+at+"Z")
	}
	addEntry(t, url, "now")
	return url
}

// addEntry adds an entry in a month of the test's choice, as only the owner may.
func addEntry(t *testing.T, url, added string) {
	t.Helper()
	pgtest.Exec(t, url, `INSERT INTO audit (added_at, at, kind, actor, door, action, key, question, count, reason,
		request_id, peer)
SELECT $1::timestamptz, $1::timestamptz, 'read', 'ann', '', 'get', '', '', 1, '', '', ''`, added)
}

// monthsOf returns the parts of the audit, and the numbers of the entries in each.
func monthsOf(t *testing.T, url string) string {
	t.Helper()
	return pgtest.Value(t, url, `SELECT string_agg(line, ' ' ORDER BY line) FROM (
		SELECT format('%s:%s', tableoid::regclass, string_agg(seq::text, ',' ORDER BY seq)) AS line FROM audit
		GROUP BY tableoid) l`)
}

func TestRetentionDropsTheMonthsOfTheAuditThatAreOld(t *testing.T) {
	url := aged(t)
	s := openAt(t, url)
	const whole = "audit_2025_01:1,2,4 audit_2025_02:3,5 audit_rest:6"
	if got := monthsOf(t, url); got != whole {
		t.Fatalf("the months hold %s, want %s", got, whole)
	}
	for _, is := range []struct{ before, months string }{
		{"2025-01-30", whole}, // its month has not ended
		{"2025-02-20", "audit_2025_02:5 audit_rest:6,7"},
		{"2025-02-20", "audit_2025_02:5 audit_rest:6,7"},
		{"2025-06-01", "audit_rest:6,7,8"},
	} {
		before, err := time.Parse(time.DateOnly, is.before)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Retain(t.Context(), knowledge.At(before), 1<<62); err != nil {
			t.Fatal(err)
		}
		if got := monthsOf(t, url); got != is.months {
			t.Errorf("after what is of before %s went, the months hold %s, want %s", is.before, got, is.months)
		}
		if head, err := postgres.NewAuditBook(s).Verify(t.Context(), nil); err != nil {
			t.Errorf("the audit does not verify up to %v: %v", head, err)
		}
	}
	const tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'audit\\_2025\\_0_' AND relkind = 'r'"
	if got := pgtest.Value(t, url, tables); got != "0" {
		t.Errorf("%s months are still there as tables", got)
	}
}

func TestAWrongClockTakesNoNewEntryAlong(t *testing.T) {
	url := aged(t)
	addEntry(t, url, "2025-01-15Z") // the newest of all, in an old month
	s := openAt(t, url)
	before := knowledge.At(time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC))
	if _, err := s.Retain(t.Context(), before, 1<<62); err != nil {
		t.Fatal(err)
	}
	if got, want := monthsOf(t, url), "audit_2025_01:1,2,4,7 audit_2025_02:3,5 audit_rest:6"; got != want {
		t.Errorf("the months hold %s, want %s", got, want)
	}
}

func TestRetentionOfTheAuditWaitsForNobodyAndKeepsNobodyWaiting(t *testing.T) {
	url := aged(t)
	s := openAt(t, url)
	reader := pgtest.Connect(t, url)
	if _, err := reader.Exec(t.Context(), "BEGIN; SELECT count(*) FROM audit"); err != nil {
		t.Fatal(err)
	}
	before := knowledge.At(time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC))
	failed := make(chan error, 1)
	go func() { _, err := s.Retain(t.Context(), before, 1<<62); failed <- err }()
	pgtest.Await(t, "that retention waits for the reader", func() bool {
		return pgtest.Value(t, url, "SELECT count(*) FROM pg_locks WHERE NOT granted") != "0"
	})
	entry := store.AuditEntry{At: knowledge.At(time.Now()), Kind: store.AuditRead, Actor: "bob"}
	// the reader stays: only retention can give way
	if err := postgres.NewAuditBook(s).Add(t.Context(), entry); err != nil {
		t.Errorf("add an entry meanwhile: %v", err)
	}
	if err := <-failed; err == nil || monthsOf(t, url) != "audit_2025_01:1,2,4 audit_2025_02:3,5 audit_rest:6,7" {
		t.Errorf("beside an open transaction: %v, and the months hold %s", err, monthsOf(t, url))
	}
	if _, err := reader.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Retain(t.Context(), before, 1<<62); err != nil || monthsOf(t, url) != "audit_rest:6,7,8" {
		t.Errorf("after it: %v, and the months hold %s", err, monthsOf(t, url))
	}
}

func TestAMonthThatNobodyMadeLosesNoEntry(t *testing.T) {
	url := aged(t)
	s := openAt(t, url)
	next := time.Now().UTC().AddDate(0, 0, 1-time.Now().UTC().Day()).AddDate(0, 2, 0)
	gone := next.Format("audit_2006_01")
	pgtest.Exec(t, url, "DROP TABLE "+gone)
	addEntry(t, url, next.Format("2006-01-")+"15Z") // to the rest, as its month is missing
	made, err := s.MakeMonths(t.Context())
	if err != nil || made != 0 {
		t.Errorf("made %d months, %v; want none, as both months have entries in the rest", made, err)
	}
	pgtest.Exec(t, url, "DELETE FROM audit_rest WHERE added_at > now() + interval '1 day'")
	if made, err = s.MakeMonths(t.Context()); err != nil || made != 1 {
		t.Errorf("made %d months, %v; want the one that is missing", made, err)
	}
	if drift, err := postgres.Drift(t.Context(), s); err != nil || len(drift) > 0 {
		t.Errorf("the schema is said to differ: %q, %v", drift, err)
	}
	// Whoever switches triggers off for a session adds no entry past the chain, in no month.
	pgtest.Exec(t, url, `SET session_replication_role = replica; INSERT INTO `+gone+` (added_at, at, kind, actor, door,
		action, key, question, count,
reason, request_id, peer) SELECT '`+next.Format("2006-01-")+`15Z', now(), 'read', 'ann', '', 'get', '', '', 1, '', `+
		`'', ''`)
	if got := monthsOf(t, url); !strings.Contains(got, "audit_rest:6") || !strings.Contains(got, gone+":8") {
		t.Errorf("the months hold %s", got)
	}
}

func TestTheProgramsRoleMakesMonthsAndTouchesNoneOfThem(t *testing.T) {
	address, prefix := withRoles(t)
	s := openAt(t, address("app"))
	last := pgtest.Value(t, address("owner"), "SELECT max(part::text) FROM tenet_audit_parts() WHERE month")
	pgtest.Exec(t, address("owner"), "DROP TABLE "+last)
	for _, want := range []int{1, 0} {
		if made, err := s.MakeMonths(t.Context()); err != nil || made != want {
			t.Errorf("made %d months, %v; want %d", made, err, want)
		}
	}
	entry := store.AuditEntry{At: knowledge.At(time.Now()), Kind: store.AuditRead, Actor: "bob"}
	if err := postgres.NewAuditBook(s).Add(t.Context(), entry); err != nil {
		t.Errorf("add an entry: %v", err)
	}
	conn := pgtest.Connect(t, address("app"))
	insert := "(at, kind, actor, door, action, key, question, count, reason, request_id, peer, added_at) " +
		"SELECT at, kind, actor, door, action, key, question, count, reason, request_id, peer, '2025-01-01Z' FROM audit"
	for _, sql := range []string{
		"INSERT INTO audit " + insert, "INSERT INTO audit_first " + insert, "INSERT INTO " + last + " " + insert,
		"UPDATE " + last + " SET actor = 'x'", "DELETE FROM " + last, "TRUNCATE " + last, "DELETE FROM audit_rest",
		"DELETE FROM audit_first", "DROP TABLE " + last, "DROP TABLE audit_first",
		"ALTER TABLE audit DETACH PARTITION " + last, "ALTER TABLE audit DETACH PARTITION audit_first CONCURRENTLY",
		"CREATE TABLE x PARTITION OF audit FOR VALUES FROM ('2031-01-01') TO ('2031-02-01')",
		"CREATE INDEX ON " + last + " (actor)", "ALTER TABLE " + last + " DISABLE TRIGGER ALL",
		"SELECT tenet_keep_reading('audit')",
		"CREATE OR REPLACE FUNCTION tenet_make_months() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
		"ALTER FUNCTION tenet_make_months() SET search_path = x",
	} {
		if _, err := conn.Exec(t.Context(), sql); pgtest.Code(err) != "42501" {
			t.Errorf("%s: %v, want that it is not permitted", sql, err)
		}
	}
	for _, sql := range []string{"SELECT count(*) FROM " + last, "SELECT count(*) FROM audit"} {
		if _, err := pgtest.Connect(t, address("reader")).Exec(t.Context(), sql); err != nil {
			t.Errorf("%s as the reader: %v", sql, err)
		}
	}
	if _, err := pgtest.Connect(t, address("reader")).Exec(t.Context(),
		"SELECT tenet_make_months()"); pgtest.Code(err) !=
		"42501" {
		t.Errorf("months made by the reader: %v", err)
	}
	for _, role := range []string{"", prefix + "_app"} {
		faults, err := inspect(t, address("app")).RightsFaults(t.Context(), role)
		if err != nil || len(faults) > 0 {
			t.Errorf("its rights: %v, %v; want none too many or too few", faults, err)
		}
	}
}

func TestTheMonthsTakeOverTheRightsOfTheWhole(t *testing.T) {
	address, prefix := withRoles(t)
	owner, app := postgres.Address{URL: address("owner")}, prefix+"_app"
	if _, err := postgres.Migrate(t.Context(), owner, 16); err != nil {
		t.Fatal(err)
	}
	if got := rightsOn(t, address("owner"), app, "audit"); got != "INSERT,SELECT" {
		t.Errorf("the way down leaves the program's role %s on the audit", got)
	}
	if _, err := postgres.Migrate(t.Context(), owner, -1); err != nil {
		t.Fatal(err)
	}
	faults, err := inspect(t, address("app")).RightsFaults(t.Context(), "")
	if err != nil || len(faults) > 0 {
		t.Errorf("after the migration alone: %v, %v; want no right too many or too few", faults, err)
	}
}

// rightsOn returns the rights that a role was granted on a table.
func rightsOn(t *testing.T, url, role, table string) string {
	t.Helper()
	return pgtest.Value(t, url, `SELECT coalesce(string_agg(a.privilege_type, ',' ORDER BY a.privilege_type), '')
FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1::text::regclass AND a.grantee = $2::text::regrole`, table,
		role)
}
