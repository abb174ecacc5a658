package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"tenet/internal/needs"
)

// SmallDisk returns a directory on a file system of its own that holds only so many bytes, to be filled up: for
// [Options] Dir or WALDir, or for [Server.Tablespace]. The test is skipped where it may not mount one, which takes
// root.
func SmallDisk(t testing.TB, bytes int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		needs.Missing(t, "only root can mount a small disk")
	}
	dir, err := os.MkdirTemp("", "pgtest-disk-") //nolint:usetesting // the server's account may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Errorf("remove the small disk: %v", err)
		}
	})
	size := fmt.Sprintf("size=%d,mode=0755", bytes)
	out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", size, "pgtest", dir).CombinedOutput()
	if err != nil {
		needs.Missing(t, "a small disk can't be mounted: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount the small disk: %v: %s", err, out)
		}
	})
	return dir
}

// Tablespace makes a tablespace in a new directory below dir.
func (s *Server) Tablespace(name, dir string) {
	s.t.Helper()
	place := filepath.Join(dir, name)
	s.must("make a tablespace", os.Mkdir(place, 0o700))
	s.must("make a tablespace", s.installation.give(place))
	s.Exec(fmt.Sprintf("CREATE TABLESPACE %s LOCATION '%s'", name, place))
}

// Fill takes what room is left in a directory of a [SmallDisk], until the returned function is called.
func Fill(t testing.TB, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	free = sync.OnceFunc(func() {
		if err := os.Remove(name); err != nil {
			t.Errorf("make room: %v", err)
		}
	})
	t.Cleanup(free)
	for size := 1 << 20; size >= 512; { // down to the last page
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return free
}

// Grow gives a [SmallDisk] another size.
func Grow(t testing.TB, dir string, bytes int64) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", fmt.Sprintf("remount,size=%d", bytes),
		dir).CombinedOutput(); err != nil {
		t.Fatalf("grow the small disk: %v: %s", err, out)
	}
}

// FillLog writes to the server's log until the disk that it is on is full, which ends the server.
func FillLog(t testing.TB, address string) {
	t.Helper()
	for range 100 {
		if err := run(address, "CREATE TEMP TABLE filler AS SELECT 1; SELECT pg_logical_emit_message(false, "+
			"'filler', repeat('x', 4000000)); SELECT pg_switch_wal()"); err != nil {
			return
		}
	}
	t.Fatal("the log is not full after 100 files of it")
}
