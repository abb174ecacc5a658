package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Only this file depends on the driver: on how it opens a file, and on what its errors mean.

// How long a statement waits for another process that holds a lock on the file.
const busyTimeout = 5 * time.Second

// The page cache of a connection, in KiB; the driver uses about twice as much. With a larger cache a bulk load writes
// fewer pages twice.
const (
	cacheKiB = 8 << 10
	bulkKiB  = 64 << 10
)

// walLimit is the size, in bytes, to which a checkpoint truncates the write-ahead log.
const walLimit = 64 << 20

// handle says how to open a file.
type handle struct {
	path     string
	readOnly bool
	// mirror is for a mirror: synchronous=NORMAL, so that a power cut may lose the last transactions, though a crash of
	// the process never does; and no foreign keys, since the primary has checked them.
	mirror bool
	// bulk is for a file that is deleted unless it is finished: without syncs and without rollback.
	bulk  bool
	conns int
}

// prepareDriver sets options of the whole process, before its first file is opened: locks that stay when another handle
// of the file is closed, and one statement for each pragma of an address.
//
//nolint:gochecknoglobals // the driver's own switches are global, and must be set once
var prepareDriver = sync.OnceValue(func() error {
	driver.StrictPragmas(true)
	if err := errors.Join(driver.RegisterDeterministicScalarFunction("tenet_audit_hash", 11, auditHash),
		driver.RegisterDeterministicScalarFunction("tenet_audit_chain", 3, auditChain)); err != nil {
		return err
	}
	_, err := driver.OFDLocking(true)
	if errors.Is(err, driver.ErrOFDLockingUnavailable) {
		return nil // only Linux has such locks
	}
	return err
})

// open returns a handle for a file. The file is opened by the first statement.
func (h handle) open() (*sql.DB, error) {
	if err := prepareDriver(); err != nil {
		return nil, fmt.Errorf("prepare the SQLite driver: %w", err)
	}
	q := url.Values{}
	q.Set("_busy_timeout", strconv.FormatInt(busyTimeout.Milliseconds(), 10))
	q.Set("_journal_mode", "WAL")
	q.Set("_synchronous", "FULL")
	q.Set("_foreign_keys", "1")
	cache := cacheKiB
	if h.mirror {
		q.Set("_synchronous", "NORMAL")
		q.Set("_foreign_keys", "0")
	}
	if h.bulk {
		q.Set("_journal_mode", "OFF")
		q.Set("_synchronous", "OFF")
		q.Set("_foreign_keys", "0")
		cache = bulkKiB
	}
	q.Set("_dqs", "0")
	q.Set("_error_rc", "1")
	q.Add("_pragma", fmt.Sprintf("cache_size(-%d)", cache))
	q.Add("_pragma", fmt.Sprintf("journal_size_limit(%d)", walLimit))
	q.Set("_txlock", "immediate")
	if h.readOnly {
		q.Set("mode", "rw") // do not create a file that was deleted
		q.Set("_query_only", "1")
		q.Set("_txlock", "deferred")
	} else {
		q.Add("_pragma", "secure_delete(1)") // purged texts must not stay in free space
		// keep statement journals in memory: as files they were a fifth of the time of a bulk write
		q.Add("_pragma", "temp_store(2)")
	}
	c, err := driver.NewConnector("file:" + (&url.URL{Path: h.path}).EscapedPath() + "?" + q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", h.path, err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(h.conns)
	db.SetMaxIdleConns(h.conns)
	return db, nil
}

// code returns the driver's code of an error, or 0.
func code(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code()
	}
	return 0
}

// translate converts the error of a call with a context into one of the store contract.
func translate(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return contract(err)
}

// contract converts an error of the driver, or an internal one, into one of the store contract.
func contract(err error) error {
	if err == nil || known(err) {
		return err
	}
	u := &store.UnavailableError{Err: err}
	switch code(err) & 0xff {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_PROTOCOL:
		u.Reason, u.RetryAfter, u.NotDone = "another process holds a lock on the database file: try again",
			time.Second, true
	case codes.SQLITE_FULL:
		u.Reason = "the disk of the data directory is full: free some space; nothing is lost, and reads still work"
		u.ReadOnly, u.NotDone, u.RetryAfter = true, true, 10*time.Second
	case codes.SQLITE_IOERR:
		u.Reason = "the disk of the data directory does not take writes: look at its space and health; reads may " +
			"still work"
		u.ReadOnly, u.RetryAfter = true, 10*time.Second
	case codes.SQLITE_READONLY, codes.SQLITE_PERM:
		u.Reason = "the database file can't be written: give the process the right to write in its data directory"
		u.ReadOnly, u.NotDone, u.Halt = true, true, true
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB, codes.SQLITE_FORMAT:
		u.Reason, u.Halt = "the database file is damaged: restore it from a backup", true
	case codes.SQLITE_CANTOPEN, codes.SQLITE_AUTH:
		u.Reason, u.Halt, u.NotDone = "the database file can't be opened: look at the data directory and its rights",
			true, true
	case codes.SQLITE_NOMEM:
		u.Reason, u.RetryAfter = "out of memory", 10*time.Second
	case codes.SQLITE_INTERRUPT:
		u.Reason, u.RetryAfter = "the statement was interrupted: try again", time.Second
	default:
		u.Reason, u.Halt = "the database file does not answer as this version of the program expects", true
	}
	return u
}

// known reports whether an error is one that a store may return.
func known(err error) bool {
	for _, k := range []error{
		store.ErrUnavailable, store.ErrNotFound, store.ErrConflict, store.ErrReused, store.ErrGone, store.ErrClosed,
		context.Canceled, context.DeadlineExceeded, ErrOtherHistory, ErrGap,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	var invalid *knowledge.InvalidError
	return errors.As(err, &invalid)
}

// damaged reports whether an error says that the file is damaged or no database.
func damaged(err error) bool {
	switch code(err) & 0xff {
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB, codes.SQLITE_FORMAT:
		return true
	}
	return false
}

// lost reports whether an error may have rolled back the whole transaction, and not only its statement.
func lost(err error) bool {
	return err != nil && code(err) != 0
}
