package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/settings"
	"tenet/internal/store"
)

// JournalOptions configure a [Journal]. Zero values stand for the defaults named.
type JournalOptions struct {
	// MaxBytes limits the size of the waiting entries. Entries beyond it are refused.
	MaxBytes int64 `name:"journal-max-bytes" default:"1073741824" doc:"Bytes the journal may hold; more is refused"`
	// Options are those of any file; Mirror and Versions have no effect.
	Options Options
}

// A Journal keeps batches on disk until the primary has applied them. Acknowledged entries survive a crash of the
// process and a power cut. Only one process may open it; see [Own].
type Journal struct {
	*file
	limit   int64
	waiting atomic.Int64 // bytes that wait
	people  people
}

// OpenJournal opens the journal file at path, creates it if it is missing, and migrates it. The context is for opening
// only.
func OpenJournal(ctx context.Context, path string, o JournalOptions) (*Journal, error) {
	settings.Defaults(&o)
	o.Options.Mirror = false
	f, err := openFile(ctx, path, journal, o.Options, nil)
	if err != nil {
		return nil, err
	}
	f.start(ctx)
	j := &Journal{file: f, limit: o.MaxBytes}
	d, err := j.Depth(ctx)
	if err != nil {
		_ = j.Close()
		return nil, err
	}
	j.waiting.Store(d.Bytes)
	return j, nil
}

// Append makes an entry durable. The same batch again changes nothing; its id with different content is
// [store.ErrReused]. A full journal is an [*store.UnavailableError] with NotDone. An entry whose batch the primary may
// have applied already is accepted even then, since it can't be refused any more.
func (j *Journal) Append(ctx context.Context, e store.Entry) error {
	row, err := encodeEntry(&e)
	if err != nil {
		return contract(err)
	}
	added := int64(0)
	err = j.do(ctx, "journal.append", func(ctx context.Context, t *tx) error {
		added = 0
		var was []byte
		known, err := t.one(ctx, "SELECT fingerprint FROM entries WHERE id = ?", []any{e.Batch.ID[:]}, &was)
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

// outcomeColumns lists the columns of an entry's outcome.
const outcomeColumns = "state, coalesce(primary_seq, 0), coalesce(versions, ''), coalesce(why, '')"

// Find returns a batch that the journal has ever accepted, with its state; else [store.ErrNotFound].
func (j *Journal) Find(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error) {
	var e store.Entry
	var out store.Outcome
	found := false
	err := j.read(ctx, "journal.find", "SELECT "+entryColumns+", "+outcomeColumns+" FROM entries WHERE id = ?",
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
	err := j.read(ctx, "journal.page", sizes, []any{after, n}, func(r *sql.Rows) error {
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
	err := j.read(ctx, name, query, args, func(r *sql.Rows) error {
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
		return contract(err)
	}
	return j.settle(ctx, "journal.applied", id, nil, func(ctx context.Context, t *tx, at int64) error {
		return t.exec(ctx, "UPDATE entries SET state = 'applied', settled_at = ?, primary_seq = ?, versions = ? "+
			"WHERE seq = ?",
			micros(knowledge.At(j.now())), int64(seq), text, at)
	})
}

// settle sets the outcome of a waiting batch. A batch that no longer waits stays as it is. An unknown batch is added
// first, if its row is given.
func (j *Journal) settle(ctx context.Context, name string, id knowledge.BatchID, row *entryRow,
	how func(ctx context.Context, t *tx, seq int64) error,
) error {
	freed := int64(0)
	err := j.do(ctx, name, func(ctx context.Context, t *tx) error {
		freed = 0
		var seq, bytes int64
		var state string
		const query = "SELECT seq, state, bytes FROM entries WHERE id = ?"
		known, err := t.one(ctx, query, []any{id[:]}, &seq, &state, &bytes)
		if err == nil && !known && row != nil {
			if err = row.insert(ctx, t); err == nil {
				known, err = t.one(ctx, query, []any{id[:]}, &seq, &state, &bytes)
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
	err := j.read(ctx, "journal.depth", "SELECT count(*), coalesce(sum(bytes), 0), min(taken_at), (SELECT count(*) "+
		"FROM parked WHERE resolution = '') "+
		"FROM entries INDEXED BY entries_queued WHERE state = 'queued'", nil, func(r *sql.Rows) error {
		var oldest *int64
		err := r.Scan(&d.Entries, &d.Bytes, &oldest, &d.Parked)
		d.Oldest = maybe(oldest)
		return err
	})
	return d, err
}

// Forget removes batches that were applied, or parked and resolved, before a time. It returns how many.
func (j *Journal) Forget(ctx context.Context, before knowledge.Time) (int64, error) {
	var n int64
	err := j.do(ctx, "journal.forget", func(ctx context.Context, t *tx) error {
		err := t.exec(ctx, "DELETE FROM parked WHERE seq IN (SELECT seq FROM entries WHERE settled_at < ? AND state "+
			"= 'resolved')", micros(before))
		if err != nil {
			return err
		}
		n, err = t.execCount(ctx, "DELETE FROM entries WHERE settled_at < ? AND state IN ('applied', 'resolved')",
			micros(before))
		return err
	})
	return n, err
}
