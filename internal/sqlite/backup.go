package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tenet/internal/store"
)

// Backup writes a copy of the whole database as of one moment to path. Writes go on meanwhile. When Backup returns, the
// copy has been checked for damage and is on disk; a file that was at path before is replaced only then.
func (f *file) Backup(ctx context.Context, path string) error {
	part := path + ".part"
	if err := remove(part); err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	defer remove(part) //nolint:errcheck // missing already if all went well
	if err := private(part); err != nil {
		return err
	}
	err := f.using(ctx, func(p *pool) error {
		db, err := handle{path: p.path, conns: 1}.open()
		if err != nil {
			return err
		}
		defer db.Close() //nolint:errcheck // only the copy was checked
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", part)
		return f.translate(ctx, err)
	})
	if err != nil {
		return err
	}
	if err := quickCheck(ctx, part); err != nil {
		return err
	}
	if err := errors.Join(remove(part+"-wal"), remove(part+"-shm"), syncPath(part), os.Rename(part, path),
		syncPath(filepath.Dir(path))); err != nil {
		return &store.UnavailableError{Reason: "the backup can't be written to " + path +
			": look at its space and rights", Err: err}
	}
	return nil
}

// remove removes a file that may not be there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncPath flushes a closed file, or a directory, to disk.
func syncPath(path string) error {
	f, err := os.Open(path) //nolint:gosec // a path of the operator's
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
