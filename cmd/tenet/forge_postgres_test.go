package main

import (
	"database/sql" //nolint:depguard // a forger writes past the engine
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
)

// filled returns the address of a PostgreSQL whose log has six categories, and a purge.
func filled(t *testing.T) string {
	t.Helper()
	return pgtest.Template(t, "forge", func(url string) error {
		l, err := server.OpenLocal(t.Context(), server.Options{
			DataDir: t.TempDir(), DatabaseURL: url, NoSeed: true,
		})
		if err != nil {
			return err
		}
		defer l.Close()
		return sixCategories(t.Context(), l, knowledge.Op{
			Verb: knowledge.VerbPurge,
			Key:  knowledge.Key{Kind: knowledge.KindCategory, ID: "c-1"},
		})
	})
}

// TestAForgerOfAPostgreSQLIsFoundByTheCommandLine writes into a PostgreSQL past tenet, as its superuser, and asks
// `tenet doctor changes`.
func TestAForgerOfAPostgreSQLIsFoundByTheCommandLine(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	for name, is := range map[string]struct{ forge, says string }{
		"nothing": {"SELECT 1", ""},
		"the text": {
			"UPDATE changes SET document = jsonb_set(document, '{name}', '\"Forged\"') WHERE seq = 3",
			"change 3",
		},
		"the actor":      {"UPDATE changes SET actor = 'mallory' WHERE seq = 3", "mallory"},
		"the time":       {"UPDATE changes SET at = at - interval '1 second' WHERE seq = 3", "change 3"},
		"who entered it": {"UPDATE changes SET entered_by = 'mallory' WHERE seq = 4", "change 4"},
		"when it was entered": {
			"UPDATE changes SET entered_at = entered_at - interval '1 day' WHERE seq = 4",
			"change 4",
		},
		"who purged": {
			"UPDATE changes SET actor = 'mallory' WHERE verb = 'purge'",
			"purge by somebody else",
		},
		"when it was purged": {
			"UPDATE changes SET at = at + interval '1 hour' WHERE verb = 'purge'",
			"purge by somebody else",
		},
		"a middle row taken out":  {"DELETE FROM changes WHERE seq = 3", "4 follows 2"},
		"the first row taken out": {"DELETE FROM changes WHERE seq = 1", "the ledger still holds 1 batch "},
		"the last rows taken out": {"DELETE FROM changes WHERE seq > 5", "cut off"},
		"a document past the log": {
			"ALTER TABLE categories DISABLE TRIGGER USER; UPDATE categories SET name = 'Forged' WHERE category_id = " +
				"'c-3'; ALTER TABLE categories ENABLE TRIGGER USER",
			"category/c-3 is not as its last change left it",
		},
		"a document put in past the log": {
			"ALTER TABLE categories DISABLE TRIGGER USER; INSERT INTO categories (category_id, name, version, " +
				"created_by, updated_by) " +
				"VALUES ('c-7', 'Forged', 1, 'ann', 'ann'); ALTER TABLE categories ENABLE TRIGGER USER",
			"category/c-7 was never written",
		},
		"a document put in behind a shortened log": {
			"DELETE FROM batches WHERE id = (SELECT batch_id FROM changes WHERE seq = 1); DELETE FROM changes WHERE " +
				"seq = 1; " +
				"ALTER TABLE categories DISABLE TRIGGER USER; INSERT INTO categories (category_id, name, version, " +
				"created_by, updated_by, updated_at) " +
				"VALUES ('c-7', 'Forged', 1, 'ann', 'ann', '2099-01-31T12:00:00Z'); ALTER TABLE categories ENABLE " +
				"TRIGGER USER",
			"category/c-7 was never written",
		},
		"a document taken out past the log": {
			"ALTER TABLE categories DISABLE TRIGGER USER; DELETE FROM categories WHERE category_id = 'c-3'; ALTER " +
				"TABLE categories ENABLE TRIGGER USER",
			"category/c-3 is missing",
		},
		"a guard switched off": {
			"ALTER TABLE rules DISABLE TRIGGER tenet_log_changed",
			"trigger tenet_log_changed of rules",
		},
		"a guard taken out": {"DROP TRIGGER tenet_truncate ON rules", "trigger tenet_truncate of rules"},
		"a guard made blind": {"CREATE OR REPLACE FUNCTION tenet_log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN " +
			"RETURN NULL; END'", "function tenet_log"},
	} {
		t.Run(name, func(t *testing.T) {
			url, dir := filled(t), filepath.Join(t.TempDir(), "data")
			args := []string{"doctor", "changes", "--database-url", url}
			_, said := command(t, dir, args...)
			_, head, _ := strings.Cut(said, "head ")
			head, _, _ = strings.Cut(head, ":")
			pgtest.Exec(t, url, is.forge)
			code, said := command(t, dir, append(args, "--head", head)...)
			if (code == exitOK) != (is.says == "") || !strings.Contains(said, is.says) {
				t.Errorf("the code is %d, want %q:\n%s", code, is.says, said)
			}
		})
	}
}

// TestAForgerIsFoundBesideARunningTenet forges a text while a server runs, which compares the documents itself.
func TestAForgerIsFoundBesideARunningTenet(t *testing.T) {
	url := pgtest.URL(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := serveProcess(t, dir, url)
	if said := p.command(t, "doctor", "changes"); !strings.Contains(said, "verified") ||
		strings.Contains(said, "not checked") {
		t.Fatalf("of an honest log:\n%s", said)
	}
	if status := p.command(t, "status", "--output", "json"); !strings.Contains(status, `"head": "`) {
		t.Errorf("the status shows no head:\n%s", status)
	}
	if said := p.command(t, "jobs", "run", "log.head"); !strings.Contains(said, "head ") {
		t.Errorf("the job that notes the head says %s", said)
	}
	pgtest.Exec(t, url, "UPDATE changes SET document = jsonb_set(document, '{description}', '\"Forged\"') WHERE "+
		"seq = 3")
	code, said := command(t, dir, "doctor", "changes")
	if code != exitFailed || !strings.Contains(said, "change 3") {
		t.Errorf("of a forged text beside a running tenet: %d\n%s", code, said)
	}
	pgtest.Exec(t, url, "ALTER TABLE rules DISABLE TRIGGER tenet_log_changed")
	if code, said = command(t, dir, "jobs", "run", "log.head"); code == exitOK ||
		!strings.Contains(said, "trigger tenet_log_changed of rules") {
		t.Errorf("with a guard switched off: %d\n%s", code, said)
	}
	if code, said = command(t, dir, "patch", "rule/SEC-001", "--set", "priority=7"); code == exitOK ||
		!strings.Contains(said, "trigger tenet_log_changed of rules") {
		t.Errorf("a write that would leave no trace: %d\n%s", code, said)
	}
	if code, said = command(t, dir, "doctor"); code == exitOK ||
		!strings.Contains(said, "trigger tenet_log_changed of rules") {
		t.Errorf("doctor with a guard switched off: %d\n%s", code, said)
	}
	pgtest.Exec(t, url, "ALTER TABLE rules ENABLE ALWAYS TRIGGER tenet_log_changed; DROP INDEX changes_by_batch")
	if code, said = command(t, dir, "doctor"); !strings.Contains(said,
		"there is no index changes_by_batch of changes") {
		t.Errorf("doctor with an index taken out: %d\n%s", code, said)
	}
	if code, said = command(t, dir, "patch", "rule/SEC-001", "--set", "priority=7"); code != exitOK {
		t.Errorf("a write when the guard is back: %d\n%s", code, said)
	}
	p.end(t)
	if code, said = command(t, dir, "doctor", "--database-url", url); !strings.Contains(said,
		"there is no index changes_by_batch of changes") {
		t.Errorf("doctor of the database with an index taken out: %d\n%s", code, said)
	}
}

// TestAForgedMirrorIsNamed writes into the mirror of an instance that is stopped, and asks it when it runs again.
func TestAForgedMirrorIsNamed(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	url := pgtest.URL(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := serveProcess(t, dir, url)
	if err := eventually(func() bool { // a mirror that is not complete is rebuilt by the next start
		code, said := command(t, dir, "doctor", "mirror")
		return code == exitOK && strings.Contains(said, "equal: yes")
	}); err != nil {
		t.Fatal(err)
	}
	p.end(t)
	for name, is := range map[string]struct{ forge, says string }{
		"nothing": {"SELECT 1", ""},
		"a last row": {
			"DELETE FROM changes WHERE seq = (SELECT max(seq) FROM changes)",
			"the log was changed after it was written",
		},
		"a row":    {"DELETE FROM changes WHERE seq = (SELECT max(seq) - 1 FROM changes)", "it is missing"},
		"an actor": {"UPDATE changes SET actor = 'mallory' WHERE seq = (SELECT max(seq) FROM changes)", "mallory"},
		"a search": {"DELETE FROM search WHERE id = 'SEC-001'", "rule/SEC-001 is active, and no search finds it"},
	} {
		t.Run(name, func(t *testing.T) {
			forged := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(forged, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", filepath.Join(forged, "mirror.db"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = db.Exec(is.forge); err == nil {
				err = db.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			p := serveProcess(t, forged, url)
			code, said := command(t, forged, "doctor", "changes")
			if want := map[bool]int{true: exitOK, false: exitFailed}[is.says == ""]; code != want ||
				!strings.Contains(said, is.says) || is.says != "" && !strings.Contains(said, "the mirror of this instance") {
				t.Errorf("%d, want %d and %q:\n%s", code, want, is.says, said)
			}
			p.end(t)
		})
	}
}

// TestWhoMayChangeTheLogIsNamed gives rights on the log away, and asks a start, a running tenet and a command for them.
func TestWhoMayChangeTheLogIsNamed(t *testing.T) {
	url := pgtest.URL(t)
	dir := filepath.Join(t.TempDir(), "data")
	code, said := command(t, dir, "doctor", "--database-url", url)
	if code != exitOK || !strings.Contains(said, "the role postgres is a superuser") || strings.Contains(said, "PUBLIC") {
		t.Errorf("of a superuser: %d\n%s", code, said)
	}
	pgtest.Exec(t, url, "GRANT SELECT, DELETE, TRUNCATE ON changes TO PUBLIC; GRANT UPDATE (reason) ON audit TO "+
		"pg_monitor; GRANT INSERT ON batches TO pg_monitor")
	const everybody = "everybody (PUBLIC) may DELETE changes, TRUNCATE changes"
	const column = "the role pg_monitor may UPDATE reason of audit"
	p := serveProcess(t, dir, url)
	for by, said := range map[string]string{"the start": p.log.text(), "doctor": p.command(t, "doctor")} {
		_, who, _ := strings.Cut(said, "what was logged can be changed")
		who, _, _ = strings.Cut(who, "\n")
		if !strings.Contains(who, everybody) || !strings.Contains(who, column) || strings.Contains(who, "INSERT") ||
			strings.Contains(who, "SELECT") {
			t.Errorf("%s says of rights on the log %s\n%s", by, who, said)
		}
	}
	p.end(t)
	if code, said = command(t, dir, "doctor", "--database-url", url); !strings.Contains(said, everybody+"; "+column) {
		t.Errorf("where no server runs: %d\n%s", code, said)
	}
}

// TestWhatAltersWritesStopsThem puts into the database what the migrations do not make, and what keeps writes or their
// changes from being made: a write that left no trace is no success, and later ones are refused with the name.
func TestWhatAltersWritesStopsThem(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	url := pgtest.URL(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := serveProcess(t, dir, url)
	const nothing = "CREATE FUNCTION other.tenet_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
	const again = "DROP TRIGGER tenet_log_changed ON rules; " +
		"CREATE CONSTRAINT TRIGGER tenet_log_changed AFTER UPDATE ON rules " +
		"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION tenet_log('rule', " +
		"'rule_id'); ALTER TABLE rules ENABLE ALWAYS TRIGGER tenet_log_changed"
	n := 0
	write := func() (int, string) {
		n++
		return command(t, dir, "patch", "rule/SEC-001", "--set", fmt.Sprint("priority=", n))
	}
	for name, is := range map[string]struct {
		do, undo string
		traced   bool // the first write leaves a trace: it is not known yet
		says     string
	}{
		"a rule on the log": {
			"CREATE RULE nolog AS ON INSERT TO changes DO INSTEAD NOTHING", "DROP RULE nolog ON changes", false,
			"rule nolog of changes",
		},
		"a trigger that swallows writes": {
			nothing + "CREATE TRIGGER aaa BEFORE UPDATE ON rules FOR EACH ROW EXECUTE FUNCTION other.tenet_log()",
			"DROP TRIGGER aaa ON rules", false, "trigger aaa of rules",
		},
		"a trigger that swallows changes": {
			nothing + "CREATE TRIGGER aaa BEFORE INSERT ON changes FOR EACH ROW EXECUTE FUNCTION other.tenet_log()",
			"DROP TRIGGER aaa ON changes", false, "trigger aaa of changes",
		},
		"the log's trigger with a function of the same name": {
			nothing + "DROP TRIGGER tenet_log_changed ON rules; CREATE CONSTRAINT TRIGGER tenet_log_changed AFTER UPDATE ON " +
				"rules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION other.tenet_log(); " +
				"ALTER TABLE rules ENABLE ALWAYS TRIGGER tenet_log_changed",
			again, false, "trigger tenet_log_changed of rules",
		},
		"the log's trigger for no write": {
			strings.ReplaceAll(again, "OLD.version <> NEW.version", "OLD.version = NEW.version"), again, false,
			"trigger tenet_log_changed of rules",
		},
		"row security": {
			"ALTER TABLE rules ENABLE ROW LEVEL SECURITY", "ALTER TABLE rules DISABLE ROW LEVEL SECURITY", true,
			"row security of rules",
		},
	} {
		t.Run(name, func(t *testing.T) {
			pgtest.Exec(t, url, "DROP SCHEMA IF EXISTS other CASCADE; CREATE SCHEMA other; "+is.do)
			defer func() {
				pgtest.Exec(t, url, is.undo)
				if said := p.command(t, "jobs", "run", "log.head"); !strings.Contains(said, "head ") {
					t.Errorf("when it is gone the log's job says %s", said)
				}
				if code, said := write(); code != exitOK {
					t.Errorf("a write when it is gone: %d\n%s", code, said)
				}
			}()
			if code, said := write(); (code == exitOK) != is.traced || !is.traced && !strings.Contains(said, is.says) {
				t.Errorf("the first write: %d\n%s", code, said)
			}
			if code, said := command(t, dir, "doctor"); code == exitOK || !strings.Contains(said, is.says) {
				t.Errorf("doctor: %d\n%s", code, said)
			}
			if code, said := write(); code == exitOK || !strings.Contains(said, is.says) {
				t.Errorf("a later write: %d\n%s", code, said)
			}
		})
	}
	p.end(t)
}

// TestNothingIsReplayedPastAGuard switches a guard off before an outage, and on again after it: what waited then is not
// brought to a database that would keep no trace of it, doctor says why, and it is brought later.
func TestNothingIsReplayedPastAGuard(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	pg := pgtest.Start(t, pgtest.Options{})
	dir := filepath.Join(t.TempDir(), "data")
	p := serveProcess(t, dir, pg.URL("postgres"))
	await := func(what string, is func() bool) {
		t.Helper()
		if err := eventually(is); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, p.command(t, "status"))
		}
	}
	says := func(text string, args ...string) func() bool {
		return func() bool {
			_, said := command(t, dir, args...)
			return strings.Contains(said, text)
		}
	}
	await("a copy that is ready", says("normal", "status"))
	pg.Exec("ALTER TABLE rules DISABLE TRIGGER tenet_log_changed")
	pg.Stop(pgtest.Fast)
	await("a write that waits", says("queued", "patch", "rule/SEC-001", "--set", "priority=7"))
	pg.Start()
	await("doctor with a guard switched off", says("trigger tenet_log_changed of rules", "doctor"))
	pg.Exec("ALTER TABLE rules ENABLE ALWAYS TRIGGER tenet_log_changed")
	await("an empty journal", func() bool { return !says("waits for PostgreSQL", "doctor")() })
	await("what waited in the log", says("priority", "history", "rule/SEC-001"))
	if code, said := command(t, dir, "doctor", "changes"); code != exitOK {
		t.Errorf("the log does not verify: %d\n%s", code, said)
	}
	p.end(t)
}
