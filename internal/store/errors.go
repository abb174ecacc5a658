package store

import (
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
)

// The errors of the contract.
var (
	// ErrNotFound says that there is no such document.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that a document is not at the version that its writer saw; see [ConflictError].
	ErrConflict = errors.New("conflict")
	// ErrReused says that a batch's id was used before with another content.
	ErrReused = errors.New("batch id was used before for other content")
	// ErrUnavailable says that the store can't be reached or can't answer now; see [UnavailableError].
	ErrUnavailable = errors.New("unavailable")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrGone says that the log no longer holds what was asked for; see [GoneError].
	ErrGone = errors.New("gone")
	// ErrUnauthenticated says that nobody known is calling.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden says that the caller may not do this; see [ForbiddenError].
	ErrForbidden = errors.New("forbidden")
)

// A ConflictError tells which document was not as its writer saw it. It is [ErrConflict].
type ConflictError struct {
	Key  knowledge.Key
	Op   int   // index of the op in its batch
	Want int64 // the version that the writer saw; NoVersion: none
	Got  int64 // the version that is there; 0: none
}

// Error says what was wanted and what is there.
func (e *ConflictError) Error() string {
	switch {
	case e.Want == knowledge.NoVersion:
		return fmt.Sprintf("conflict: %s exists already, at version %d", e.Key, e.Got)
	case e.Got == 0:
		return fmt.Sprintf("conflict: %s was expected at version %d and does not exist", e.Key, e.Want)
	default:
		return fmt.Sprintf("conflict: %s was expected at version %d and is at version %d: read it again", e.Key, e.Want, e.Got)
	}
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// A NotFoundError tells what was not there. It is [ErrNotFound].
type NotFoundError struct {
	Key    knowledge.Key
	Source knowledge.Source // who said so; "" for whoever answers usually
}

// Error names the document.
func (e *NotFoundError) Error() string { return e.Key.String() + " does not exist" }

// Is reports whether target is [ErrNotFound].
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// An UnavailableError tells why a store can't answer. It is [ErrUnavailable].
type UnavailableError struct {
	Reason     string        // for the caller: what is wrong and what to do
	RetryAfter time.Duration // when to ask again; 0 when unknown
	ReadOnly   bool          // reads still work: a standby, a full disk
	Halt       bool          // a person must act: the schema or the rights are wrong
	NotDone    bool          // it is certain that a write was not done
	Err        error         // the cause, for the log; nil where there is none
}

// Error says why.
func (e *UnavailableError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("unavailable: %s: %s", e.Reason, e.Err)
	}
	return "unavailable: " + e.Reason
}

// Is reports whether target is [ErrUnavailable].
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

// A GoneError tells where the log begins. It is [ErrGone].
type GoneError struct {
	Oldest knowledge.Seq
	// Copy says that it is a mirror's part of the log that begins there, while the whole log can't be asked. Nothing is gone
	// then: the error is [ErrUnavailable].
	Copy bool
}

// Error says where to start instead.
func (e *GoneError) Error() string {
	if e.Copy {
		return fmt.Sprintf("unavailable: the primary can't be asked now, and the mirror's part of the log begins at change %d: ask for that, or come back later", e.Oldest)
	}
	return fmt.Sprintf("gone: the log begins at change %d: read everything afresh, then follow from there", e.Oldest)
}

// Is reports whether target is [ErrGone], or for a copy [ErrUnavailable].
func (e *GoneError) Is(target error) bool {
	if e.Copy {
		return target == ErrUnavailable
	}
	return target == ErrGone
}

// A ForbiddenError tells what the caller may not do. It is [ErrForbidden].
type ForbiddenError struct {
	Reason string // what was refused, and who may do it
}

// Error says what was refused.
func (e *ForbiddenError) Error() string { return "forbidden: " + e.Reason }

// Is reports whether target is [ErrForbidden].
func (e *ForbiddenError) Is(target error) bool { return target == ErrForbidden }
