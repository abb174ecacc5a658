package sqlite

import (
	"context"
	"database/sql"
	_ "embed" // the shape
	"fmt"
	"slices"
	"strings"
)

// shapeText is the schema that the migrations create, a line for each part. A test keeps it current.
//
//go:embed shape.txt
var shapeText string

// shapeSQL reads the schema of a file without the tables of the search index, which is rebuilt when needed.
const shapeSQL = `SELECT type || ' ' || name || ': ' || sql FROM sqlite_schema WHERE sql IS NOT NULL
	AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
	AND name <> 'goose_db_version' AND name NOT LIKE '%search%' ORDER BY type, name`

// maxDrift is the largest number of differences that are reported.
const maxDrift = 20

// Drift returns the differences between the schema of a store's file and the one that the migrations create: tables
// with their columns and checks, indexes, triggers. It is empty for a file that is not migrated yet.
func Drift(ctx context.Context, s *Store) ([]string, error) {
	if s.schema.Pending() {
		return nil, nil
	}
	is, err := shapeOf(ctx, s)
	if err != nil {
		return nil, err
	}
	want := strings.Split(strings.TrimSpace(shapeText), "\n")
	var drift []string
	for _, line := range want {
		name, _, _ := strings.Cut(line, ": ")
		switch i := slices.IndexFunc(is, func(l string) bool { return strings.HasPrefix(l, name+": ") }); {
		case i < 0:
			drift = append(drift, "there is no "+name)
		case is[i] != line:
			drift = append(drift, name+" is another one than the migrations make")
		}
	}
	for _, line := range is {
		name, _, _ := strings.Cut(line, ": ")
		if !slices.ContainsFunc(want, func(l string) bool { return strings.HasPrefix(l, name+": ") }) {
			drift = append(drift, name+" is not of the migrations")
		}
	}
	if len(drift) > maxDrift {
		drift = append(drift[:maxDrift], fmt.Sprintf("and %d more", len(drift)-maxDrift))
	}
	return drift, nil
}

func shapeOf(ctx context.Context, s *Store) ([]string, error) {
	var lines []string
	err := s.read(ctx, "shape", shapeSQL, nil, func(r *sql.Rows) error {
		var line string
		err := r.Scan(&line)
		lines = append(lines, strings.Join(strings.Fields(line), " "))
		return err
	})
	return lines, err
}
