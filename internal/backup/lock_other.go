//go:build !unix

package backup

import (
	"errors"
	"os"
)

// lockNow has no locks on this system.
func lockNow(*os.File) (bool, error) { return false, errors.ErrUnsupported }
