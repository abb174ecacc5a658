package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tenet/internal/knowledge"
)

// Files in a data directory that say who owns it. The lock is a file of its own: closing the file of a lock gives the lock up,
// and nothing else opens this one.
const (
	lockFile  = "tenet.lock"
	ownerFile = "owner.json"
)

// Ownership says who owns a data directory.
type Ownership struct {
	PID     int            `json:"pid"`
	Address string         `json:"address"` // where the owner answers; "" while it does not yet
	Since   knowledge.Time `json:"since"`
}

// ErrOwned says that another process owns a data directory; see [OwnedError].
var ErrOwned = errors.New("another process owns the data directory")

// An OwnedError tells who owns a data directory. It is [ErrOwned].
type OwnedError struct {
	Dir   string
	Owner Ownership // its fields are zero where the owner has not said yet
}

// Error says who it is and what to do.
func (e *OwnedError) Error() string {
	who := "another process"
	if e.Owner.PID != 0 {
		who = fmt.Sprintf("process %d", e.Owner.PID)
	}
	if e.Owner.Address != "" {
		who += " at " + e.Owner.Address
	}
	return fmt.Sprintf("the data directory %s belongs to %s: talk to that one, stop it, or use another directory", e.Dir, who)
}

// Is reports whether target is [ErrOwned].
func (e *OwnedError) Is(target error) bool { return target == ErrOwned }

// An Owner is the one process that may use the files of a data directory. The system takes the ownership back when the process
// ends, however it ends.
type Owner struct {
	dir  string
	lock *os.File
}

// Own makes this process the owner of a data directory, which is made where it isn't there, and leaves word of who it is. The
// error is an [*OwnedError] when another one is.
func Own(dir string, who Ownership) (*Owner, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("own %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // below the operator's data directory
	if err != nil {
		return nil, fmt.Errorf("own %s: %w", dir, err)
	}
	taken, err := lockNow(f)
	switch {
	case err != nil:
		return nil, fmt.Errorf("own %s: %w", dir, errors.Join(err, f.Close()))
	case !taken:
		return nil, errors.Join(&OwnedError{Dir: dir, Owner: readOwnership(dir)}, f.Close())
	}
	o := &Owner{dir: dir, lock: f}
	if err := o.Announce(who); err != nil {
		return nil, errors.Join(err, o.Release())
	}
	return o, nil
}

// Announce leaves word of who the owner is and where it answers. A reader sees the whole of it, or what was there before.
func (o *Owner) Announce(who Ownership) error {
	data, err := json.Marshal(who)
	if err != nil {
		return fmt.Errorf("announce the owner of %s: %w", o.dir, err)
	}
	path := filepath.Join(o.dir, ownerFile)
	if err := os.WriteFile(path+".part", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("announce the owner of %s: %w", o.dir, err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("announce the owner of %s: %w", o.dir, err)
	}
	return nil
}

// Release gives the directory up.
func (o *Owner) Release() error {
	return errors.Join(remove(filepath.Join(o.dir, ownerFile)), o.lock.Close())
}

// readOwnership returns what the owner has left word of, as far as it can be read.
func readOwnership(dir string) Ownership {
	var who Ownership
	data, err := os.ReadFile(filepath.Join(dir, ownerFile)) //nolint:gosec // below the operator's data directory
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Ownership{}
	}
	if json.Unmarshal(data, &who) != nil {
		return Ownership{}
	}
	return who
}
