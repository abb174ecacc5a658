package main

import (
	"bytes"
	"database/sql" //nolint:depguard // somebody writes past the engine
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/pgtest"
)

// TestWhatANewerProgramHasWrittenIsLeftAlone starts this program on a database, a journal, a book of jobs, a mirror
// and a PostgreSQL of a newer one. Each is refused with what to do, and stays as it is; only the mirror, which is a
// copy, is put aside.
func TestWhatANewerProgramHasWrittenIsLeftAlone(t *testing.T) {
	const newer = "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)"
	url := pgtest.URL(t)
	made := filepath.Join(t.TempDir(), "data")
	p := serveProcess(t, made, url)
	waitNormal(t, made)
	p.end(t)
	refused := func(dir string, args ...string) {
		t.Helper()
		if code, said := command(t, dir, args...); code != exitUnavailable || !strings.Contains(said,
			"run the newer program") {
			t.Errorf("%v: %d, %s; want that the newer program is to run", args, code, said)
		}
	}
	touch := func(dir, file string) (path string, was []byte) {
		t.Helper()
		path = filepath.Join(dir, file)
		db, err := sql.Open("sqlite", path)
		if err == nil {
			_, err = db.ExecContext(t.Context(), newer)
			defer db.Close()
		}
		if err == nil {
			_, err = db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
		}
		if err == nil {
			was, err = os.ReadFile(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path, was
	}
	same := func(path string, was []byte) {
		t.Helper()
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, was) {
			t.Errorf("%s was changed: %v", path, err)
		}
	}
	copied := func() string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
			t.Fatal(err)
		}
		return dir
	}

	dir := filledDirectory(t)
	path, was := touch(dir, "tenet.db")
	for _, args := range [][]string{
		{"serve"},
		{"list", "rules"},
		{"migrate", "up"},
		{"migrate", "down", "--yes"},
		{"backup", "run", "--backup-dir", t.TempDir()},
	} {
		refused(dir, args...)
	}
	same(path, was)
	for _, file := range []string{"journal.db", "instance.db"} {
		dir := copied()
		path, was := touch(dir, file)
		refused(dir, "serve", "--database-url", url)
		same(path, was)
	}
	dir = copied()
	_, was = touch(dir, "mirror.db")
	p = serveProcess(t, dir, url)
	waitNormal(t, dir)
	p.end(t)
	if aside, err := filepath.Glob(filepath.Join(dir, "mirror.db.damaged-*")); err != nil || len(aside) == 0 ||
		!strings.Contains(p.log.text(), "run the newer program") {
		t.Errorf("the mirror was put aside as %v, %v; the log says\n%s", aside, err, p.log.text())
	} else {
		same(aside[0], was)
	}
	pgtest.Exec(t, url, newer)
	for _, args := range [][]string{{"list", "rules"}, {"migrate", "up"}, {"migrate", "down", "--yes"}} {
		refused(t.TempDir(), append(args, "--database-url", url)...)
	}
}
