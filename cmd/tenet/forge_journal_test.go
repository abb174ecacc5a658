package main

import (
	"database/sql" //nolint:depguard // a forger writes past the engine
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tenet/internal/pgtest"
)

// forgedJournal are forgeries of batches that wait in the journal, by the rule that each is about.
func forgedJournal() map[string]string {
	return map[string]string{
		"GO-002":  "ops = replace(ops, '777', '778')",
		"GO-003":  "actor = 'mallory'",
		"SEC-001": "caller = 'mallory'",
		"SEC-002": "id = randomblob(16)",
		"SEC-003": "bases = replace(bases, '1', '2')",
		"SEC-004": "taken_at = taken_at - 86400000000",
		"SEC-005": "batch_at = taken_at - 86400000000",
		"GO-004":  "seq = seq + 100",
		// without the sum, as if a program of before had written it
		"SEC-006": "caller = 'mallory', sum = NULL",
		"SEC-007": "actor = 'mallory', caller = 'mallory', sum = NULL",
		"SEC-008": "bases = replace(bases, '1', '2'), sum = NULL",
		"GO-005":  "batch_at = taken_at - 86400000000, sum = NULL",
		"GO-006":  "message = 'forged', sum = NULL",
		"GO-007":  "origin = fingerprint, ops = replace(ops, '777', '778'), sum = NULL",
	}
}

// settledByHand are batches that wait, and are marked as if they no longer did: these are honest, and are not lost.
func settledByHand() map[string]string {
	return map[string]string{
		"GO-008":  "state = 'applied'",
		"SQL-001": "state = 'resolved'",
		"SQL-002": "state = 'applied', settled_at = taken_at, primary_seq = 3, versions = '[]'",
		"SQL-003": "state = 'applied', settled_at = 1, primary_seq = 3, versions = '[]', outcome_sum = sum",
		"SQL-004": "state = 'resolved', settled_at = taken_at",
		"SQL-005": "state = 'parked', why = 'a conflict'",
	}
}

// TestAForgedJournalIsNotReplayed writes into the journal while PostgreSQL is down, and starts it.
func TestAForgedJournalIsNotReplayed(t *testing.T) {
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
	pg.Stop(pgtest.Fast)
	await("an outage", says("degraded", "status"))
	for _, rule := range slices.Concat([]string{"GO-001"}, slices.Sorted(maps.Keys(forgedJournal())),
		slices.Sorted(maps.Keys(settledByHand()))) {
		await("a write that waits", says("queued", "patch", "rule/"+rule, "--set", "priority=777"))
	}
	p.end(t)
	db, err := sql.Open("sqlite", filepath.Join(dir, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	for rule, forge := range forgedJournal() {
		res, err := db.Exec("UPDATE entries SET "+forge+" WHERE state = 'queued' AND ops LIKE ?1", `%"`+rule+`"%`)
		if err != nil {
			t.Fatal(rule, err)
		}
		if n, err := res.RowsAffected(); n != 1 || err != nil {
			t.Fatalf("%s: %d rows, %v", rule, n, err)
		}
	}
	for rule, forge := range settledByHand() {
		if _, err := db.Exec("UPDATE entries SET "+forge+" WHERE ops LIKE ?1", `%"`+rule+`"%`); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("tenet", "doctor", "journal", "--data-dir", dir).CombinedOutput(); err == nil ||
		!strings.Contains(string(said), fmt.Sprint(len(forgedJournal())+len(settledByHand()), " damaged batches")) ||
		!strings.Contains(strings.Join(strings.Fields(string(said)), " "), "marked as applied") {
		t.Errorf("the journal: %v\n%s", err, said)
	}
	p = serveProcess(t, dir, pg.URL("postgres"))
	pg.Start()
	await("an end of the outage", says("normal", "status"))
	for _, rule := range append(slices.Collect(maps.Keys(settledByHand())), "GO-001") {
		await("the honest batch of "+rule, says("priority", "history", "rule/"+rule))
	}
	_, parked := command(t, dir, "conflicts", "list")
	for rule, forge := range forgedJournal() {
		if _, said := command(t, dir, "history", "rule/"+rule); strings.Contains(said, "priority") ||
			!strings.Contains(parked, rule) {
			t.Errorf("with %s it was replayed, or no person is asked:\n%s\n%s", forge, said, parked)
		}
	}
	p.end(t)
}
