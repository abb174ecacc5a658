package observe

import (
	"context"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A result is the result of a call, as an index.
type result int

const (
	resultOK          result = iota
	resultNotFound           // there is no such document
	resultConflict           // the document is not at the version that its writer saw
	resultInvalid            // a mistake of the caller
	resultRefused            // the caller is unknown, or may not do this
	resultGone               // the log is trimmed
	resultCancelled          // the caller disconnected or cancelled
	resultTimeout            // a deadline passed
	resultUnavailable        // the store can't answer
	resultClosed             // the store was closed
	resultError              // not an error of the contract: a bug
	results
)

// String returns the result's label.
func (r result) String() string {
	return [results]string{
		"ok", "not_found", "conflict", "invalid", "refused", "gone", "cancelled", "timeout", "unavailable", "closed",
		"error",
	}[r]
}

func resultOf(err error) result {
	if err == nil {
		return resultOK
	}
	for _, c := range []struct {
		target error
		is     result
	}{
		// A store may be unavailable because of its own deadline.
		{store.ErrUnavailable, resultUnavailable},
		{store.ErrNotFound, resultNotFound},
		{store.ErrConflict, resultConflict},
		{store.ErrReused, resultInvalid},
		{store.ErrUnauthenticated, resultRefused},
		{store.ErrForbidden, resultRefused},
		{store.ErrGone, resultGone},
		{store.ErrClosed, resultClosed},
		{context.Canceled, resultCancelled},
		{context.DeadlineExceeded, resultTimeout},
	} {
		if errors.Is(err, c.target) {
			return c.is
		}
	}
	if _, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		return resultInvalid
	}
	return resultError
}
