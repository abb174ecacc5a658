package server_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/pgtest"
	"tenet/internal/postgres"
)

//nolint:gochecknoglobals // a flag of the test
var updateFlag = flag.Bool("update", false, "write docs/schema.md anew")

// What the document is made of, out of the catalog of a migrated database. Each statement answers one text.
const (
	tablesSQL = `SELECT coalesce(string_agg(relname, ' ' ORDER BY relname COLLATE "C"), '') FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'goose_db_version'`
	columnsSQL = `SELECT string_agg(format('| %s | %s | %s | %s |', attname, replace(format_type(atttypid, atttypmod), '|', '/'),
  CASE WHEN attnotnull THEN 'no' ELSE 'yes' END,
  CASE WHEN attgenerated <> '' THEN 'generated: ' ELSE '' END || regexp_replace(coalesce(pg_get_expr(adbin, adrelid), ''), '\s+', ' ', 'g')), E'\n' ORDER BY attnum)
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`
	indexesSQL = `SELECT coalesce(string_agg(format('- %s: %s', indexname, regexp_replace(indexdef, '^.* USING ', '')), E'\n' ORDER BY indexname COLLATE "C"), '')
FROM pg_indexes WHERE schemaname = 'public' AND tablename = $1`
	triggersSQL = `SELECT coalesce(string_agg(tgname, ', ' ORDER BY tgname COLLATE "C"), '') FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal`
)

// TestSchemaDocumentIsCurrent makes docs/schema.md of a migrated database and compares it with the one that is there.
func TestSchemaDocumentIsCurrent(t *testing.T) {
	url := pgtest.URL(t)
	if _, err := postgres.Migrate(t.Context(), url, -1); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Schema\n\nGenerated from a migrated PostgreSQL database; `make docs` writes it anew. The embedded SQLite database has the same tables and columns,\n" +
		"but for its own means of search; there the columns of a document are generated from its canonical JSON in the column `document`.\n")
	for table := range strings.FieldsSeq(pgtest.Value(t, url, tablesSQL)) {
		fmt.Fprintf(&b, "\n## %s\n\n| column | type | null | default |\n| --- | --- | --- | --- |\n%s\n", table, pgtest.Value(t, url, columnsSQL, table))
		if indexes := pgtest.Value(t, url, indexesSQL, table); indexes != "" {
			fmt.Fprintf(&b, "\nIndexes:\n\n%s\n", indexes)
		}
		if triggers := pgtest.Value(t, url, triggersSQL, table); triggers != "" {
			fmt.Fprintf(&b, "\nTriggers: %s\n", triggers)
		}
	}
	path := filepath.Join("..", "..", "docs", "schema.md")
	if *updateFlag {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s is not what the migrations make: run make docs", path)
	}
}
