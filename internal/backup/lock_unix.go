//go:build unix

package backup

import (
	"errors"
	"os"
	"syscall"
)

// lockNow tries to lock a file for this process, and reports whether it succeeded. It does not wait.
func lockNow(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
