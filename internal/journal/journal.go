// Package journal keeps batches on disk until the primary has applied them, and those that wait for a person. It also
// keeps what else waits for the primary: uses of templates, and entries of the audit.
package journal

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/settings"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// Options configure a [Journal]. Zero values stand for the defaults named.
type Options struct {
	// MaxBytes limits the size of the waiting entries. Entries beyond it are refused.
	MaxBytes int64 `name:"journal-max-bytes" default:"1073741824" least:"1" doc:"Bytes the journal may hold; more is refused"`
}

// A Journal keeps batches on disk until the primary has applied them. Acknowledged entries survive a crash of the
// process and a power cut. Only one process may open it; see [sqlite.Own].
type Journal struct {
	file    *sqlite.File
	limit   int64
	waiting atomic.Int64 // bytes that wait
	people  people

	requeued int64
}

// Open opens the journal file at path, creates it if it is missing, and migrates it. The context is for opening
// only.
func Open(ctx context.Context, path string, o Options) (*Journal, error) {
	settings.Defaults(&o)
	older, err := withoutSums(ctx, path)
	if err != nil {
		return nil, err
	}
	f, err := sqlite.OpenFile(ctx, path, tables())
	if err != nil {
		return nil, err
	}
	j := &Journal{file: f, limit: o.MaxBytes}
	if older {
		err = j.sumOutcomes(ctx)
	}
	if err == nil {
		err = j.requeue(ctx)
	}
	var d store.JournalDepth
	if err == nil {
		d, err = j.Depth(ctx)
	}
	if err != nil {
		_ = j.Close()
		return nil, err
	}
	j.waiting.Store(d.Bytes)
	return j, nil
}

//go:embed migrations/*.sql
var migrations embed.FS

// tables describes the file.
func tables() sqlite.Tables {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a valid one
	}
	return sqlite.Tables{
		Migrations: files, What: "the journal",
		Damaged: "save what can still be read with tenet doctor journal --export, then stop the server and move the " +
			"journal away",
	}
}

// Close closes the file. Every acknowledged write is in it.
func (j *Journal) Close() error { return j.file.Close() }

// Backup writes a copy of the whole file as of one moment to path. Writes go on meanwhile. When Backup returns, the
// copy has been checked for damage and is on disk.
func (j *Journal) Backup(ctx context.Context, path string) error { return j.file.Backup(ctx, path) }

// Append makes an entry durable. The same batch again changes nothing; its id with different content is
// [store.ErrReused]. A full journal is an [*store.UnavailableError] with NotDone. An entry whose batch the primary may
// have applied already is accepted even then, since it can't be refused any more.
func (j *Journal) Append(ctx context.Context, e store.Entry) error {
	row, err := encodeEntry(&e)
	if err != nil {
		return j.file.Fault(err)
	}
	added := int64(0)
	err = j.file.Write(ctx, "journal.append", func(ctx context.Context, t *sqlite.Tx) error {
		added = 0
		var was []byte
		known, err := t.One(ctx, "SELECT fingerprint FROM entries WHERE id = ?", []any{e.Batch.ID[:]}, &was)
		if err != nil {
			return err
		}
		if known {
			if string(was) != string(e.Fingerprint[:]) {
				return store.ErrReused
			}
			return nil
		}
		if !e.Unknown && j.waiting.Load()+row.bytes > j.limit {
			return fullJournal(j.limit)
		}
		added = row.bytes
		return row.insert(ctx, t)
	})
	if err == nil {
		j.waiting.Add(added)
	}
	return err
}

func fullJournal(limit int64) error {
	return &store.UnavailableError{
		Reason: fmt.Sprintf("the journal is full: %d bytes wait for the primary, which does not answer; wait "+
			"until it is back, or raise the journal's limit", limit),
		RetryAfter: 30 * time.Second, NotDone: true, ReadOnly: true,
	}
}

// entryColumns lists the columns of an entry.
const entryColumns = "seq, id, fingerprint, actor, caller, taken_at, batch_at, origin, unknown, document_schema, " +
	"ops, bases, left_behind, message, sum"

// prefixed returns the columns of an entry, of the table e.
func prefixed() string { return "e." + strings.ReplaceAll(entryColumns, ", ", ", e.") }

// outcomeColumns lists the columns of an entry's outcome.
const outcomeColumns = "state, coalesce(primary_seq, 0), coalesce(versions, ''), coalesce(why, '')"

// Find returns a batch that the journal has ever accepted, with its state; else [store.ErrNotFound].
func (j *Journal) Find(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error) {
	var e store.Entry
	var out store.Outcome
	found := false
	err := j.file.Read(ctx, "journal.find", "SELECT "+entryColumns+", "+outcomeColumns+" FROM entries WHERE id = ?",
		[]any{id[:]}, func(r *sql.Rows) error {
			found = true
			var versions string
			var err error
			if e, err = scanEntry(r, &out.State, &out.Seq, &versions, &out.Why); err != nil {
				return err
			}
			out.Versions, err = decodeVersions(versions)
			return err
		})
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return e, out, err
}

// pageBytes limits the size of a page of waiting entries; a larger entry is a page of its own.
const pageBytes = 16 << 20

// Oldest returns at most n waiting entries after a seq, the oldest first, or fewer if they are large. An empty page
// means that none waits.
func (j *Journal) Oldest(ctx context.Context, after int64, n int) ([]store.Entry, error) {
	const sizes = "SELECT seq, bytes FROM entries INDEXED BY entries_queued WHERE state = 'queued' AND seq > ? " +
		"ORDER BY seq LIMIT ?"
	last, total := after, int64(0)
	err := j.file.Read(ctx, "journal.page", sizes, []any{after, n}, func(r *sql.Rows) error {
		var seq, bytes int64
		err := r.Scan(&seq, &bytes)
		if total += bytes; last == after || total <= pageBytes {
			last = seq
		}
		return err
	})
	if err != nil || last == after {
		return nil, err
	}
	const query = "SELECT " + entryColumns + " FROM entries INDEXED BY entries_queued WHERE state = 'queued' AND " +
		"seq > ? AND seq <= ? ORDER BY seq"
	list, err := j.entries(ctx, "journal.oldest", query, after, last)
	if err == nil && len(list) == 0 { // all of them were applied or parked in between
		return j.Oldest(ctx, last, n)
	}
	return list, err
}

func (j *Journal) entries(ctx context.Context, name, query string, args ...any) ([]store.Entry, error) {
	list := []store.Entry{}
	err := j.file.Read(ctx, name, query, args, func(r *sql.Rows) error {
		e, err := scanEntry(r)
		list = append(list, e)
		return err
	})
	return list, err
}

// Applied records the result of a batch at the primary; the batch waits no longer.
func (j *Journal) Applied(ctx context.Context, id knowledge.BatchID, seq knowledge.Seq,
	versions map[knowledge.Key]int64,
) error {
	text, err := encodeVersions(versions)
	if err != nil {
		return j.file.Fault(err)
	}
	return j.settle(ctx, "journal.applied", id, nil, func(ctx context.Context, t *sqlite.Tx, at int64) error {
		now, change := micros(knowledge.At(time.Now())), int64(seq)
		return settled(ctx, t, &outcome{
			seq: at, id: id[:], state: knowledge.BatchApplied, at: &now, change: &change, versions: &text,
		})
	})
}

// settle sets the outcome of a waiting batch. A batch that no longer waits stays as it is. An unknown batch is added
// first, if its row is given.
func (j *Journal) settle(ctx context.Context, name string, id knowledge.BatchID, row *entryRow,
	how func(ctx context.Context, t *sqlite.Tx, seq int64) error,
) error {
	freed := int64(0)
	err := j.file.Write(ctx, name, func(ctx context.Context, t *sqlite.Tx) error {
		freed = 0
		var seq, bytes int64
		var state string
		const query = "SELECT seq, state, bytes FROM entries WHERE id = ?"
		known, err := t.One(ctx, query, []any{id[:]}, &seq, &state, &bytes)
		if err == nil && !known && row != nil {
			if err = row.insert(ctx, t); err == nil {
				known, err = t.One(ctx, query, []any{id[:]}, &seq, &state, &bytes)
			}
			bytes = 0 // it never waited
		}
		switch {
		case err != nil:
			return err
		case !known:
			return store.ErrNotFound
		case state != knowledge.BatchQueued:
			return nil
		}
		freed = bytes
		return how(ctx, t, seq)
	})
	if err == nil {
		j.waiting.Add(-freed)
	}
	return err
}

// Depth returns the number, the size and the age of the waiting batches.
func (j *Journal) Depth(ctx context.Context) (store.JournalDepth, error) {
	d := store.JournalDepth{Limit: j.limit}
	err := j.file.Read(ctx, "journal.depth", "SELECT count(*), coalesce(sum(bytes), 0), min(taken_at), (SELECT count(*) "+
		"FROM parked WHERE resolution = '') "+
		"FROM entries INDEXED BY entries_queued WHERE state = 'queued'", nil, func(r *sql.Rows) error {
		var oldest *int64
		err := r.Scan(&d.Entries, &d.Bytes, &oldest, &d.Parked)
		d.Oldest = maybe(oldest)
		return err
	})
	return d, err
}

// Forget removes batches that were applied, or parked and resolved, before a time. It returns how many. Those that
// somebody has marked as settled by hand stay: the next start lets them wait again.
func (j *Journal) Forget(ctx context.Context, before knowledge.Time) (int64, error) {
	var n int64
	err := j.file.Write(ctx, "journal.forget", func(ctx context.Context, t *sqlite.Tx) error {
		var by finding
		err := t.Each(ctx, outcomesSQL, nil, by.row)
		if err != nil {
			return err
		}
		const old = "FROM entries WHERE settled_at < ?1 AND state IN ('applied', 'resolved') AND seq NOT IN (SELECT " +
			"value FROM json_each(?2))"
		if err = t.Exec(ctx, "DELETE FROM parked WHERE seq IN (SELECT seq "+old+")", micros(before),
			by.seqs()); err != nil {
			return err
		}
		n, err = t.Count(ctx, "DELETE "+old, micros(before), by.seqs())
		return err
	})
	return n, err
}
