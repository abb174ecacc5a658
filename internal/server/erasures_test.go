package server_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/server"
	"tenet/internal/store/storetest"
)

// TestAPersonIsErasedOnEveryInstance erases a person at one of two tenets on a PostgreSQL, with a conflict of theirs in
// its journal, and looks for them in every byte of what each machine and the PostgreSQL keep.
func TestAPersonIsErasedOnEveryInstance(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, pgtest.Options{})
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "one"), DatabaseURL: pg.URL("postgres"), Outage: outage()}
	other := o
	other.DataDir = filepath.Join(t.TempDir(), "two")
	one, two := start(t, o), start(t, other)
	s, err := postgres.Open(t.Context(), postgres.Options{URL: o.DatabaseURL})
	if err != nil {
		t.Fatal(err)
	}
	storetest.FillWithPerson(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := one.browse(t)
	w.want(http.StatusCreated, http.MethodPut, disputedPath, named("Base"))
	level(t, one.admin(t))
	pg.Stop(pgtest.Immediate)
	degrade(t, w, disputedPath)
	const ask = `{"principal":"` + storetest.Erased + `"}`
	if s := w.want(http.StatusServiceUnavailable, http.MethodPost, "/api/v1/erasures", ask); !strings.Contains(s.body,
		"nothing was erased yet") {
		t.Errorf("in an outage it says %s", s.body)
	}
	queued := w.want(http.StatusAccepted, http.MethodPost, "/api/v1/batches",
		`{"actor":"`+storetest.Erased+`","ops":[{"verb":"patch","kind":"category","id":"disputed",`+
			`"patch":{"name":"Ours"}}]}`).header.Get("Tenet-Batch")
	one.end(t) // or it might be faster than who overtakes it
	pg.Start()
	past(t, o.DatabaseURL, patch("category/disputed", named("Theirs")))
	one = start(t, o)
	w = one.browse(t)
	state(t, w, queued, knowledge.BatchParked)
	level(t, one.admin(t))
	if list := storetest.NamedInFiles(t, o.DataDir); len(list) == 0 {
		t.Fatal("the person is in no file before the erasure: the test would prove nothing")
	}

	done := w.want(http.StatusOK, http.MethodPost, "/api/v1/erasures", ask)
	if !strings.Contains(done.body, `"key":"rule/R-2"`) || !strings.Contains(done.body, "VACUUM FULL") {
		t.Errorf("the erasure says %s", done.body)
	}
	level(t, two.admin(t))
	for _, x := range []*tenet{one, two} {
		pgtest.Await(t, "the erasure in the ledger of "+filepath.Base(x.dir), func() bool {
			l, err := server.Erased(x.dir)
			return err == nil && l == 1
		})
		if _, err := x.admin(t).Get(t.Context(), knowledge.Key{
			Kind: knowledge.KindPrincipal,
			ID:   storetest.Erased,
		}); err == nil {
			t.Error("the principal is still there")
		}
		x.end(t)
		if list := storetest.NamedInFiles(t, x.dir); len(list) > 0 {
			t.Errorf("the person is still in\n%s", strings.Join(list, "\n"))
		}
	}
	for _, sql := range []string{"ANALYZE", "VACUUM FULL", "CHECKPOINT"} {
		pgtest.Exec(t, o.DatabaseURL, sql)
	}
	pg.Stop(pgtest.Fast)
	if list := storetest.NamedInFiles(t, filepath.Join(pg.DataDir(), "base")); len(list) > 0 {
		t.Errorf("the person is still in PostgreSQL's files:\n%s", strings.Join(list, "\n"))
	}
}

// TestAnOldFaultByHandKeepsNobodyFromBeingErased erases a person from rows that were written by hand before PostgreSQL
// refused such faults of a hand.
func TestAnOldFaultByHandKeepsNobodyFromBeingErased(t *testing.T) {
	url := pgtest.URL(t)
	x := start(t, server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: url, Outage: outage()})
	w := x.browse(t)
	w.want(http.StatusCreated, http.MethodPost, "/api/v1/tokens",
		`{"principal_id":"quinn","name":"Quinn Q","role":"maintainer"}`)
	const granted = "jsonb_build_array(jsonb_build_object('rule', 'SEC-001', 'paths', '[]'::jsonb, 'reason', " +
		"E'be\\u200b\\u200bcause', 'until', '2027-01-01T00:00:00Z', 'by', 'quinn'))"
	const reviewed = `'[{"by":"quinn","at":"2026-01-01T00:00:00Z","verdict":"maybe","comment":""}]'`
	for _, sql := range []string{
		"ALTER TABLE repositories DISABLE TRIGGER tenet_valid", "ALTER TABLE proposals DISABLE TRIGGER tenet_valid",
		"INSERT INTO repositories (repository_id, name, owner, exemptions) VALUES ('by-hand', 'Hand', 'quinn', " +
			granted + ")",
		"INSERT INTO proposals (proposal_id, title, reviews) VALUES (gen_random_uuid(), 'Old', " + reviewed + ")",
		"ALTER TABLE repositories ENABLE ALWAYS TRIGGER tenet_valid",
		"ALTER TABLE proposals ENABLE ALWAYS TRIGGER tenet_valid",
	} {
		pgtest.Exec(t, url, sql)
	}
	const change = "UPDATE repositories SET exemptions = jsonb_set(exemptions, '{0,by}', '\"else\"')"
	if _, err := pgtest.Connect(t, url).Exec(t.Context(), change); err == nil {
		t.Error("a hand changes a field with a fault, and is not refused")
	}
	w.want(http.StatusOK, http.MethodPost, "/api/v1/erasures", `{"principal":"quinn"}`)
	if left := pgtest.Value(t, url, "SELECT (SELECT count(*) FROM repositories r WHERE r::text LIKE '%quinn%') + "+
		"(SELECT count(*) FROM proposals p WHERE p::text LIKE '%quinn%')"); left != "0" {
		t.Errorf("%s rows still name the person", left)
	}
}

// TestTheLedgerBesideTheBackupsErasesWhatARestoreBringsBack erases a person from a PostgreSQL, and starts a tenet with
// nothing but the backups' directory on another PostgreSQL that holds what an older backup would.
func TestTheLedgerBesideTheBackupsErasesWhatARestoreBringsBack(t *testing.T) {
	t.Parallel()
	filled := func() string {
		address := pgtest.URL(t)
		s, err := postgres.Open(t.Context(), postgres.Options{URL: address, Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		storetest.FillWithPerson(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "one"), DatabaseURL: filled(), Outage: outage()}
	o.Backups.Dir, o.Backups.Engine = t.TempDir(), "basebackup"
	one := start(t, o)
	one.browse(t).want(http.StatusOK, http.MethodPost, "/api/v1/erasures", `{"principal":"`+storetest.Erased+`"}`)
	pgtest.Await(t, "the erasure in the ledger beside the backups", func() bool {
		n, err := server.Erased(o.Backups.Dir)
		return err == nil && n == 1
	})
	one.end(t)

	o.DataDir, o.DatabaseURL = filepath.Join(t.TempDir(), "two"), filled()
	start(t, o)
	s, err := postgres.Open(t.Context(), postgres.Options{URL: o.DatabaseURL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pgtest.Await(t, "the person to be erased again",
		func() bool { return len(storetest.Named(storetest.Everything(t, s))) == 0 })
}
