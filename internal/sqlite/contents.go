package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"tenet/internal/knowledge"
)

// ReadContents counts the documents of the database file at path, whatever its schema. A missing file has none.
func ReadContents(ctx context.Context, path string) (c knowledge.Contents, err error) {
	s, err := ReadSchema(ctx, path)
	if _, gone := os.Stat(path); err != nil || s.Version == 0 || errors.Is(gone, fs.ErrNotExist) {
		return c, err
	}
	db, err := handle{path: path, readOnly: true, conns: 1}.open()
	if err != nil {
		return c, contract(err)
	}
	defer db.Close() //nolint:errcheck // nothing was written
	var tables []string
	for _, k := range knowledge.Kinds() {
		if k != knowledge.KindPrincipal {
			tables = append(tables, "(SELECT count(*) FROM "+tableOf(k).name+")")
		}
	}
	err = db.QueryRowContext(ctx, "SELECT "+strings.Join(tables, " + ")+
		", (SELECT count(*) FROM principals), (SELECT count(*) FROM changes)").
		Scan(&c.Documents, &c.Principals, &c.Changes)
	return c, translate(ctx, err)
}
