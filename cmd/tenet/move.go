package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tenet/internal/interchange"
	"tenet/internal/server"
)

type moveSettings struct {
	NoHistory bool `name:"no-history" by:"flag" doc:"Only the documents: for a PostgreSQL that people have written to"`
	DryRun    bool `name:"dry-run" by:"flag" doc:"Show what would be brought over, and write nothing"`
	KeepGoing bool `name:"keep-going" by:"flag" doc:"Bring what fits although something does not"`
	Verbose   bool `name:"verbose" short:"v" by:"flag" doc:"List every document, with what changes line by line"`
}

func addMove(a *app) {
	var s moveSettings
	a.command(a.root, &cobra.Command{
		Use:   "move",
		Short: "Bring an embedded database over to PostgreSQL, with its history",
		Long: `Brings what lies in the embedded database of the data directory to the PostgreSQL of --database-url,
with its history: who wrote what and when. Everything is checked before anything is written; what is there already
stays, and the same again goes on where one stopped. When all of it has come over, tenet.db is renamed to
tenet.db.moved, and is no longer looked at.

No server may run on the data directory meanwhile. A PostgreSQL in which somebody has written takes no history:
--no-history brings the documents as they are.`,
		Example: `  tenet move --database-url postgres://tenet@db.example.com/tenet --dry-run
  tenet move --database-url postgres://tenet@db.example.com/tenet`,
	}, &s, func(ctx context.Context, _ []string) error { return move(ctx, a, &s) })
}

func move(ctx context.Context, a *app, s *moveSettings) (err error) {
	to := a.localOptions()
	if to.DatabaseURL == "" || a.URL != "" {
		return usageError("name the PostgreSQL with --database-url; a server that runs is not moved to: stop it first")
	}
	path := server.DatabasePath(to)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return errors.Join(usageError("there is no %s: nothing is to be moved", path), clearMoves(to.DataDir))
	}
	dir, err := os.MkdirTemp(to.DataDir, movesPattern)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what was brought over is there
	file := filepath.Join(dir, "embedded.jsonl")
	if err := takeOut(ctx, a, file, s.NoHistory); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	to.NoSeed = true // a starter set of today would stand in the way of the one that comes
	d, err := a.openWith(ctx, to)
	if err != nil {
		return err
	}
	defer a.close(d)
	how := importSettings{KeepGoing: s.KeepGoing, Verbose: s.Verbose, Source: "embedded"}
	if s.DryRun {
		how.DryRun = dryClient
	}
	if err := importAll(ctx, a, d, []string{file}, interchange.ReadOptions{Format: "", Source: ""},
		&how); err != nil || s.DryRun {
		return err
	}
	moved := server.MovedPath(to)
	for _, end := range []string{"-wal", "-shm", ""} { // killed in between, the same again finds the database
		if err := os.Rename(path+end, moved+end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	a.say("%s is %s now", path, moved)
	return clearMoves(to.DataDir)
}

// clearMoves removes what killed moves have left: each has written out the whole database.
func clearMoves(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, movesPattern))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// movesPattern is the pattern of the folders that moves write the database out into.
const movesPattern = ".move-*"

// takeOut writes everything in the embedded database of the data directory to a file.
func takeOut(ctx context.Context, a *app, file string, noHistory bool) (err error) {
	from := a.localOptions()
	from.DatabaseURL, from.NoSeed, from.Before = "", true, true
	local, err := server.OpenLocal(ctx, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.Close()) }()
	settings := exportSettings{Format: "jsonl", NoHistory: noHistory, Active: "any"}
	queries, err := settings.queries()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // a folder that was just made
	if err != nil {
		return err
	}
	e := exporter{a: a, d: &door{Store: local, local: local}, s: &settings, queries: queries}
	_, err = e.writeLines(ctx, f)
	return errors.Join(err, f.Close())
}
