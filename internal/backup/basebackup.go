package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/store"
)

// BaseBackupOptions configure a [BaseBackup].
type BaseBackupOptions struct {
	Dir     string // of the copies
	Key     Key
	Account Account
	// Cluster is the cluster to back up; nil for an engine that only reads copies.
	Cluster Cluster
	// Address is the cluster's address without the password, and Env the other settings of libpq.
	Address string
	Env     []string
	// Restored returns the address of the restored database, on a socket's directory and a port.
	Restored func(socketDir string, port int) string
	// Inspect verifies the log of a restored database, and returns its facts.
	Inspect func(ctx context.Context, address string) (Facts, error)
	// Open opens a restored database for reading.
	Open    func(ctx context.Context, address string) (store.Reader, func() error, error)
	Keep    Keep
	Free    func(dir string) (uint64, bool)
	Program string
}

// A BaseBackup engine keeps full copies of a PostgreSQL cluster, made over a connection by PostgreSQL's pg_basebackup:
// for a cluster on whose host nothing can be run. It keeps no WAL between copies, so that a restore returns to a copy
// and not to any moment. Each copy is started and verified before it counts.
type BaseBackup struct {
	*Embedded
	o BaseBackupOptions
}

var _ Engine = (*BaseBackup)(nil)

// BaseBackupName is the name of the engine.
const BaseBackupName = "basebackup"

// baseFile is the output of pg_basebackup: the data directory, with the WAL that it needs.
const baseFile = "base.tar"

// NewBaseBackup returns the engine.
func NewBaseBackup(o BaseBackupOptions) *BaseBackup {
	b := &BaseBackup{o: o}
	e := EmbeddedOptions{
		Engine: BaseBackupName, Dir: o.Dir, Key: o.Key, File: baseFile, Inspect: b.inspect, Open: b.open, Keep: o.Keep,
		Free: o.Free, Program: o.Program,
	}
	if o.Cluster != nil {
		e.Database = baseSource{o.Cluster, b}
	}
	b.Embedded = NewEmbedded(e)
	b.account = o.Account
	return b
}

// Full implements [Engine].
func (b *BaseBackup) Full(ctx context.Context, progress Progress) (Copy, error) {
	if err := ownDir(b.o.Dir, b.o.Account); err != nil {
		return Copy{}, err
	}
	return b.Embedded.Full(ctx, progress)
}

// Incremental implements [Engine].
func (b *BaseBackup) Incremental(context.Context, Progress) (Copy, error) {
	return Copy{}, fmt.Errorf("%w: every copy by pg_basebackup is whole; use --full, or pgBackRest on the "+
		"database's host", ErrNotSupported)
}

// Restore implements [Engine]: the copy is started and verified in scratch, and appears as a cluster that was shut down
// in good order.
func (b *BaseBackup) Restore(ctx context.Context, target Target, dir string, progress Progress) (c Copy, err error) {
	if target.Point != "" {
		return c, fmt.Errorf("%w: no WAL is kept between copies by pg_basebackup; name a copy or a time, or use "+
			"pgBackRest on the database's host", ErrNotSupported)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return c, err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return c, fmt.Errorf("%s is not empty: a restore never writes over anything; name a new directory", dir)
	}
	if err := ownDir(filepath.Dir(dir), b.o.Account); err != nil {
		return c, err
	}
	if c, err = b.find(target); err != nil {
		return c, err
	}
	if err := b.room(c, filepath.Dir(dir)); err != nil {
		return c, err
	}
	if err := sweep(filepath.Dir(dir), b.endOf(ctx)); err != nil {
		return c, err
	}
	work, err := newScratch(filepath.Dir(dir), b.o.Account)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, work.remove()) }()
	if err := b.bring(ctx, c, work.dir, progress); err != nil { // this starts and verifies it
		return c, err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	return c, errors.Join(os.Rename(work.path(dataName), dir), syncDir(filepath.Dir(dir)))
}

// start unpacks a copy into a temporary directory and starts it.
func (b *BaseBackup) start(ctx context.Context, path string) (*restored, error) {
	work := filepath.Dir(path)
	data := filepath.Join(work, dataName)
	if err := errors.Join(b.o.Account.give(work), os.RemoveAll(data)); err != nil {
		return nil, err
	}
	if err := b.unpackBase(path, data); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, filepath.Base(path), err)
	}
	r, err := startRestored(ctx, b.o.Account, work, data)
	if err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

func (b *BaseBackup) inspect(ctx context.Context, path string) (Facts, error) {
	r, err := b.start(ctx, path)
	if err != nil {
		return Facts{}, err
	}
	f, err := b.o.Inspect(ctx, b.o.Restored(r.socket(), restoredPort))
	return f, errors.Join(err, r.stop())
}

func (b *BaseBackup) open(ctx context.Context, path string) (store.Reader, func() error, error) {
	r, err := b.start(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	s, done, err := b.o.Open(ctx, b.o.Restored(r.socket(), restoredPort))
	if err != nil {
		return nil, nil, errors.Join(err, r.stop())
	}
	return s, func() error { return errors.Join(done(), r.stop()) }, nil
}

// unpackBase writes the files of a base backup into a new data directory, owned by the account.
func (b *BaseBackup) unpackBase(path, data string) (err error) {
	in, err := os.Open(path) //nolint:gosec // in our own scratch
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // only read
	if err := ownDir(data, b.o.Account); err != nil {
		return err
	}
	root, err := os.OpenRoot(data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	tr := tar.NewReader(in)
	for {
		head, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Clean(head.Name)
		if name == "." {
			continue
		}
		switch head.Typeflag {
		case tar.TypeDir:
			err = root.Mkdir(name, 0o700)
		case tar.TypeReg:
			err = writeInto(root, name, tr)
		default:
			err = fmt.Errorf("it holds %q, which is neither a file nor a directory", head.Name)
		}
		if err := errors.Join(err, b.o.Account.give(filepath.Join(data, name))); err != nil {
			return err
		}
	}
}

func writeInto(root *os.Root, name string, r io.Reader) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// A baseSource makes base backups of a cluster.
type baseSource struct {
	Cluster
	b *BaseBackup
}

// Backup implements [Database].
func (s baseSource) Backup(ctx context.Context, path string) (err error) {
	program, err := newestProgram("pg_basebackup")
	if err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // in our own scratch
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	c := exec.CommandContext(ctx, program, "--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", //nolint:gosec // PostgreSQL's own
		"--no-password", "--dbname="+s.b.o.Address)
	c.Dir, c.Env = "/", append(os.Environ(), append(s.b.o.Env, "LC_ALL=C")...)
	c.Cancel = func() error { return c.Process.Signal(interrupt) }
	c.WaitDelay = stopTimeout
	s.b.o.Account.lend(c)
	var said bytes.Buffer
	c.Stdout, c.Stderr = out, &said
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("pg_basebackup: %w: %s; the role needs REPLICATION, and pg_hba.conf a line for it", err,
			readable(strings.TrimSpace(said.String())))
	}
	return out.Sync()
}

// newestProgram returns one of PostgreSQL's programs in the newest installed version, which supports older servers.
func newestProgram(name string) (string, error) {
	list, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil {
		return "", err
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	if len(list) > 0 {
		return slices.MaxFunc(list, func(a, b string) int { return version(a) - version(b) }), nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("PostgreSQL's program %s is not on this machine (Debian: apt-get install "+
			"postgresql): %w", name, err)
	}
	return path, nil
}
