package server

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
)

// A Schema tells how a database stands to the schemas that the program knows.
type Schema struct {
	Place   string `json:"place"`   // which database, in words
	Version int64  `json:"version"` // of the database; 0 for an empty one
	Newest  int64  `json:"newest"`  // that the program knows
}

// ReadSchema tells the schema of the database that the options name.
func ReadSchema(ctx context.Context, o Options) (Schema, error) {
	if err := o.badAddress(); err != nil {
		return Schema{}, err
	}
	if o.DatabaseURL != "" {
		s, err := postgres.ReadSchema(ctx, o.postgresAddress())
		return Schema{"the PostgreSQL at " + databasePlace(o.DatabaseURL), s.Version, s.Newest}, err
	}
	if err := o.embedded(); err != nil {
		return Schema{}, err
	}
	path := filepath.Join(o.DataDir, databaseFile)
	s, err := sqlite.ReadSchema(ctx, path)
	return Schema{"the embedded database " + path, s.Version, s.Newest}, err
}

// ReadContents tells how much the database that the options name holds. The place is its name: of a PostgreSQL that of
// the database, of the embedded one that of its file.
func ReadContents(ctx context.Context, o Options) (c knowledge.Contents, name string, err error) {
	if err := o.badAddress(); err != nil {
		return c, "", err
	}
	if o.DatabaseURL != "" {
		place := databasePlace(o.DatabaseURL)
		c, err = postgres.ReadContents(ctx, o.postgresAddress())
		return c, place[strings.LastIndex(place, "/")+1:], err
	}
	c, err = sqlite.ReadContents(ctx, filepath.Join(o.DataDir, databaseFile))
	return c, databaseFile, err
}

func (o Options) postgresAddress() postgres.Address {
	return postgres.Address{URL: o.DatabaseURL, AllowUnverifiedTLS: o.AllowUnverifiedTLS}
}

// Migrate brings the database that the options name up or down to a schema; below 0 means the newest. No tenet may be
// using the embedded one.
func Migrate(ctx context.Context, o Options, to int64) (_ Schema, err error) {
	if err := o.badAddress(); err != nil {
		return Schema{}, err
	}
	if o.DatabaseURL != "" {
		s, err := postgres.Migrate(ctx, o.postgresAddress(), to)
		return Schema{"the PostgreSQL at " + databasePlace(o.DatabaseURL), s.Version, s.Newest}, err
	}
	if err := o.embedded(); err != nil {
		return Schema{}, err
	}
	h, err := openHome(o)
	if err != nil {
		return Schema{}, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	path := h.path(databaseFile)
	s, err := sqlite.Migrate(ctx, path, to)
	return Schema{"the embedded database " + path, s.Version, s.Newest}, err
}
