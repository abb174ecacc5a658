package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// SQLSTATEs of our own; see the first migration.
const (
	codeConflict  = "TN001"
	codeMissing   = "TN002"
	codeReused    = "TN003"
	codeReference = "TN004"
)

// codeReadOnly is the answer of a standby, or of a fenced primary, to a write.
const codeReadOnly = "25006"

// serverError returns the server's error, if the server sent one.
func serverError(err error) (*pgconn.PgError, bool) { return errors.AsType[*pgconn.PgError](err) }

// errRetry marks an error after which the call should be retried: the server aborted the transaction, or another write
// won.
var errRetry = errors.New("retry")

// translate translates an error of the driver into one of the contract. If notDone is set, nothing can have been
// committed. The caller's context is checked first: its deadline and ours look the same in an error.
func translate(caller context.Context, err error, notDone bool) error {
	if err == nil {
		return nil
	}
	if cerr := caller.Err(); cerr != nil {
		return cerr
	}
	if fault := certificateFault(err); fault != "" {
		return &store.UnavailableError{Reason: fault, Err: err, NotDone: true, Halt: true}
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		reason := "the database can't be reached"
		if errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
			reason = "the database did not answer in time"
		} else if why := plainCause(err); why != "" {
			reason += ": " + why
		}
		return &store.UnavailableError{Reason: reason, Err: err, NotDone: notDone || neverSent(err)}
	}
	return fromServer(pg)
}

// plainCause describes why a server can't be reached without naming hosts or users, since anybody may read it. It is ""
// for errors that belong only in the log.
func plainCause(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "its host name is not known: look at the address"
		}
		return "its host name can't be looked up"
	}
	if cert := verifyFault(err); cert != "" { // of any of several hosts
		return cert
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error() // such as connection refused
	}
	return ""
}

// neverSent reports whether the connection failed before anything was sent. It is never true of a sent statement.
func neverSent(err error) bool {
	if _, ok := errors.AsType[*notSentError](err); ok {
		return true
	}
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

// fromServer classifies a server's error by its code, never by its text. After ERROR, or FATAL before the commit,
// nothing was committed.
func fromServer(pg *pgconn.PgError) error {
	class := pg.Code
	if len(class) > 2 {
		class = class[:2]
	}
	away := &store.UnavailableError{Reason: "the database can't answer now", Err: pg, NotDone: true}
	switch {
	case pg.Code == codePreparedTwice, pg.Code == codeProtocol && fatal(pg):
		away.Halt, away.Reason = true, "the database address leads to a pooler, such as PgBouncer, that does not "+
			"keep a session's statements and settings "+
			"together: name PostgreSQL's own address, or a pool in session mode with the ignore_startup_parameters "+
			"that docs/operations/run.md gives"
		return away
	case fatal(pg):
		away.NotDone = false // the session may end during its commit
		if class == "28" || class == "3D" {
			away.Halt, away.NotDone = true, true
			away.Reason = "the database refuses this program's role, or does not exist: a person must look at the " +
				"address and the rights"
		}
		return away
	case pg.Code == codeReadOnly:
		away.ReadOnly, away.Reason = true, "the database is read-only: a standby, or fenced off"
		return away
	case pg.Code == "53100":
		away.ReadOnly, away.Reason = true, "the database's disk is full: writes wait until there is room"
		return away
	case pg.Code == "40001", pg.Code == "40P01", pg.Code == "55P03", pg.Code == "0A000", pg.Code == "26000",
		pg.Code == "23505":
		away.Reason, away.RetryAfter = "other writers stood in the way too often", time.Second
		return &retryError{away}
	case class == "08", class == "53", class == "57", class == "58", class == "XX":
		return away
	case class == "42", class == "28", class == "3D", class == "3F":
		away.Halt = true
		away.Reason = "the database's schema or rights are not what this program needs: run tenet migrate status"
		return away
	}
	return knowledge.Invalid("", "the database refuses it: %s", firstLine(pg.Message))
}

// fatal reports whether the error ended the session.
func fatal(pg *pgconn.PgError) bool {
	return pg.Severity == "FATAL" || pg.Severity == "PANIC" || pg.SeverityUnlocalized == "FATAL" ||
		pg.SeverityUnlocalized == "PANIC"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// A retryError asks for a retry, and holds the error to return after the last one.
type retryError struct{ err error }

// Error returns the text of that error.
func (e *retryError) Error() string { return e.err.Error() }

// Is reports whether target is errRetry.
func (e *retryError) Is(target error) bool { return target == errRetry }

// once returns the error inside of a retryError.
func once(err error) error {
	if r, ok := errors.AsType[*retryError](err); ok {
		return r.err
	}
	return err
}

// Codes that reveal a pooler in transaction mode: the server session already has a prepared statement of another
// client, or the pooler refuses a setting of the session.
const (
	codePreparedTwice = "42P05"
	codeProtocol      = "08P01"
)

// tries is how often a call is attempted if the server asks for a retry.
const tries = 8

// again calls do until it does not ask for a retry. The backoff grows, so that two writers do not collide again.
func again(ctx context.Context, do func() error) error {
	wait := 2 * time.Millisecond
	for i := 1; ; i++ {
		err := do()
		if !errors.Is(err, errRetry) {
			return err
		}
		if i == tries {
			return once(err)
		}
		if store.Pause(ctx, wait); ctx.Err() != nil {
			return ctx.Err()
		}
		wait *= 2
	}
}
