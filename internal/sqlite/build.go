package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// buildCommit is how many documents are one transaction, and one piece of the full-text index.
const buildCommit = 5000

// buildLevels is how many levels the full-text index of a new file is moved up. Four pieces of a level are merged into one of
// the next, so the large piece is not written again before some hundred thousand writes have followed.
const buildLevels = 8

// A Builder makes a new mirror file from a snapshot of the primary. It is a [store.Sink]. Nothing of the file counts before
// Finish has returned.
type Builder struct {
	ctx   context.Context //nolint:containedctx // a sink's methods take none, and a builder lives as long as one call
	path  string
	w     *writer
	t     *tx
	at    *knowledge.Position
	n     int
	piece int
	later []string // the indexes, to be made when the rows are there
}

var _ store.Sink = (*Builder)(nil)

// NewBuilder begins a new file at path, in place of what is there. The context is that of the whole build.
func NewBuilder(ctx context.Context, path string) (*Builder, error) {
	if err := removeFile(path); err != nil {
		return nil, &store.UnavailableError{Reason: "the new mirror can't be written beside the old one: look at the data directory", Err: err}
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
	b := &Builder{ctx: ctx, path: path, w: w, t: &tx{writer: w}, piece: buildCommit}
	if err := b.prepare(); err != nil {
		return nil, errors.Join(b.fail(err), b.Discard())
	}
	return b, nil
}

// prepare puts the indexes aside, so that each is sorted once in the end, and begins the first transaction.
func (b *Builder) prepare() error {
	rows, err := b.w.conn.QueryContext(b.ctx, "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
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
	return b.execAll(setWords("automerge", 0), setWords("crisismerge", 2000), setWords("hashsize", 64<<20), "BEGIN")
}

// setWords returns the statement that sets an option of the full-text index.
func setWords(option string, value int) string {
	return fmt.Sprintf("INSERT INTO search_words (search_words, rank) VALUES ('%s', %d)", option, value)
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
	if err := b.t.exec(b.ctx, "INSERT INTO "+tab.name+" ("+tab.id+", rank, document) VALUES (?, ?, ?)", r.Key.ID, r.Rank, string(r.JSON)); err != nil {
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

// step ends a transaction when it is large enough.
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

func (b *Builder) commit() error {
	if err := b.w.flush(b.ctx, &b.t.job); err != nil {
		return err
	}
	b.t.job = entries{}
	return b.w.exec(b.ctx, "COMMIT")
}

// Finish makes the indexes, looks the file over and puts it on disk.
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
	err := b.execAll("INSERT INTO search_words (search_words) VALUES ('optimize')", setWords("automerge", 4), setWords("crisismerge", 16),
		setWords("hashsize", 1<<20), "PRAGMA journal_mode = WAL")
	if err != nil {
		return err
	}
	return b.lift()
}

// structureRow is the row in which FTS5 keeps which pieces its index is made of.
const structureRow = 10

// lift moves the full-text index up, so that the small pieces that writes leave are merged with one another. On the level where
// it was made, its large piece would be written anew, whole and in one go, by the next write but a few.
func (b *Builder) lift() error {
	var structure []byte
	if err := b.w.conn.QueryRowContext(b.ctx, "SELECT block FROM search_words_data WHERE id = ?", structureRow).Scan(&structure); err != nil {
		return err
	}
	lifted, ok := lifted(structure, buildLevels)
	if !ok {
		return errors.New("the full-text index is not of the form that this program knows")
	}
	_, err := b.w.conn.ExecContext(b.ctx, "UPDATE search_words_data SET block = ? WHERE id = ?", lifted, structureRow)
	return err
}

// lifted returns the structure of a full-text index with so many empty levels below those that it has. It is four bytes of a
// cookie, a mark, and numbers of one byte or more: of the levels, the pieces, the writes; then for each level that of the
// pieces being merged, that of the pieces, and what tells about each.
func lifted(structure []byte, levels byte) ([]byte, bool) {
	at := 4
	if len(structure) < at {
		return nil, false
	}
	if mark := []byte{0xff, 0, 0, 1}; bytes.HasPrefix(structure[at:], mark) {
		at += len(mark)
	}
	count := at
	for range 3 {
		for at < len(structure) && structure[at] >= 0x80 {
			at++
		}
		at++
	}
	if at > len(structure) || structure[count] > 0x7f-levels {
		return nil, false
	}
	up := slices.Concat(structure[:at], make([]byte, 2*int(levels)), structure[at:])
	up[count] += levels
	return up, true
}

// Discard throws the file away.
func (b *Builder) Discard() error {
	var err error
	if b.w != nil {
		err = b.w.close(b.ctx, false)
		b.w = nil
	}
	return errors.Join(err, removeFile(b.path))
}

// removeFile removes a database file with what belongs to it.
func removeFile(path string) error {
	return errors.Join(remove(path), remove(path+"-wal"), remove(path+"-shm"), remove(path+"-journal"))
}
