package failover

import (
	"context"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A class says what an error of the primary means for the one who asked and for the breaker.
type class int

const (
	fine     class = iota // an answer: also the caller's own errors
	infra                 // the primary can't be reached or can't answer: counts
	readOnly              // it answers reads and refuses writes
	halted                // its schema or its rights are wrong: a person must act
	gone                  // the caller went away: says nothing about the primary
)

// classify looks at an error of a call that had a deadline of its own. Whether the caller has gone is the caller's
// context's to say, never the error's: our own deadline and the caller's look the same.
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
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed), errors.Is(err, context.DeadlineExceeded) && callerErr == nil:
		return infra
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return gone
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

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// errGone stands for a call whose caller went away, in what the breaker is told.
var errGone = errors.New("the caller went away")

// errInfra stands for an infrastructure failure, in what the breaker is told.
var errInfra = errors.New("infrastructure failure")

func isGone(err error) bool         { return errors.Is(err, errGone) }
func counts4breaker(err error) bool { return errors.Is(err, errInfra) }

// told is what the breaker is told of a class.
func (c class) told() error {
	switch c {
	case infra:
		return errInfra
	case gone:
		return errGone
	case fine, readOnly, halted:
	}
	return nil
}
