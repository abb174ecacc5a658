package server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"tenet/internal/backup"
	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// backedUp returns a database with some documents, and the engine of its backups.
func backedUp(t *testing.T, key string) (*server.Local, backup.Engine, server.Options) {
	t.Helper()
	o := server.Options{
		DataDir: filepath.Join(t.TempDir(), "data"),
		Backups: server.Backups{Dir: filepath.Join(t.TempDir(), "copies")},
	}
	if key != "" {
		o.Backups.KeyFile = filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(o.Backups.KeyFile, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := server.OpenLocal(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := os.WriteFile(filepath.Join(o.DataDir, server.TokenFile), []byte("tenet_secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return l, backupsOf(t, o, l.BackedUp()), o
}

func backupsOf(t *testing.T, o server.Options, live server.BackedUp) backup.Engine {
	t.Helper()
	e, err := server.OpenBackups(o, live)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func full(t *testing.T, e backup.Engine) backup.Copy {
	t.Helper()
	c, err := e.Full(t.Context(), nil)
	if err != nil {
		t.Fatal("back up:", err)
	}
	return c
}

func TestABackupRestoresWhatThereWas(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{
		"plain": "", "identity": identity.String(),
		"passphrase": "correct horse battery staple",
	} {
		t.Run(name, func(t *testing.T) {
			l, e, o := backedUp(t, key)
			c := full(t, e)
			rule := knowledge.Key{Kind: knowledge.KindRule, ID: "SEC-001"}
			then, err := l.Get(t.Context(), rule)
			if err != nil {
				t.Fatal(err)
			}
			mustApply(t, l, knowledge.Op{Verb: knowledge.VerbRetire, Key: rule, IfVersion: then.Version})
			dir := filepath.Join(t.TempDir(), "restored")
			got, err := e.Restore(t.Context(), backup.Target{}, dir, nil)
			if err != nil || got.Name != c.Name {
				t.Fatalf("restore: %s, %v; want %s", got.Name, err, c.Name)
			}
			if token, err := os.ReadFile(filepath.Join(dir, server.TokenFile)); err != nil ||
				string(token) != "tenet_secret" {
				t.Errorf("the admin's token: %q, %v", token, err)
			}
			back, err := server.OpenLocal(t.Context(), server.Options{DataDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer back.Close()
			if r, err := back.Get(t.Context(), rule); err != nil || string(r.JSON) != string(then.JSON) {
				t.Errorf("the rule after the restore: %v, %v; want it as it was", r, err)
			}
			if key != "" {
				o.Backups.KeyFile = ""
				if _, err := backupsOf(t, o, server.BackedUp{}).Restore(t.Context(), backup.Target{},
					filepath.Join(t.TempDir(), "no"), nil); err == nil {
					t.Error("an encrypted backup was restored without its key")
				}
			}
		})
	}
}

func mustApply(t *testing.T, s store.Store, ops ...knowledge.Op) {
	t.Helper()
	if _, err := s.Apply(t.Context(), storetest.Batch(ops...)); err != nil {
		t.Fatal(err)
	}
}

func TestADrillProvesABackupAndFindsWhatIsWrong(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, o server.Options, c backup.Copy){
		"nothing": func(*testing.T, server.Options, backup.Copy) {},
		"a flipped bit": func(t *testing.T, o server.Options, c backup.Copy) {
			path := filepath.Join(o.Backups.Dir, c.File)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 1
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a cut end": func(t *testing.T, o server.Options, c backup.Copy) {
			if err := os.Truncate(filepath.Join(o.Backups.Dir, c.File), c.Bytes-10); err != nil {
				t.Fatal(err)
			}
		},
		"an archive that is gone": func(t *testing.T, o server.Options, c backup.Copy) {
			if err := os.Remove(filepath.Join(o.Backups.Dir, c.File)); err != nil {
				t.Fatal(err)
			}
		},
		"a manifest that lies": func(t *testing.T, o server.Options, c backup.Copy) {
			path := filepath.Join(o.Backups.Dir, c.Name+".json")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			forged := strings.Replace(string(data), fmt.Sprintf(`"seq": %d`, c.Seq), fmt.Sprintf(`"seq": %d`, c.Seq+1),
				1)
			if err := os.WriteFile(path, []byte(forged), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, e, o := backedUp(t, "")
			c := full(t, e)
			damage(t, o, c)
			d, err := e.Drill(t.Context(), nil)
			kept, readErr := e.LastDrill()
			if readErr != nil || kept == nil || kept.Copy != c.Name {
				t.Fatalf("the drill's result was not kept: %+v, %v", kept, readErr)
			}
			if name == "nothing" {
				if err != nil || d.RTO <= 0 || kept.RTO != d.RTO || len(d.Steps) != 4 {
					t.Errorf("a drill of a sound backup: %+v, %v", d, err)
				}
				return
			}
			if !errors.Is(err, backup.ErrDamaged) || kept.Error == "" || kept.RTO != 0 {
				t.Errorf("a drill of a backup with %s: %v, kept %+v; want %v", name, err, kept, backup.ErrDamaged)
			}
			if report, err := e.Check(t.Context()); name != "a manifest that lies" && (err != nil ||
				len(report.Faults) != 1) {
				t.Errorf("a check of a backup with %s: %+v, %v; want one fault", name, report, err)
			}
			left, err := filepath.Glob(filepath.Join(o.Backups.Dir, ".scratch-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("scratch is left: %v, %v", left, err)
			}
		})
	}
}

func TestADrillFindsADatabaseThatLostWrites(t *testing.T) {
	l, e, o := backedUp(t, "")
	rule := knowledge.Key{Kind: knowledge.KindRule, ID: "SEC-001"}
	early := full(t, e)
	mustApply(t, l, knowledge.Op{Verb: knowledge.VerbRetire, Key: rule, IfVersion: knowledge.AnyVersion})
	full(t, e)
	// The database goes back to where it was before the last backup.
	dir := filepath.Join(t.TempDir(), "old")
	if _, err := e.Restore(t.Context(), backup.Target{Name: early.Name}, dir, nil); err != nil {
		t.Fatal(err)
	}
	old, err := server.OpenLocal(t.Context(), server.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if _, err := backupsOf(t, o, old.BackedUp()).Drill(t.Context(), nil); err == nil ||
		!strings.Contains(err.Error(), "lost writes") {
		t.Errorf("a drill beside a database that went back: %v; want that it has lost writes", err)
	}
}

func TestARestoreWritesOverNothingAndLeavesNothingHalfDone(t *testing.T) {
	_, e, o := backedUp(t, "")
	c := full(t, e)
	if _, err := e.Restore(t.Context(), backup.Target{}, o.DataDir, nil); err == nil ||
		!strings.Contains(err.Error(), "not empty") {
		t.Errorf("a restore over a data directory: %v; want a refusal", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := e.Restore(ctx, backup.Target{}, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a restore that was broken off: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) > 0 {
		t.Errorf("after it there are %v, %v; want nothing", entries, err)
	}
	if _, err := e.Restore(t.Context(), backup.Target{To: c.At.Add(-time.Minute)}, dir, nil); !errors.Is(err,
		store.ErrNotFound) {
		t.Errorf("a restore to before the first backup: %v, want %v", err, store.ErrNotFound)
	}
}

func TestJobsRunAtATenetAndTheirNamesAreChecked(t *testing.T) {
	o := server.Options{DataDir: t.TempDir(), Listen: "127.0.0.1:0"}
	o.Upkeep.Schedules = []string{"retention.logs=@daily"}
	if _, err := server.Open(t.Context(), o); err == nil ||
		!strings.Contains(err.Error(), `did you mean "retention.log"?`) {
		t.Errorf("a schedule of a job that there is not: %v; want the nearest name", err)
	}
}
