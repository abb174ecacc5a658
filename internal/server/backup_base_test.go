package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"tenet/internal/backup"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
)

// copies makes copies of the cluster with pg_basebackup.
func (b *backedUpCluster) copies(t *testing.T) {
	o := b.o
	o.Backups.Engine, o.Backups.Dir = backup.BaseBackupName, filepath.Join(pgtest.MakeDir(b.pg, "copies"), "deep")
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	o.Backups.KeyFile = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(o.Backups.KeyFile, []byte(identity.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	e := backupsOf(t, o, b.l.BackedUp())
	c, err := e.Full(t.Context(), nil)
	if err != nil || c.Engine != backup.BaseBackupName || c.Seq == 0 || c.Documents[knowledge.KindRule] == 0 ||
		!c.Encrypted {
		t.Fatalf("a copy: %+v, %v", c, err)
	}
	b.write(t)
	if d, err := e.Drill(t.Context(), nil); err != nil || d.Copy != c.Name || d.RTO <= 0 || len(d.Steps) != 4 {
		t.Errorf("a drill: %+v, %v", d, err)
	}
	dir := filepath.Join(pgtest.MakeDir(b.pg, "restored"), "data")
	if got, err := e.Restore(t.Context(), backup.Target{}, dir, nil); err != nil || got.Seq != c.Seq {
		t.Errorf("a restore: %+v, %v; want change %d", got, err, c.Seq)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "PG_VERSION")); err != nil || strings.TrimSpace(string(text)) == "" {
		t.Errorf("the restored directory is no cluster: %q, %v", text, err)
	}
	for name, do := range map[string]func() error{
		"incremental": func() error { _, err := e.Incremental(t.Context(), nil); return err },
		"restore point": func() error {
			_, err := e.Restore(t.Context(), backup.Target{Point: "p"}, dir+"2", nil)
			return err
		},
	} {
		if err := do(); !errors.Is(err, backup.ErrNotSupported) || !strings.Contains(err.Error(), "pgBackRest") {
			t.Errorf("%s: %v; want %v, with what to use instead", name, err, backup.ErrNotSupported)
		}
	}
	if _, err := e.Restore(t.Context(), backup.Target{To: time.Now().Add(-time.Hour)}, dir+"2", nil); err == nil {
		t.Error("a restore to before the first copy was made")
	}
	flip(t, filepath.Join(o.Backups.Dir, backup.BaseBackupName, c.File))
	wantFault(t, e, "SHA-256")
	if _, err := e.Drill(t.Context(), nil); err == nil || !strings.HasPrefix(err.Error(), "restore and verify: ") {
		t.Errorf("a drill of a damaged copy: %v; want that it fails at that step", err)
	}
}
