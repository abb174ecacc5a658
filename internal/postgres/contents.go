package postgres

import (
	"context"
	"fmt"
	"strings"

	"tenet/internal/knowledge"
)

// ReadContents counts the documents of the database at an address, and the servers that are connected to it.
func ReadContents(ctx context.Context, a Address) (c knowledge.Contents, err error) {
	m, err := newMigrator(a, false)
	if err != nil {
		return c, err
	}
	defer m.db.Close() //nolint:errcheck // nothing was written
	s, err := m.schema(ctx)
	if err != nil || s.Version == 0 {
		return c, err
	}
	var tables []string
	for _, k := range knowledge.Kinds() {
		if k != knowledge.KindPrincipal {
			tables = append(tables, "(SELECT count(*) FROM "+k.Plural()+")")
		}
	}
	err = m.db.QueryRowContext(ctx, "SELECT "+strings.Join(tables, " + ")+
		", (SELECT count(*) FROM principals), (SELECT count(*) FROM changes), "+
		"(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tenet' "+
		"AND pid <> pg_backend_pid())").
		Scan(&c.Documents, &c.Principals, &c.Changes, &c.Tenets)
	if err != nil {
		return c, fmt.Errorf("count the documents of the database: %w", translate(ctx, err, true))
	}
	return c, nil
}
