package failover

import (
	"context"
	"errors"
	"strconv"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A class says what an error of the primary means for the caller and for the breaker.
type class int

const (
	fine     class = iota // the primary answered; errors of the caller's making count as answers
	infra                 // the primary can't be reached or can't answer: counts as a failure
	readOnly              // the primary answers reads and refuses writes
	// the primary answers other calls, and did not answer this write in time: it is busy, not down.
	late
	halted       // the primary's schema, rights or certificates are wrong: an operator must act
	disconnected // the caller disconnected: says nothing about the primary
)

// String names the class, for the log.
func (c class) String() string {
	switch c {
	case fine:
		return "answered"
	case infra:
		return "unreachable"
	case readOnly:
		return "read-only"
	case late:
		return "late"
	case halted:
		return "halted"
	case disconnected:
		return "caller disconnected"
	}
	return "class " + strconv.Itoa(int(c))
}

// classify sorts an error of a call that had a deadline of its own. Only the caller's context tells whether the caller
// disconnected; the error does not, since our deadline and the caller's look the same.
func classify(callerErr, err error) class {
	if err == nil {
		return fine
	}
	if u, ok := errors.AsType[*store.UnavailableError](err); ok {
		switch {
		case u.Halt:
			return halted
		case u.ReadOnly:
			return readOnly
		}
		return infra
	}
	switch {
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed),
		errors.Is(err, context.DeadlineExceeded) && callerErr == nil:
		return infra
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return disconnected
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrReused),
		errors.Is(err, store.ErrGone), isInvalid(err):
		return fine
	}
	return infra // an error outside the contract is a fault of the primary's side
}

func isInvalid(err error) bool {
	_, ok := errors.AsType[*knowledge.InvalidError](err)
	return ok
}

// reasonOf returns what callers may read of an error of the primary, "" for nothing.
func reasonOf(err error) string {
	if u, ok := errors.AsType[*store.UnavailableError](err); ok {
		return u.Reason
	}
	return ""
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// errExcluded tells the breaker to ignore a call.
var errExcluded = errors.New("not counted")

// errInfra tells the breaker to count a call as a failure.
var errInfra = errors.New("infrastructure failure")

func isExcluded(err error) bool { return errors.Is(err, errExcluded) }
func isInfra(err error) bool    { return errors.Is(err, errInfra) }

// forBreaker returns the error that the breaker gets for a class.
func (c class) forBreaker() error {
	switch c {
	case infra:
		return errInfra
	case disconnected, late:
		return errExcluded
	case fine, readOnly, halted:
	}
	return nil
}

// A diskError is an error of this instance's files. It says nothing about the primary.
type diskError struct{ err error }

func (e *diskError) Error() string { return e.err.Error() }
func (e *diskError) Unwrap() error { return e.err }

// onDisk marks an error as one of this instance's files.
func onDisk(err error) error {
	if err == nil {
		return nil
	}
	return &diskError{err}
}
