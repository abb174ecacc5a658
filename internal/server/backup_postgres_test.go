package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tenet/internal/backup"
	"tenet/internal/knowledge"
	"tenet/internal/needs"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A backedUpCluster is a PostgreSQL with backups, and a tenet's data in it.
type backedUpCluster struct {
	pg    *pgtest.Server
	l     *server.Local
	o     server.Options
	rules []knowledge.Key // to be retired one after the other
	last  string          // segment that write has written to
}

// newBackedUpCluster sets a cluster up as `tenet backup setup --write` does.
func newBackedUpCluster(t *testing.T) *backedUpCluster {
	t.Helper()
	needs.Program(t, "pgbackrest", "Debian: apt-get install pgbackrest")
	c := &backedUpCluster{pg: pgtest.Start(t, pgtest.Options{Dir: pgtest.InMemory()})}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("correct horse battery staple"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.o = server.Options{
		DataDir: t.TempDir(), DatabaseURL: c.pg.NewDatabase(), Version: "test",
		Backups: server.Backups{
			Dir: pgtest.MakeDir(c.pg, "backup"), KeyFile: key,
			Config: filepath.Join(pgtest.MakeDir(c.pg, "etc"), "pgbackrest.conf"),
		},
	}
	var err error
	if c.l, err = server.OpenLocal(t.Context(), c.o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.l.Close() })
	_, restart, err := server.SetUpBackups(t.Context(), c.o, c.l.BackedUp().Cluster, true)
	if err != nil || !restart {
		t.Fatalf("set up backups: restart %v, %v; want that a restart is needed", restart, err)
	}
	c.pg.Restart()
	page, err := c.l.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule, Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Records {
		c.rules = append(c.rules, r.Key)
	}
	return c
}

func (c *backedUpCluster) engine(t *testing.T) backup.Engine {
	return backupsOf(t, c.o, c.l.BackedUp())
}

// write makes a change, and has its WAL archived by itself. It returns the change's number.
func (c *backedUpCluster) write(t *testing.T) knowledge.Seq {
	t.Helper()
	var key knowledge.Key
	key, c.rules = c.rules[0], c.rules[1:]
	r, err := c.l.Apply(t.Context(), storetest.Batch(knowledge.Op{
		Verb: knowledge.VerbRetire, Key: key,
		IfVersion: knowledge.AnyVersion,
	}))
	if err != nil {
		t.Fatal(err)
	}
	c.last = pgtest.Value(t, c.o.DatabaseURL, "SELECT pg_walfile_name(pg_switch_wal())")
	pgtest.Await(t, "the WAL to be archived", func() bool {
		return pgtest.Value(t, c.o.DatabaseURL, "SELECT last_archived_wal FROM pg_stat_archiver") >= c.last
	})
	return r.Seq
}

// damaged returns the engine of a copy of the repository in which something has happened, and its options.
func (c *backedUpCluster) damaged(t *testing.T, name string, harm func(t *testing.T, repo string),
	edit ...string,
) backup.Engine {
	t.Helper()
	repo, config := filepath.Join(c.o.Backups.Dir, "repo"), c.o.Backups.Config
	other := pgtest.MakeDir(c.pg, name)
	o := c.o
	o.Backups.Config = filepath.Join(other, "pgbackrest.conf")
	o.Backups.Dir = other
	pgtest.LinkDir(c.pg, repo, filepath.Join(other, "repo"))
	if harm != nil {
		harm(t, filepath.Join(other, "repo"))
	}
	edited := strings.NewReplacer(append([]string{c.o.Backups.Dir, other}, edit...)...).Replace(fileText(t, config))
	pgtest.WriteFile(c.pg, o.Backups.Config, edited)
	return backupsOf(t, o, c.l.BackedUp())
}

// segments returns the archived WAL of a repository, the oldest first.
func segments(t *testing.T, repo string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(repo, "archive/tenet/*/*/????????????????????????-*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// flip changes bytes in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0xFF
	if err := errors.Join(os.Remove(path), os.WriteFile(path, data, 0o600), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// largest returns the largest file of a backup.
func largest(t *testing.T, repo, label string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(repo, "backup/tenet", label, "pg_data/base/*/*.zst"))
	if err != nil || len(list) == 0 {
		t.Fatal("the files of a backup:", list, err)
	}
	return slices.MaxFunc(list, func(a, b string) int { return int(sizeOf(t, a) - sizeOf(t, b)) })
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// wantFault looks for a check that finds exactly what is wrong.
func wantFault(t *testing.T, e backup.Engine, words ...string) {
	t.Helper()
	r, err := e.Check(t.Context())
	if err != nil {
		t.Fatal("check:", err)
	}
	for _, w := range words {
		if !slices.ContainsFunc(r.Faults, func(f string) bool { return strings.Contains(f, w) }) {
			t.Errorf("a check finds %q; want a fault with %q", r.Faults, w)
		}
	}
}

// restoreTo restores into a new directory and returns it.
func (c *backedUpCluster) restoreTo(t *testing.T, e backup.Engine, name string,
	target backup.Target,
) (dir string, got backup.Copy, err error) {
	t.Helper()
	dir = filepath.Join(pgtest.MakeDir(c.pg, name), "data")
	got, err = e.Restore(t.Context(), target, dir, nil)
	return dir, got, err
}

// TestBackupsOfAPostgreSQL makes backups of one cluster, proves and restores them, and then sets each of the traps that
// are known of pgBackRest, in a copy of the repository.
func TestBackupsOfAPostgreSQL(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	c := newBackedUpCluster(t)
	e := c.engine(t)
	if _, err := e.Full(t.Context(), nil); err != nil {
		t.Fatal("back up:", err)
	}
	index := fileText(t, filepath.Join(c.o.Backups.Dir, "repo/backup/tenet/backup.info"))
	first := c.write(t)
	between := time.Now()
	c.write(t)
	if incr, err := e.Incremental(t.Context(), nil); err != nil || incr.Type != "incr" || incr.Seq < first {
		t.Fatalf("an incremental backup: %+v, %v", incr, err)
	}
	c.write(t)
	early := c.last
	c.write(t)
	last := c.write(t)
	list, err := e.List(t.Context())
	if err != nil || len(list) != 2 || !list[0].Encrypted || list[0].Type != "incr" {
		t.Fatalf("list: %+v, %v; want two encrypted backups, the newest first", list, err)
	}
	newest, oldest := list[0].Name, list[1].Name

	t.Run("a sound repository has no faults and is proven", func(t *testing.T) {
		if r, err := e.Check(t.Context()); err != nil || len(r.Faults) > 0 || r.Copies != 2 {
			t.Errorf("a check of a sound repository: %+v, %v", r, err)
		}
		stale := filepath.Join(c.o.Backups.Dir, ".scratch-stale")
		if err := errors.Join(os.MkdirAll(filepath.Join(stale, "data"), 0o700),
			os.WriteFile(filepath.Join(stale, "owner"), []byte("999999999\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		d, err := e.Drill(t.Context(), nil)
		if err != nil || d.Copy != newest || d.RTO <= 0 || d.RPO <= 0 || len(d.Steps) != 10 {
			t.Errorf("a drill: %+v, %v", d, err)
		}
		if kept, err := e.LastDrill(); err != nil || kept == nil || kept.RTO != d.RTO {
			t.Errorf("the drill's result: %+v, %v; want it kept", kept, err)
		}
		if left, err := filepath.Glob(filepath.Join(c.o.Backups.Dir, ".scratch-*")); err != nil || len(left) > 0 {
			t.Errorf("scratch is left, of a killed process or of the drill: %v, %v", left, err)
		}
		if r, err := e.Check(t.Context()); err != nil || len(r.Faults) > 0 {
			t.Errorf("after a drill: %+v, %v; want that it archived nothing of its own", r, err)
		}
	})
	t.Run("a role that may not change settings", func(t *testing.T) {
		pgtest.Exec(t, c.o.DatabaseURL, "CREATE ROLE app LOGIN; GRANT pg_read_all_settings TO app; GRANT SELECT ON "+
			"ALL TABLES IN SCHEMA public TO app")
		o := c.o
		o.DatabaseURL = strings.Replace(o.DatabaseURL, "postgres@", "app@", 1)
		o.Backups.Config = filepath.Join(pgtest.MakeDir(c.pg, "app"), "pgbackrest.conf")
		app, done, err := server.OpenCluster(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = done() }()
		s, restart, err := server.SetUpBackups(t.Context(), o, app.Cluster, true)
		if err != nil || !strings.Contains(s.PostgreSQL, "archive_mode = on") {
			t.Errorf("a setup: %q, %v, %v; want that the superuser of the socket changes them", s.PostgreSQL, restart, err)
		}
		if !strings.Contains(fileText(t, o.Backups.Config), "pg1-user=app") {
			t.Error("pgBackRest's configuration was not written")
		}
		if _, err := backupsOf(t, o, app).Drill(t.Context(), nil); err == nil ||
			!strings.Contains(err.Error(), "pg_create_restore_point(text) TO it") {
			t.Errorf("a drill: %v; want the rights that it needs", err)
		}
	})
	t.Run("bytes of a backup", func(t *testing.T) {
		e := c.damaged(t, "flipped", func(t *testing.T, repo string) { flip(t, largest(t, repo, newest)) })
		wantFault(t, e, "checksum invalid: 1") // pgBackRest's verify exits with 0
		d, err := e.Drill(t.Context(), nil)
		if !errors.Is(err, backup.ErrDamaged) || !strings.HasPrefix(d.Error, "restore: ") || d.RTO != 0 {
			t.Errorf("a drill of it: %q, %v; want that it is damaged, found at the step restore", d.Error, err)
		}
	})
	t.Run("a segment in the middle", func(t *testing.T) {
		e := c.damaged(t, "gap", func(t *testing.T, repo string) {
			list := segments(t, repo)
			if err := os.Remove(list[slices.IndexFunc(
				list, func(s string) bool { return strings.Contains(s, early) })]); err != nil {
				t.Fatal(err)
			}
		})
		wantFault(t, e, "is missing from the archive")
		dir, _, err := c.restoreTo(t, e, "gap-refused", backup.Target{})
		if !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), "--accept-gap") {
			t.Errorf("a restore of all that there is: %v; want a refusal that names the gap", err)
		}
		if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) > 0 {
			t.Errorf("a refused restore leaves %v, %v", entries, err)
		}
		if _, got, err := c.restoreTo(t, e, "gap-accepted", backup.Target{AcceptGap: true}); err != nil ||
			got.Seq >= last {
			t.Errorf("a restore up to the gap: change %d, %v; want less than %d", got.Seq, err, last)
		}
	})
	t.Run("the end of the archive", func(t *testing.T) {
		e := c.damaged(t, "end", func(t *testing.T, repo string) {
			begins, err := filepath.Glob(filepath.Join(repo, "archive/tenet/*/*/*.backup"))
			if err != nil || len(begins) < 2 {
				t.Fatal(begins, err)
			}
			for _, path := range segments(t, repo) {
				if filepath.Base(path)[:24] >= filepath.Base(begins[len(begins)-1])[:24] {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
		wantFault(t, e, "backup "+newest+" can't be restored without it")
	})
	t.Run("an older index, and none", func(t *testing.T) {
		older := c.damaged(t, "older", func(t *testing.T, repo string) {
			for _, name := range []string{"backup.info", "backup.info.copy"} {
				if err := os.WriteFile(filepath.Join(repo, "backup/tenet", name), []byte(index), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
		wantFault(t, older, "backup "+newest+" is in the repository, and its index does not name it")
		none := c.damaged(t, "none", func(t *testing.T, repo string) {
			for _, name := range []string{"backup.info", "backup.info.copy"} {
				if err := os.Remove(filepath.Join(repo, "backup/tenet", name)); err != nil {
					t.Fatal(err)
				}
			}
		})
		const says = " is in the repository, and its index does not name it"
		wantFault(t, none, "backup "+newest+says, "backup "+oldest+says, "there is no backup")
		if _, err := none.List(t.Context()); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("list without an index: %v; want an error", err)
		}
	})
	t.Run("bytes of a segment", func(t *testing.T) {
		e := c.damaged(t, "wal", func(t *testing.T, repo string) {
			list := segments(t, repo)
			flip(t, list[len(list)-2])
		})
		wantFault(t, e, "archiveId: ")
		if _, _, err := c.restoreTo(t, e, "wal-refused", backup.Target{}); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("a restore of all that there is: %v; want that the WAL can't be read", err)
		}
	})
	t.Run("a manifest that is gone", func(t *testing.T) {
		e := c.damaged(t, "manifest", func(t *testing.T, repo string) {
			list, err := filepath.Glob(filepath.Join(repo, "backup/tenet", oldest, "backup.manifest*"))
			if err != nil || len(list) != 2 {
				t.Fatal(list, err)
			}
			for _, path := range list {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		})
		wantFault(t, e, "backup "+oldest+" has lost its manifest")
	})
	t.Run("another passphrase", func(t *testing.T) {
		e := c.damaged(t, "phrase", nil, "correct horse battery staple", "wrong horse battery staple")
		wantFault(t, e, "is the passphrase in")
		if _, err := e.List(t.Context()); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("list with another passphrase: %v; want an error", err)
		}
	})
	t.Run("the state at a time, and a host that must not be written to", func(t *testing.T) {
		e := c.damaged(t, "host", nil, "[tenet]", "[tenet]\npg1-host=192.0.2.1")
		dir, got, err := c.restoreTo(t, e, "then", backup.Target{To: between})
		if err != nil || got.Seq != first || got.Name != oldest {
			t.Fatalf("a restore to a time: change %d of backup %s, %v; want change %d of %s", got.Seq, got.Name, err,
				first, oldest)
		}
		opts := fileText(t, filepath.Join(dir, "postmaster.opts"))
		for _, want := range []string{`"listen_addresses="`, `"archive_mode=off"`, `.scratch-`} {
			if !strings.Contains(opts, want) {
				t.Errorf("the restored cluster was run with %s; want %s", opts, want)
			}
		}
		if conf := fileText(t, filepath.Join(dir, "postgresql.auto.conf")); !strings.Contains(conf,
			"archive_mode = 'off'") {
			t.Errorf("the restored cluster would archive:\n%s", conf)
		} else if strings.Contains(conf, "restore_command") || strings.Contains(conf, "recovery_target") {
			t.Errorf("the restored cluster keeps what was for the replay alone:\n%s", conf)
		}
		if _, _, err := c.restoreTo(t, e, "before", backup.Target{To: between.Add(-time.Hour)}); !errors.Is(err,
			store.ErrNotFound) {
			t.Errorf("a restore to before the first backup: %v, want %v", err, store.ErrNotFound)
		}
		if _, err := e.Restore(t.Context(), backup.Target{}, dir, nil); err == nil ||
			!strings.Contains(err.Error(), "not empty") {
			t.Errorf("a restore over a directory: %v; want a refusal", err)
		}
	})
	t.Run("a time after which nobody wrote", func(t *testing.T) {
		_, got, err := c.restoreTo(t, e, "idle", backup.Target{To: time.Now().Add(time.Minute)})
		if err != nil || got.Seq != last || got.Note == "" {
			t.Errorf("a restore to a time on an idle database: change %d, note %q, %v; want %d, and a note", got.Seq,
				got.Note, err, last)
		}
	})
	t.Run("copies over a connection", func(t *testing.T) { c.copies(t) })
}
