package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// SmallDisk returns a directory on a file system of its own that holds only so many bytes, to be filled up: for
// [Options] Dir or WALDir, or for [Server.Tablespace]. The test is skipped where it may not mount one, which takes root.
func SmallDisk(t testing.TB, bytes int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can mount a small disk")
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
		t.Skipf("skipped: cannot mount a small disk: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil { //nolint:noctx // the test's context is over
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
