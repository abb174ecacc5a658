package main

import (
	"database/sql" //nolint:depguard // a forger writes past the engine
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/server"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// TestAForgedAuditIsFoundByTheCommandLine writes into a database with an audit past tenet, and asks what the handbook
// tells an auditor to.
func TestAForgedAuditIsFoundByTheCommandLine(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	forgeries := map[string]struct {
		sql, says string
		head      bool // only a head that was noted before shows it
	}{
		"nothing": {"SELECT 1", "", true},
		"an entry": {
			"UPDATE audit SET actor = 'ada' WHERE seq = 2", "entry 2: it is not as it was written",
			false,
		},
		"one taken out": {"DELETE FROM audit WHERE seq = 2", "entry 2: it is missing", false},
		"the last ones": {"DELETE FROM audit WHERE seq > 1", "entry 2: it is missing: 3 is the last", false},
		"the end, neatly": {"DELETE FROM audit WHERE seq > 1; UPDATE audit_head SET seq = 1, chain = (SELECT chain " +
			"FROM audit)", "the audit does not hold entry 3", true},
	}
	for engine, open := range map[string]func(t *testing.T) (args []string, forge func(string)){
		"embedded": func(t *testing.T) ([]string, func(string)) {
			dir := filepath.Join(t.TempDir(), "data")
			return []string{"--data-dir", dir}, func(forged string) {
				db, err := sql.Open("sqlite", filepath.Join(dir, "tenet.db"))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.Exec(forged); err != nil {
					t.Fatal(err)
				}
			}
		},
		"PostgreSQL": func(t *testing.T) ([]string, func(string)) {
			url := pgtest.URL(t)
			return []string{"--data-dir", filepath.Join(t.TempDir(), "data"), "--database-url", url},
				func(forged string) { pgtest.Exec(t, url, forged) }
		},
	} {
		for name, is := range forgeries {
			t.Run(engine+": "+name, func(t *testing.T) {
				place, forge := open(t)
				o := server.Options{DataDir: place[1], NoSeed: true}
				if len(place) > 2 {
					o.DatabaseURL = place[3]
				}
				fillAudit(t, o)
				run := func(args ...string) (int, string) { return command(t, place[1], append(args, place[2:]...)...) }
				code, said := run("doctor", "audit")
				_, head, _ := strings.Cut(said, "head ")
				head, _, _ = strings.Cut(head, ":")
				if code != exitOK || !strings.HasPrefix(head, "3-") {
					t.Fatalf("before the forgery: %d\n%s", code, said)
				}
				forge(is.sql)
				args := []string{"doctor", "audit"}
				if is.head {
					args = append(args, "--head", head)
				}
				code, said = run(args...)
				if (code == exitOK) != (is.says == "") || !strings.Contains(said, is.says) {
					t.Errorf("the code is %d, want %q:\n%s", code, is.says, said)
				}
				_, said = run("doctor")
				if found := strings.Contains(said, "the audit was changed"); found != (is.says != "" && !is.head) {
					t.Errorf("tenet doctor:\n%s", said)
				}
			})
		}
	}
}

// fillAudit gives a new database an audit of three refusals.
func fillAudit(t *testing.T, o server.Options) {
	t.Helper()
	l, err := server.OpenLocal(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var book store.AuditBook
	if o.DatabaseURL != "" {
		e, err := postgres.Open(t.Context(), postgres.Options{URL: o.DatabaseURL})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		book = postgres.NewAuditBook(e)
	} else {
		e, err := sqlite.Open(t.Context(), server.DatabasePath(o), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		book = sqlite.NewAuditBook(e)
	}
	for _, actor := range []string{"mallory", "eve", "ann"} {
		if err := book.Add(t.Context(), store.AuditEntry{
			At: knowledge.At(time.Now()), Kind: store.AuditRefused,
			Actor: actor, Action: "put",
		}); err != nil {
			t.Fatal(err)
		}
	}
}
