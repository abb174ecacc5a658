package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	scratchPrefix = ".scratch-"
	ownerFile     = "owner"  // locked by the process that uses the scratch
	besideFile    = "beside" // name of a directory beside the scratch that belongs to its restore
)

// staleAfter is how long a scratch must be unmodified to count as one of a killed process, where locks can't tell.
const staleAfter = 6 * time.Hour

// A scratch is a temporary directory of this process. Its owner file is locked while it is used. The system releases
// the lock when the process ends, however it ends, and the next sweep removes the directory. A process id would not
// do: in a container the killed process and the next one have the same.
type scratch struct {
	dir   string
	owner *os.File
}

// newScratch creates a scratch in a directory, owned by the account.
func newScratch(parent string, account Account) (*scratch, error) {
	dir, err := os.MkdirTemp(parent, scratchPrefix+"*")
	if err != nil {
		return nil, err
	}
	s := &scratch{dir: dir}
	// The file has its name only when it is locked, so that no sweep finds it unlocked.
	name := s.path(ownerFile)
	s.owner, err = os.OpenFile(name+newSuffix, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // we made its directory
	if err == nil {
		_, _ = lockNow(s.owner) // a file system without locks: sweeps go by the age
		err = errors.Join(os.Rename(name+newSuffix, name), account.give(dir))
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

const newSuffix = ".new"

// path returns the path of a name in the scratch.
func (s *scratch) path(name string) string { return filepath.Join(s.dir, name) }

// belongs notes the name of a directory beside the scratch that a sweep has to remove too, unless the restore has
// succeeded.
func (s *scratch) belongs(name string) error { return writeSynced(s.path(besideFile), []byte(name)) }

// remove removes the scratch with everything in it.
func (s *scratch) remove() error {
	err := os.RemoveAll(s.dir)
	if s.owner != nil {
		err = errors.Join(err, s.owner.Close())
	}
	return err
}

// sweep removes the scratches of killed processes from a directory. end is called with each before.
func sweep(parent string, end func(dir string) error) error {
	list, err := filepath.Glob(filepath.Join(parent, scratchPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range list {
		if err := sweepOne(dir, end); err != nil {
			return fmt.Errorf("remove what a killed process left in %s: %w", dir, err)
		}
	}
	return nil
}

func sweepOne(dir string, end func(dir string) error) (err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil // its process has removed it
	}
	stale := time.Since(info.ModTime()) > staleAfter
	owner, err := os.OpenFile(filepath.Join(dir, ownerFile), os.O_RDWR, 0) //nolint:gosec // found in the directory
	if err != nil {
		if stale { // a process was killed when it had just made it; nothing else than ours is empty then
			_ = os.Remove(filepath.Join(dir, ownerFile+newSuffix))
			_ = os.Remove(dir)
		}
		return nil // being made or removed, or of another account
	}
	defer func() { err = errors.Join(err, owner.Close()) }()
	if locked, err := lockNow(owner); !locked && (err == nil || !stale) {
		return nil // in use, or maybe
	}
	if err := end(dir); err != nil {
		return err
	}
	return errors.Join(removeBeside(dir), os.RemoveAll(dir))
}

// removeBeside removes the tablespaces beside a scratch that belong to its restore. If the restored data is no longer
// in the scratch, the restore has succeeded.
func removeBeside(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, besideFile)) //nolint:gosec // found in the directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, dataName)); err != nil {
		return nil //nolint:nilerr // it is where it belongs
	}
	name := string(text)
	if name != filepath.Base(name) || !strings.HasSuffix(name, "-"+spaceName) {
		return nil // a hostile file must not have root remove what is elsewhere
	}
	return os.RemoveAll(filepath.Join(filepath.Dir(dir), name)) //nolint:gosec // it is beside the scratch
}

// endServer stops the cluster that a killed process left running on the data of its scratch.
func endServer(ctx context.Context, account Account, dir string) {
	data := filepath.Join(dir, dataName)
	bin, err := programs(data)
	if err != nil || !runsOn(data) {
		return
	}
	r := &restored{account: account, bin: bin, work: "/"}
	_ = r.run(ctx, "pg_ctl", "stop", "--pgdata="+data, "--mode=immediate", "--wait") // an error if none runs
}

// runsOn reports whether the process that a data directory names works in it. After a restart of the machine its
// number may be that of another process, also of the live cluster.
func runsOn(data string) bool {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid")) //nolint:gosec // of our own scratch
	if err != nil {
		return false
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	if _, err := os.Readlink("/proc/self/cwd"); err != nil {
		return true // a system that does not tell
	}
	at, err := os.Readlink(filepath.Join("/proc", filepath.Base(strings.TrimSpace(pid)), "cwd"))
	if err != nil {
		return false
	}
	here, err := filepath.EvalSymlinks(data)
	return err == nil && at == here
}
