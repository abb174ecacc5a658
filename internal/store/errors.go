package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"tenet/internal/knowledge"
)

// The errors of the contract.
var (
	// ErrNotFound says that there is no such document.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that a document is not at the version that its writer saw; see [ConflictError].
	ErrConflict = errors.New("conflict")
	// ErrReused says that a batch's id was already used with different content.
	ErrReused = errors.New("batch id was already used with different content")
	// ErrUnavailable says that the store can't be reached or can't answer now; see [UnavailableError].
	ErrUnavailable = errors.New("unavailable")
	// ErrIndexing is the cause of an [UnavailableError] of a search: the search index is being made. Everything else
	// works.
	ErrIndexing = errors.New("the search index is being made")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrGone says that the log is trimmed beyond the requested change; see [GoneError].
	ErrGone = errors.New("gone")
	// ErrUnauthenticated says that the caller is unknown.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden says that the caller may not do this; see [ForbiddenError].
	ErrForbidden = errors.New("forbidden")
)

// A ConflictError names the document that is not at the version its writer saw. It is [ErrConflict].
type ConflictError struct {
	Key  knowledge.Key
	Op   int   // index of the op in its batch
	Want int64 // the version that the writer saw; NoVersion: none
	Got  int64 // the version that is there; 0: none
	// WantBatch is the batch that wrote what the writer saw, if the op names a batch instead of a version; otherwise
	// the zero id.
	WantBatch knowledge.BatchID
	// GotBatch is the batch that wrote the current document, if it waits for the primary: Got is then only promised.
	GotBatch knowledge.BatchID
}

// Error says what was expected and what is there.
func (e *ConflictError) Error() string {
	none := knowledge.BatchID{}
	switch {
	case e.WantBatch != none && e.Got == 0:
		return fmt.Sprintf("conflict: %s was expected as batch %s left it and does not exist", e.Key, e.WantBatch)
	case e.WantBatch != none:
		return fmt.Sprintf("conflict: %s was expected as batch %s left it and is at version %d by another batch: "+
			"read it again; /batches/%s returns the expected batch's state",
			e.Key, e.WantBatch, e.Got, e.WantBatch)
	case e.GotBatch != none && e.Want == e.Got:
		return fmt.Sprintf("conflict: %s waits as batch %s, and its version %d is only promised: name the batch "+
			"instead, as if_batch or by If-Match",
			e.Key, e.GotBatch, e.Got)
	case e.Want == knowledge.NeverVersion:
		return fmt.Sprintf("conflict: %s is at version %d, which its writer has not seen: read it again", e.Key, e.Got)
	case e.Want == knowledge.NoVersion:
		return fmt.Sprintf("conflict: %s already exists, at version %d", e.Key, e.Got)
	case e.Got == 0:
		return fmt.Sprintf("conflict: %s was expected at version %d and does not exist", e.Key, e.Want)
	case e.Want == e.Got:
		return fmt.Sprintf("conflict: %s is at version %d, but its text is another than its writer saw, as after a "+
			"database was put back from a backup: read it again", e.Key, e.Got)
	default:
		return fmt.Sprintf("conflict: %s was expected at version %d and is at version %d: read it again", e.Key,
			e.Want, e.Got)
	}
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// A NotFoundError names a missing document. It is [ErrNotFound].
type NotFoundError struct {
	Key      knowledge.Key
	Source   knowledge.Source // the source of the answer; "" for the usual one
	Archived bool             // the document is in the archive, and a restore brings it back
}

// Error names the document.
func (e *NotFoundError) Error() string {
	if e.Archived {
		return e.Key.String() + " is archived"
	}
	return e.Key.String() + " does not exist"
}

// Is reports whether target is [ErrNotFound].
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// An UnavailableError says why a store can't answer. It is [ErrUnavailable].
type UnavailableError struct {
	Reason     string        // for the caller: the fault and what to do
	RetryAfter time.Duration // when to ask again; 0 if unknown
	ReadOnly   bool          // reads still work: a standby, a full disk
	Halt       bool          // an operator must act: the schema or the rights are wrong
	NotDone    bool          // a write was certainly not applied
	TooMany    bool          // the caller is over its quota: others are answered
	Err        error         // the cause, for the log; nil if there is none
}

// Error returns the reason.
func (e *UnavailableError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("unavailable: %s: %s", e.Reason, e.Err)
	}
	return "unavailable: " + e.Reason
}

// Is reports whether target is [ErrUnavailable].
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

// A GoneError says that the requested change is no longer in the log, and where the log begins. It is [ErrGone].
type GoneError struct {
	Oldest knowledge.Seq
	// Mirror says that only a mirror's part of the log begins at Oldest, while the whole log can't be asked. The change
	// still exists then, and the error is [ErrUnavailable].
	Mirror bool
	// Other says that the position is not in this log: the log has another history than the one it was read from, or
	// ends before it. Oldest is then 0.
	Other bool
	// At is where a label stands whose documents were asked for, and Keys are those that are no longer known as of
	// then, at most [MaxGoneKeys]; without any it is open which these are.
	At   knowledge.Seq
	Keys []knowledge.Key
}

// MaxGoneKeys is the largest number of documents that a [GoneError] names.
const MaxGoneKeys = 20

// Error says where to start instead.
func (e *GoneError) Error() string {
	switch {
	case len(e.Keys) > 0:
		names := make([]string, len(e.Keys))
		for i, key := range e.Keys {
			names[i] = key.String()
		}
		return fmt.Sprintf("gone: the log no longer has %s as of change %d, where the label stands: move the label",
			strings.Join(names, ", "), e.At)
	case e.At > 0 && !e.Mirror:
		return fmt.Sprintf("gone: the log begins at change %d and does not tell which documents have changed since "+
			"change %d, "+
			"where the label stands: move the label", e.Oldest, e.At)
	}
	if e.Other {
		return "gone: the position is from another history of this log, as after a restore from a backup or a " +
			"failover that lost changes, " +
			"or beyond its end: read everything again, then follow from there"
	}
	if e.Mirror {
		return fmt.Sprintf("unavailable: the primary can't be asked now, and the mirror's part of the log begins at "+
			"change %d: start there, or ask again later", e.Oldest)
	}
	return fmt.Sprintf("gone: the log begins at change %d: read everything again, then follow from there", e.Oldest)
}

// Is reports whether target is [ErrGone], or for a copy [ErrUnavailable].
func (e *GoneError) Is(target error) bool {
	if e.Mirror {
		return target == ErrUnavailable
	}
	return target == ErrGone
}

// A ProposedError says that a write was not applied but turned into a proposal, or is one that its writer has proposed
// before, which a person decides. Nothing was refused, and nothing is lost.
type ProposedError struct {
	Key     knowledge.Key     // of the proposal
	Receipt knowledge.Receipt // of the batch that made it
}

// Error names the proposal.
func (e *ProposedError) Error() string {
	return fmt.Sprintf("not written: it waits for a person as %s (tenet review show %s)", e.Key, e.Key.ID)
}

// A ForbiddenError says what the caller may not do. It is [ErrForbidden].
type ForbiddenError struct {
	Reason string // what was refused, and who may do it
	Right  string // the right that the caller lacks; "" if no right would help
}

// Error returns the reason.
func (e *ForbiddenError) Error() string { return "forbidden: " + e.Reason }

// Is reports whether target is [ErrForbidden].
func (e *ForbiddenError) Is(target error) bool { return target == ErrForbidden }

// An UnauthenticatedError says why a token is refused. It is [ErrUnauthenticated].
type UnauthenticatedError struct {
	Reason string
	ID     string // the principal's id, for the log; "" if the token is unknown
}

// Error returns the reason.
func (e *UnauthenticatedError) Error() string { return "not authenticated: " + e.Reason }

// Is reports whether target is [ErrUnauthenticated].
func (e *UnauthenticatedError) Is(target error) bool { return target == ErrUnauthenticated }
