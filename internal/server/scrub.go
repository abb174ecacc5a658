package server

import (
	"context"
	"errors"
	"fmt"
	"os"

	"tenet/internal/erasure"
	"tenet/internal/store"
)

// Scrub copies what a store holds into a new database, with nobody's name in it; see [erasure.Scrub]. The options name
// an embedded database in a directory that is empty or not there, or a PostgreSQL without a log of changes.
func Scrub(ctx context.Context, from store.Store, o Options, key []byte) (*erasure.ScrubReport, error) {
	if o.DatabaseURL == "" {
		entries, err := os.ReadDir(o.DataDir)
		switch {
		case err == nil && len(entries) > 0:
			return nil, &store.UnavailableError{Halt: true, NotDone: true, Reason: fmt.Sprintf(
				"%s holds files already, such as %s: a scrubbed copy goes into an empty directory, and never over "+
					"another database", o.DataDir, entries[0].Name())}
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("look at the directory of the copy: %w", err)
		}
	}
	if o.DatabaseURL != "" { // nothing of a directory is used, and the source may have its own open
		var err error
		if o.DataDir, err = os.MkdirTemp("", "tenet-scrub-"); err != nil {
			return nil, fmt.Errorf("make a directory for the scrub: %w", err)
		}
		defer os.RemoveAll(o.DataDir) //nolint:errcheck // it is empty
	}
	o.NoSeed = true
	l, err := OpenLocal(ctx, o)
	if err != nil {
		return nil, err
	}
	report, err := erasure.Scrub(ctx, from, l.engine, key)
	return report, errors.Join(err, l.Close())
}
