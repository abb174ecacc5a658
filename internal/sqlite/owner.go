package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"tenet/internal/knowledge"
)

// Files in a data directory that say who owns it. The lock has a file of its own, which nothing else opens: closing a
// file releases its lock.
const (
	lockFile = "tenet.lock"
	// OwnerFile stays when its owner has ended.
	OwnerFile = "owner.json"
)

// Ownership says who owns a data directory.
type Ownership struct {
	PID     int            `json:"pid"`
	Address string         `json:"address"` // the owner's address; "" before it listens
	Since   knowledge.Time `json:"since"`
	// Certificate is the file of the owner's TLS certificate; "" without TLS.
	Certificate string `json:"certificate,omitempty"`
}

// ErrOwned says that another process owns a data directory; see [OwnedError].
var ErrOwned = errors.New("another process owns the data directory")

// An OwnedError says which process owns a data directory. It is [ErrOwned].
type OwnedError struct {
	Dir   string
	Owner Ownership // its fields are zero until the owner has announced itself
}

// Error names the owner and says what to do.
func (e *OwnedError) Error() string {
	who := "another process"
	if e.Owner.PID != 0 {
		who = fmt.Sprintf("process %d", e.Owner.PID)
	}
	if e.Owner.Address != "" {
		who += " at " + e.Owner.Address
	}
	return fmt.Sprintf("the data directory %s belongs to %s: talk to that one, stop it, or use another directory",
		e.Dir, who)
}

// Is reports whether target is [ErrOwned].
func (e *OwnedError) Is(target error) bool { return target == ErrOwned }

// An Owner is the one process that may use the files of a data directory. The operating system releases the ownership
// when the process ends, however it ends.
type Owner struct {
	dir  string
	lock *os.File
}

// Own makes this process the owner of a data directory, creates the directory if it is missing, and writes the owner's
// file. If another process is the owner, the error is an [*OwnedError].
func Own(dir string, who Ownership) (*Owner, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("own %s: %w", dir, mayWrite(err))
	}
	// With a link to the lock of another directory, that directory's owner would count as the owner here, and callers
	// would send their tokens to the address in an owner's file beside the link.
	if info, err := os.Lstat(filepath.Join(dir, lockFile)); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("own %s: %s is no plain file: the lock of a data directory lies in it", dir, lockFile)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // below the operator's data directory
	if err != nil {
		return nil, fmt.Errorf("own %s: %w", dir, mayWrite(err))
	}
	taken, err := lockNow(f)
	switch {
	case err != nil:
		return nil, fmt.Errorf("own %s: %w", dir, errors.Join(err, f.Close()))
	case !taken:
		return nil, errors.Join(&OwnedError{Dir: dir, Owner: readOwnership(dir)}, f.Close())
	}
	o := &Owner{dir: dir, lock: f}
	// The lock decides who is the owner, not the owner's file: on a full disk that may be missing, and Announce reports
	// it.
	_ = o.Announce(who)
	return o, nil
}

// mayWrite says what to do about a directory that can't be written to; readers take its lock, too.
func mayWrite(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as the account that the directory belongs to, or let this one write there", err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: copy the directory to a disk that can be written to, and name the copy with --data-dir", err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: name a directory with --data-dir", err)
	}
	return err
}

// Announce writes who the owner is and its address. A reader sees the new file or the old one. On a full disk Announce
// overwrites the old file in place.
func (o *Owner) Announce(who Ownership) error {
	data, err := json.Marshal(who)
	if err != nil {
		return fmt.Errorf("announce the owner of %s: %w", o.dir, err)
	}
	data = append(data, '\n')
	path := filepath.Join(o.dir, OwnerFile)
	err = os.WriteFile(path+".part", data, 0o600)
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err == nil {
		return nil
	}
	err = errors.Join(err, remove(path+".part"))
	if overwrite(path, data) != nil {
		return fmt.Errorf("announce the owner of %s: %w", o.dir, err)
	}
	return nil
}

// overwrite rewrites a file in place. A concurrent reader may see neither the old nor the new text.
func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // below the operator's data directory
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	return errors.Join(err, f.Close())
}

// Release releases the directory. The owner's file stays, without an address: on a full disk the next owner needs its
// space.
func (o *Owner) Release() error {
	return errors.Join(o.Announce(Ownership{}), o.lock.Close())
}

// readOwnership reads the owner's file, as far as it is readable.
func readOwnership(dir string) Ownership {
	var who Ownership
	data, err := os.ReadFile(filepath.Join(dir, OwnerFile)) //nolint:gosec // below the operator's data directory
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Ownership{}
	}
	if json.Unmarshal(data, &who) != nil {
		return Ownership{}
	}
	return who
}
