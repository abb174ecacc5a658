package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"database/sql" //nolint:depguard // a forger writes past the engine
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// unpackBackup writes the files of the only backup of a directory into another one, and returns the paths of its
// archive and its manifest.
func unpackBackup(t *testing.T, backups, into string) (archive, manifest string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(backups, "*.tar.zst"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found[0], strings.TrimSuffix(found[0], ".tar.zst") + ".json"
		}
		text, err2 := io.ReadAll(r)
		if err := errors.Join(err, err2, os.WriteFile(filepath.Join(into, head.Name), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// packBackup writes a directory's files as the archive, and what a forger knows of it into the manifest.
func packBackup(t *testing.T, from, archive, manifest string, alter func(map[string]any)) {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := errors.Join(w.AddFS(os.DirFS(from)), w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(archive, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	m["bytes"], m["sha256"] = b.Len(), fmt.Sprintf("%x", sha256.Sum256(b.Bytes()))
	if alter != nil {
		alter(m)
	}
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAForgedBackupIsRefused alters what a backup holds and makes its manifest fit, and restores it.
func TestAForgedBackupIsRefused(t *testing.T) {
	dir, key := filledDirectory(t), filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("a passphrase that is long enough\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	backups := filepath.Join(t.TempDir(), "backups")
	if code, said := command(t, dir, "token", "create", "eve", "--role", "viewer"); code != exitOK {
		t.Fatal(said)
	}
	if code, said := command(t, dir, "backup", "run", "--backup-dir", backups); code != exitOK {
		t.Fatal(said)
	}
	file := func(name, text string) func(string) error {
		return func(in string) error { return os.WriteFile(filepath.Join(in, name), []byte(text), 0o600) }
	}
	forge := func(statement string) func(string) error {
		return func(in string) error {
			db, err := sql.Open("sqlite", filepath.Join(in, "tenet.db"))
			if err != nil {
				return err
			}
			_, err = db.Exec(statement)
			return errors.Join(err, db.Close())
		}
	}
	for name, is := range map[string]struct {
		forge func(string) error
		alter func(map[string]any)
		args  []string
		says  string // "" where it is restored
		warns string
	}{
		"nothing": {forge: forge("SELECT 1")},
		"a text": {
			forge: forge("UPDATE changes SET document = replace(document, 'Name 3', 'Forged')"), says: "change 3",
		},
		"an actor":    {forge: forge("UPDATE changes SET actor = 'mallory' WHERE seq = 3"), says: "change 3"},
		"a time":      {forge: forge("UPDATE changes SET at = at - 1 WHERE seq = 3"), says: "change 3"},
		"a beginning": {forge: forge("DELETE FROM changes WHERE seq = 1"), says: "change 1: it is missing"},
		"a middle":    {forge: forge("DELETE FROM changes WHERE seq = 3"), says: "change 3: it is missing"},
		"an end": {
			forge: forge("DELETE FROM changes WHERE seq = 7; DELETE FROM principals; DELETE FROM batches WHERE seq = 7"),
			says:  "its log ends with change 6",
		},
		"an end of the audit": {forge: forge("UPDATE audit_head SET seq = seq + 1"), says: "audit"},
		"a document": {
			forge: forge("DELETE FROM categories WHERE category_id = 'c-2'"), says: "category/c-2 is missing",
		},
		"a token": {
			forge: forge("UPDATE principals SET document = replace(document, 'viewer', 'admin')"), says: "principal/eve",
		},
		"a settings file": {forge: file("tenet.yaml", "metrics_open: true\n"), says: `it holds "tenet.yaml"`},
		"a journal":       {forge: file("journal.db", "x"), says: `it holds "journal.db"`},
		"the numbers": {
			forge: forge("SELECT 1"), alter: func(m map[string]any) { m["documents"] = map[string]int{} },
			says: "and its manifest says 0",
		},
		"the time": {
			forge: forge("SELECT 1"), alter: func(m map[string]any) { m["at"] = "1999-01-01T00:00:00.000000Z" },
			says: "it is not about this backup",
		},
		"whose archive it is": {
			forge: forge("SELECT 1"), alter: func(m map[string]any) { m["file"] = "20260101T000000.000Z.tar.zst" },
			says: "it is not about this backup",
		},
		"a plain one in place of one with a key": {
			forge: forge("SELECT 1"), args: []string{"--backup-key-file", key}, says: "is not encrypted",
		},
		"a text that searches should not find": {
			forge: forge("INSERT INTO search (kind, id) VALUES ('category', 'c-2')"),
			warns: "category/c-2 is found by searches, and is not active",
		},
	} {
		t.Run(name, func(t *testing.T) {
			forged, in, into := filepath.Join(t.TempDir(), "forged"), t.TempDir(), filepath.Join(t.TempDir(), "into")
			if err := os.CopyFS(forged, os.DirFS(backups)); err != nil {
				t.Fatal(err)
			}
			archive, manifest := unpackBackup(t, forged, in)
			if err := is.forge(in); err != nil {
				t.Fatal(err)
			}
			packBackup(t, in, archive, manifest, is.alter)
			code, said := command(t, dir, append([]string{"backup", "restore", "--backup-dir", forged, "--into", into},
				is.args...)...)
			if want := map[bool]int{true: exitOK, false: exitFailed}[is.says == ""]; code != want ||
				!strings.Contains(said, is.says) || !strings.Contains(said, is.warns) {
				t.Errorf("the code is %d, want %d and %q %q:\n%s", code, want, is.says, is.warns, said)
			}
			if _, err := os.Stat(into); (err == nil) != (is.says == "") {
				t.Errorf("the directory: %v", err)
			}
		})
	}
}
