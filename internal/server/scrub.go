package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"tenet/internal/erasure"
	"tenet/internal/store"
)

// Scrub copies what a store holds into a new database, with nobody's name in it; see [erasure.Scrub]. The options name
// an embedded database in a directory that is empty or not there, or a PostgreSQL without a log of changes.
func Scrub(ctx context.Context, from store.Store, o Options, key []byte) (*erasure.ScrubReport, error) {
	to := o.DataDir
	if o.DatabaseURL == "" {
		entries, err := os.ReadDir(to)
		switch {
		case err == nil && len(entries) > 0:
			return nil, &store.UnavailableError{Halt: true, NotDone: true, Reason: fmt.Sprintf(
				"%s holds files already, such as %s: a scrubbed copy goes into an empty directory, and never over "+
					"another database", to, entries[0].Name())}
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("look at the directory of the copy: %w", err)
		}
	}
	// The copy is made beside its place, and moved there when it is whole: half a copy looks like a whole one. For a
	// PostgreSQL the directory stays empty; the source may have its own open.
	parent := ""
	if o.DatabaseURL == "" {
		parent = filepath.Dir(filepath.Clean(to))
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return nil, fmt.Errorf("make a directory for the scrub: %w", err)
		}
	}
	var err error
	if o.DataDir, err = os.MkdirTemp(parent, "tenet-scrub-"); err != nil {
		return nil, fmt.Errorf("make a directory for the scrub: %w", err)
	}
	defer os.RemoveAll(o.DataDir) //nolint:errcheck // it was moved, or is empty, or half a copy
	o.NoSeed = true
	l, err := OpenLocal(ctx, o)
	if err != nil {
		return nil, err
	}
	report, err := erasure.Scrub(ctx, from, l.engine, key)
	if err = errors.Join(err, l.Close()); err != nil || o.DatabaseURL != "" {
		return report, err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return report, fmt.Errorf("move the copy to its place: %w", err)
	}
	return report, os.Rename(o.DataDir, to)
}
