package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// buildCommit is the number of documents in one transaction, which enter the search index together.
const buildCommit = 5000

// A Builder makes a new mirror file from a snapshot of the primary. It is a [store.Sink]. The file is valid only after
// Finish has returned.
type Builder struct {
	ctx   context.Context // a sink's methods take none, and a builder lives as long as one call
	path  string
	w     *writer
	t     *tx
	at    *knowledge.Position
	n     int
	piece int
	later []string // statements that create the indexes, run after the rows are written
}

var _ store.Sink = (*Builder)(nil)

// NewBuilder creates a new file at path and replaces an old one. The context applies to the whole build.
func NewBuilder(ctx context.Context, path string) (*Builder, error) {
	if err := removeFile(path); err != nil {
		return nil, &store.UnavailableError{Reason: "the new mirror can't be written beside the old one: look at " +
			"the data directory", Err: err}
	}
	if err := private(path); err != nil {
		return nil, err
	}
	if _, err := Migrate(ctx, path, -1); err != nil {
		return nil, err
	}
	w, err := openWriter(ctx, handle{path: path, bulk: true, conns: 1}, mirror)
	if err != nil {
		return nil, err
	}
	b := &Builder{ctx: ctx, path: path, w: w, t: &tx{writer: w, beside: beside()}, piece: buildCommit}
	if err := b.prepare(); err != nil {
		return nil, errors.Join(b.fail(err), b.Discard())
	}
	return b, nil
}

// prepare drops the indexes, so that each is sorted only once at the end, and begins the first transaction.
func (b *Builder) prepare() error {
	rows, err := b.w.conn.QueryContext(b.ctx,
		"SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	var names []string
	for rows.Next() {
		var name, sql string
		if err := rows.Scan(&name, &sql); err != nil {
			return err
		}
		names, b.later = append(names, name), append(b.later, sql)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := b.w.conn.ExecContext(b.ctx, "DROP INDEX "+name); err != nil {
			return err
		}
	}
	if err := b.execAll("BEGIN"); err != nil {
		return err
	}
	return b.t.setMeta(b.ctx, wholeIndex, int64(knowledge.IndexForm))
}

func (b *Builder) execAll(statements ...string) error {
	for _, sql := range statements {
		if _, err := b.w.conn.ExecContext(b.ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("build mirror: %w", translate(b.ctx, err))
}

// Begin implements [store.Sink].
func (b *Builder) Begin(at knowledge.Position) error {
	b.at = &at
	return nil
}

// Record implements [store.Sink].
func (b *Builder) Record(r *knowledge.Record) error {
	doc, err := r.Document()
	if err != nil {
		return b.fail(err)
	}
	tab := tableOf(r.Key.Kind)
	if err := b.t.exec(b.ctx, "INSERT INTO "+tab.name+" ("+tab.id+", rank, document) VALUES (?, ?, ?)", r.Key.ID,
		r.Rank, string(r.JSON)); err != nil {
		return b.fail(err)
	}
	if err := b.t.addFacets(b.ctx, r, doc); err != nil {
		return b.fail(err)
	}
	if searchable(r.Key.Kind) && r.Active {
		if err := b.t.enter(b.ctx, r, doc); err != nil {
			return b.fail(err)
		}
	}
	return b.step()
}

// Change implements [store.Sink].
func (b *Builder) Change(c *knowledge.Change) error {
	if err := b.t.insertChange(b.ctx, c); err != nil {
		return b.fail(err)
	}
	return b.step()
}

// step commits the transaction when it is large enough, and begins the next.
func (b *Builder) step() error {
	if b.n++; b.n%b.piece != 0 {
		return nil
	}
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if err := b.commit(); err != nil {
		return b.fail(err)
	}
	return b.fail(b.w.exec(b.ctx, "BEGIN"))
}

// beside returns a group in which as many index entries are made at once as there are processors.
func beside() *errgroup.Group {
	g := &errgroup.Group{}
	g.SetLimit(runtime.GOMAXPROCS(0))
	return g
}

func (b *Builder) commit() error {
	if err := b.t.beside.Wait(); err != nil {
		return err
	}
	b.t.beside = beside()
	if err := b.w.flush(b.ctx, &b.t.job); err != nil {
		return err
	}
	b.t.job = entries{}
	return b.w.exec(b.ctx, "COMMIT")
}

// Finish creates the indexes, checks the file and flushes it to disk.
func (b *Builder) Finish() error {
	if b.at == nil {
		return errors.Join(b.fail(errors.New("the snapshot did not say where it was taken")), b.Discard())
	}
	err := b.complete()
	if err == nil {
		err = b.w.close(b.ctx, false)
		b.w = nil
	}
	if err == nil {
		err = quickCheck(b.ctx, b.path)
	}
	if err == nil {
		err = errors.Join(syncPath(b.path), syncPath(filepath.Dir(b.path)))
	}
	if err != nil {
		return errors.Join(b.fail(err), b.Discard())
	}
	return nil
}

func (b *Builder) complete() error {
	if err := b.t.setPosition(b.ctx, b.at); err != nil {
		return err
	}
	if err := b.t.setMeta(b.ctx, "log_start", int64(b.at.Seq)); err != nil {
		return err
	}
	if err := b.commit(); err != nil {
		return err
	}
	if err := b.execAll(b.later...); err != nil {
		return err
	}
	return b.execAll("PRAGMA journal_mode = WAL")
}

// Discard deletes the file.
func (b *Builder) Discard() error {
	err := b.t.beside.Wait()
	if b.w != nil {
		err = errors.Join(err, b.w.close(b.ctx, false))
		b.w = nil
	}
	return errors.Join(err, removeFile(b.path))
}

// removeFile removes a database file with its -wal and -shm files.
func removeFile(path string) error {
	return errors.Join(remove(path), remove(path+"-wal"), remove(path+"-shm"), remove(path+"-journal"))
}
