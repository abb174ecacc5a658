package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/pgtest"
)

// TestARestartOnAFullDiskReads kills a server, fills its disk, and starts another one.
func TestARestartOnAFullDiskReads(t *testing.T) {
	disk := pgtest.SmallDisk(t, 64<<20)
	dir := filepath.Join(disk, "data")
	serveProcess(t, dir, "").kill(t)
	free := pgtest.Fill(t, disk)
	p := serveProcess(t, dir, "")
	readsRule(t, dir)
	if code, out := command(t, dir, "retire", "rule/SEC-001", "--yes"); code != exitUnavailable ||
		!strings.Contains(out, "disk of the data directory is full") {
		t.Errorf("a write: %d, %s; want that the disk is full", code, out)
	}
	for _, args := range [][]string{{"jobs", "run", "log.verify"}, {"doctor", "changes"}} {
		if code, out := command(t, dir, args...); code != exitUnavailable || !strings.Contains(out, "is full") {
			t.Errorf("%v: %d, %s; want that the disk is full, and no wait", args, code, out)
		}
	}
	free()
	if code, out := command(t, dir, "retire", "rule/SEC-001", "--yes"); code != 0 {
		t.Errorf("a write once there is room: %d, %s", code, out)
	}
	p.end(t)
}

// TestADatabaseThatWasEmptiedIsNoNewOne empties the database file of a server, and starts one again.
func TestADatabaseThatWasEmptiedIsNoNewOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	serveProcess(t, dir, "").end(t)
	if err := os.Truncate(filepath.Join(dir, "tenet.db"), 0); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"serve"}, {"list", "rules"}} {
		if code, out := command(t, dir, args...); code != exitFailed || !strings.Contains(out, "restore a backup") {
			t.Errorf("%v: %d, %s; want that the database is empty, and what to do", args, code, out)
		}
	}
}

// TestADatabaseThatIsGoneIsALoss removes the database file of a server, and starts one again; and one where a person
// has put a token only.
func TestADatabaseThatIsGoneIsALoss(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	serveProcess(t, dir, "").end(t)
	if err := os.Remove(filepath.Join(dir, "tenet.db")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"serve"}, {"list", "rules"}, {"doctor"}, {"migrate", "up"}, {"import", t.TempDir()}} {
		if code, out := command(t, dir, args...); code != exitFailed || !strings.Contains(out, "restore a backup") ||
			exists(filepath.Join(dir, "tenet.db")) {
			t.Errorf("%v: %d, %s; want that the database is lost, and what to do", args, code, out)
		}
	}
	if err := os.Remove(filepath.Join(dir, "admin.token")); err != nil {
		t.Fatal(err)
	}
	serveProcess(t, dir, "").end(t)

	fresh := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(fresh, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(fresh, "admin.token"), "tenet_mine")
	serveProcess(t, fresh, "").end(t)
}

// TestADiskThatCannotBeWrittenToIsTold looks into a data directory on a disk that has become read-only, and into a
// copy.
func TestADiskThatCannotBeWrittenToIsTold(t *testing.T) {
	disk := pgtest.SmallDisk(t, 64<<20)
	dir := filepath.Join(disk, "data")
	serveProcess(t, dir, "").kill(t)
	if out, err := exec.Command("mount", "-o", "remount,ro", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, args := range [][]string{{"serve"}, {"get", "rule/SEC-001"}, {"export", "-"}} {
		if code, out := command(t, dir, args...); code == exitOK || !strings.Contains(out, "copy the directory") {
			t.Errorf("%v: %d, %s; want what to do", args, code, out)
		}
	}
	if code, out := command(t, filepath.Join(dir, "tenet.db"), "serve"); code == exitOK ||
		!strings.Contains(out, "name a directory with --data-dir") {
		t.Errorf("a file in place of a directory: %d, %s; want what to do", code, out)
	}
	away := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(away, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	readsRule(t, away)
}

// TestARestartOnAFullDiskOfAMirrorReads does the same where the data are in PostgreSQL and a mirror is in the
// directory: the primary still takes writes, and what the mirror can't take is read there.
func TestARestartOnAFullDiskOfAMirrorReads(t *testing.T) {
	url, disk := pgtest.URL(t), pgtest.SmallDisk(t, 64<<20)
	dir := filepath.Join(disk, "data")
	first := serveProcess(t, dir, url)
	waitNormal(t, dir)
	first.kill(t)
	free := pgtest.Fill(t, disk)
	defer free()
	p := serveProcess(t, dir, url)
	waitNormal(t, dir)
	readsRule(t, dir)
	if code, out := command(t, dir, "retire", "rule/SEC-001", "--yes"); code != 0 {
		t.Errorf("a write: %d, %s", code, out)
	}
	if code, out := command(t, dir, "get", "rule/SEC-001", "--output", "json"); code != 0 ||
		!strings.Contains(out, `"version": 2`) {
		t.Errorf("a read of what was written: %d, %s", code, out)
	}
	p.kill(t)
}

func readsRule(t *testing.T, dir string) {
	t.Helper()
	if code, out := command(t, dir, "get", "rule/SEC-001", "--output", "name"); code != 0 ||
		strings.TrimSpace(out) != "rule/SEC-001" {
		t.Errorf("a read: %d, %s", code, out)
	}
}

func waitNormal(t *testing.T, dir string) {
	t.Helper()
	var out string
	if err := eventually(func() bool {
		_, out = command(t, dir, "status", "--output", "json")
		return strings.Contains(out, `"mode": "normal"`)
	}); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestACommandNamesADamagedPage: without a server a command reads only what it needs of the database. What it meets
// there is named, and doctor looks at all of it.
func TestACommandNamesADamagedPage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if code, said := command(t, dir, "seed"); code != exitOK {
		t.Fatalf("seed: %d\n%s", code, said)
	}
	f, err := os.OpenFile(filepath.Join(dir, "tenet.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	junk := bytes.Repeat([]byte{0xa5}, 4096)
	damage := func(from int64) {
		for at := from; at < size; at += 4096 {
			if _, err := f.WriteAt(junk, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	damage(size - 4096) // a page that nothing else reads
	if code, said := command(t, dir, "doctor"); code == exitOK || !strings.Contains(said, "is damaged") {
		t.Errorf("doctor on one damaged page: %d\n%s", code, said)
	}
	damage(4096)
	for _, args := range [][]string{{"get", "rule/SEC-001"}, {"retire", "rule/SEC-001"}} {
		if code, said := command(t, dir, args...); code == exitOK || !strings.Contains(said, "is damaged") {
			t.Errorf("%v on damaged pages: %d\n%s", args, code, said)
		}
	}
}
