package worktree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// ErrLocked means that another run still held the lock at the deadline.
var ErrLocked = errors.New("another run is at work")

// lockPause is the time between two attempts to lock.
const lockPause = 20 * time.Millisecond

// Lock waits for a lock until ctx ends, and returns the function that releases it. The lock of a process that dies is
// released by the system.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // of the user's cache
	if err != nil {
		return nil, err
	}
	for {
		taken, err := lock(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if taken {
			return func() { _ = f.Close() }, nil // closing releases it
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, errors.Join(ErrLocked, f.Close())
		}
	}
}
