package main

import (
	"os"
	"path/filepath"
	"testing"

	"tenet/internal/erasure"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/server"
	"tenet/internal/store/storetest"
)

// TestAKilledErasureLeavesNothingHalfDone kills a server while the PostgreSQL erases a person, and once more when the
// person is erased and the ledger does not say so yet. What was begun is undone, the same command finishes it, and the
// next start writes the ledger.
func TestAKilledErasureLeavesNothingHalfDone(t *testing.T) {
	address, dir := pgtest.URL(t), filepath.Join(t.TempDir(), "data")
	s, err := postgres.Open(t.Context(), postgres.Options{URL: address, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.FillWithPerson(t, s)
	p := serveProcess(t, dir, address)
	c := p.client(t)
	before := len(storetest.Named(storetest.Everything(t, s)))

	// A writer at work holds the erasure up.
	tx, err := pgtest.Connect(t, address).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE changes IN ROW EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	erasing := func(state string) bool {
		return pgtest.Value(t, address, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = "+
			"current_database() AND state <> 'idle'"+
			" AND query LIKE '%tenet_erase(%' AND pid <> pg_backend_pid()"+state) == "t"
	}
	asked := make(chan error, 1)
	go func() {
		_, err := c.Erase(t.Context(), storetest.Erased, false)
		asked <- err
	}()
	pgtest.Await(t, "the erasure to wait for the writer",
		func() bool { return erasing(" AND wait_event_type = 'Lock'") })
	p.kill(t)
	if err := <-asked; err == nil {
		t.Fatal("the erasure was acknowledged before it was done")
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "the PostgreSQL to give the erasure up", func() bool { return !erasing("") })
	if now := len(storetest.Named(storetest.Everything(t, s))); now != before {
		t.Errorf("the person stands in %d places after the kill, and stood in %d before: half of it was done", now,
			before)
	}

	p = serveProcess(t, dir, address)
	if _, err := p.client(t).Erase(t.Context(), storetest.Erased, false); err != nil {
		t.Fatal(err)
	}
	p.kill(t)
	if err := os.Remove(filepath.Join(dir, erasure.File)); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	p = serveProcess(t, dir, address)
	pgtest.Await(t, "the ledger to be written", func() bool {
		n, err := server.Erased(dir)
		return err == nil && n == 1
	})
	if lines := storetest.Named(storetest.Everything(t, s)); len(lines) > 0 {
		t.Errorf("the person is still named in %d places", len(lines))
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Error(err)
	}
	p.end(t)
}
