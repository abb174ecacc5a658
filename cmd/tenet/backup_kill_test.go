package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenet/internal/pgtest"
)

// TestAKilledBackupLeavesNothing kills the commands of backups with -9 at several moments, and runs each again. Then
// there is nothing of the killed one on the disk, no process of it, and the backups are whole.
func TestAKilledBackupLeavesNothing(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		work := t.TempDir()
		dir := filepath.Join(work, "data")
		withPerson(t, dir)
		h := &host{t: t, calls: make(chan call), dir: dir, env: append(os.Environ(), "TENET_DATA_DIR="+dir, "BACKUPS="+
			filepath.Join(work, "backups"), "TENET_BACKUP_DIR="+filepath.Join(work, "backups"), "HOME="+work)}
		h.run("tenet backup run")
		h.killBackups(map[string][]string{
			"backup run":   {"owner", "tenet.db", "*.json"},
			"backup drill": {"owner", "tenet.db"},
			restoring:      {"owner", "data/tenet.db"},
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel() // it waits for other programs most of the time
		h := newHost(t)
		h.run(install + "systemctl stop tenet\n") // a server would do the work itself
		// one moment of the most that there is to leave: a server that runs on a copy; all of them in the soak
		moments := map[string][]string{"backup drill": {"data/postmaster.pid"}}
		if os.Getenv("TENET_SOAK") == "" {
			h.killBackups(moments)
			return
		}
		all := []string{"owner", "data/PG_VERSION", "data/postmaster.pid"}
		moments["backup drill"], moments[restoring] = all, all
		h.killBackups(moments)
		h.set("TENET_BACKUP_ENGINE", "basebackup")
		h.set("BACKUPS", filepath.Join(h.value("BACKUPS"), "basebackup"))
		h.run("tenet backup run")
		moments["backup run"] = []string{"owner", "base.tar", "data/postmaster.pid", "*.json"}
		h.killBackups(moments)
	})
}

// restoring is the command that restores into a directory beside the backups.
const restoring = `backup restore --into `

// killBackups kills each command once there is something in its scratch, and runs it again.
func (h *host) killBackups(moments map[string][]string) {
	h.t.Helper()
	killed := 0
	target := filepath.Join(filepath.Dir(h.value("BACKUPS")), "restored")
	for command, list := range moments {
		args := strings.Fields(command)
		if command == restoring {
			args = append(args, target)
		}
		for _, moment := range list {
			if !h.killAt(args, moment) {
				continue
			}
			killed++
			h.run("tenet " + strings.Join(args, " "))
			for _, place := range []string{h.value("BACKUPS"), filepath.Dir(target)} {
				if left, err := filepath.Glob(filepath.Join(place, ".scratch-*")); err != nil || len(left) > 0 {
					h.t.Errorf("%s, killed when there was %s and run again, leaves %v, %v", command, moment, left, err)
				}
			}
			if list := processesIn(h.t, filepath.Dir(target)); len(list) > 0 {
				h.t.Errorf("%s, killed when there was %s and run again, leaves the processes %v", command, moment, list)
			}
			if err := os.RemoveAll(target); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	if killed < len(moments) {
		h.t.Errorf("%d commands were killed before their end, want %d at least", killed, len(moments))
	}
	h.run("tenet backup list\ntenet backup check")
}

// killAt kills a command with -9 once there is a file in a scratch of it, and reports whether it was killed.
func (h *host) killAt(args []string, file string) bool {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "tenet", args...)
	cmd.Env = h.env
	scratch := filepath.Join(".scratch-*", file)
	return killOnce(h.t, cmd, filepath.Join(h.value("BACKUPS"), scratch),
		filepath.Join(filepath.Dir(h.value("BACKUPS")), scratch))
}

// killOnce starts a command and kills it with -9 once there is a file that one of some patterns matches. It reports
// whether the command was killed before its end.
func killOnce(t *testing.T, cmd *exec.Cmd, patterns ...string) bool {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		for _, pattern := range patterns {
			if list, err := filepath.Glob(pattern); err == nil && len(list) > 0 {
				_ = cmd.Process.Kill()
				return (<-ended) != nil
			}
		}
		select {
		case <-ended:
			return false
		case <-time.After(200 * time.Microsecond): // the next look
		}
	}
}

// processesIn returns the processes that work in a scratch below a directory.
func processesIn(t *testing.T, dir string) (list []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range all {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, dir) && strings.Contains(at, ".scratch-") {
			list = append(list, link+" in "+at)
		}
	}
	return list
}

// TestASweepStopsNoOtherProcess leaves the directory of a killed drill whose process number is by now that of the live
// cluster, as after a restart of the machine.
func TestASweepStopsNoOtherProcess(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	h := newHost(t)
	h.run(install)
	stale := filepath.Join(h.value("BACKUPS"), ".scratch-stale")
	h.run(`mkdir -p "` + stale + `/data/global"
cp "$PGDATA/PG_VERSION" "$PGDATA/postmaster.pid" "` + stale + `/data/"
cp "$PGDATA/global/pg_control" "` + stale + `/data/global/"
chown -R --reference="$PGDATA" "` + stale + `"
echo 999999999 > "` + stale + `/owner"`)
	began := pgtest.Value(t, h.value("TENET_DATABASE_URL"), "SELECT pg_postmaster_start_time()::text")
	h.run("tenet backup drill")
	if got := pgtest.Value(t, h.value("TENET_DATABASE_URL"), "SELECT pg_postmaster_start_time()::text"); got != began {
		t.Errorf("the live cluster began at %s, and at %s after a drill: it was stopped", began, got)
	}
	if exists(stale) {
		t.Error("what a killed drill left is still there")
	}
}

// TestARestoreLeavesTablespacesOfAnotherAlone restores where a cluster was restored before. It may run elsewhere by
// now, on the tablespaces that were restored beside the directory.
func TestARestoreLeavesTablespacesOfAnotherAlone(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	h := newHost(t)
	h.run(install)
	h.run(`mkdir "$PGDATA-restored-tablespaces"; echo data > "$PGDATA-restored-tablespaces/file"`)
	h.want(`find "$BACKUPS/repo/backup" -name '*.zst' -size +8k -exec truncate -s -1 {} +
tenet backup restore --into "$PGDATA-restored" 2>&1 || true`, "tablespaces is not empty")
	h.want(`cat "$PGDATA-restored-tablespaces/file"`, "data")
}

// TestASweepRemovesWhatBelongsToARestoreAndNothingElse leaves directories of killed restores, some by the hand of
// somebody who may write among the backups.
func TestASweepRemovesWhatBelongsToARestoreAndNothingElse(t *testing.T) {
	work := t.TempDir()
	dir, backups := filepath.Join(work, "data"), filepath.Join(work, "backups")
	withPerson(t, dir)
	for beside, gone := range map[string]bool{
		"new-tablespaces": true, "victim": false, "../other-tablespaces": false,
		filepath.Join(work, "abs-tablespaces"): false,
	} {
		place := filepath.Join(backups, beside)
		if filepath.IsAbs(beside) {
			place = beside
		}
		left := filepath.Join(backups, ".scratch-left")
		if err := errors.Join(os.MkdirAll(place, 0o700), os.MkdirAll(filepath.Join(left, "data"), 0o700)); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(left, "owner"), "")
		put(t, filepath.Join(left, "beside"), beside)
		if code, said := command(t, dir, "backup", "run", "--backup-dir", backups); code != exitOK {
			t.Fatalf("a backup ends with %d:\n%s", code, said)
		}
		if exists(left) || exists(place) == gone {
			t.Errorf("a killed restore to %s: its directory is there: %v, the other: %v", beside, exists(left),
				exists(place))
		}
	}
}
