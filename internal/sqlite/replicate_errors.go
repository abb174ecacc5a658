package sqlite

import "errors"

var (
	// ErrOtherHistory says that a change does not follow from what the mirror holds: the primary is another history.
	ErrOtherHistory = errors.New("the change belongs to another history than the mirror")
	// ErrGap says that changes are missing between what the mirror holds and what it was given.
	ErrGap = errors.New("changes are missing")
)
