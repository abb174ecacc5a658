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
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
AND relname <> 'goose_db_version'`
	columnsSQL = `SELECT string_agg(format('| %s | %s | %s | %s |', attname, replace(format_type(atttypid, atttypmod),
		'|', '/'),
  CASE WHEN attnotnull THEN 'no' ELSE 'yes' END,
  CASE WHEN attgenerated <> '' THEN 'generated: ' ELSE '' END || regexp_replace(coalesce(pg_get_expr(adbin, adrelid),
  ''), '\s+', ' ', 'g')), E'\n' ORDER BY attnum)
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = $1::regclass
AND attnum > 0 AND NOT attisdropped`
	indexesSQL = `SELECT coalesce(string_agg(indexname || '|' || regexp_replace(indexdef, '^.* USING ', ''), E'\n'
		ORDER BY indexname COLLATE "C"), '')
FROM pg_indexes WHERE schemaname = 'public' AND tablename = $1`
	constraintsSQL = `SELECT coalesce(string_agg('- ' || pg_get_constraintdef(oid), E'\n'
		ORDER BY contype, pg_get_constraintdef(oid) COLLATE "C"), '')
FROM pg_constraint WHERE conrelid = $1::regclass AND contype IN ('c', 'f')`
	monthsSQL   = `SELECT coalesce(pg_get_partkeydef($1::regclass), '')`
	triggersSQL = `SELECT coalesce(string_agg(tgname, ', ' ORDER BY tgname COLLATE "C"), '') FROM pg_trigger WHERE ` +
		`tgrelid = $1::regclass AND NOT tgisinternal`
)

// reasons say which question each index answers, by the end of its name or all of it.
func reasons() [][2]string {
	return [][2]string{
		{"batches_pkey", "a batch is let in once"},
		{"batches_found", "the ends of batches that changed nothing, for retention"},
		{"changes_pkey", "the log from a number on"},
		{"changes_by_batch", "what a batch did: receipts, undo"},
		{"changes_by_key", "the history and the versions of a document; one change for each version"},
		{"changes_by_kind", "the log of one kind"},
		{"facets_pkey", "the tags of a document, to take them away"},
		{"facets_by_value", "pages by tag and by language, in house order"},
		{"search_by_words", "rare words"},
		{"search_by_house", "common words, in house order"},
		{"search_by_kind", "common words of one kind"},
		{"search_by_category", "common words in a category"},
		{"search_pkey", "the words of a document, to replace them"},
		{"purges_pkey", "whether a document may be removed, and the last version of its id"},
		{"purges_archived", "the archive, by kind and id; one text for each id"},
		{"audit_by_at", "the audit of a time; what is too old"},
		{"audit_by_actor", "what a principal was refused, and what it read"},
		{"audit_by_key", "who read a document, and who was refused it"},
		{"audit_pkey", "the audit, the newest first; PostgreSQL wants the month in it"},
		{"audit_head_pkey", "the one row there is"},
		{"heartbeat_pkey", "the one row there is"},
		{"audit_erased_pkey", "what an erasure has left of an entry"},
		{"job_runs_by_started_at", "the newest runs; what is too old"},
		{"job_runs_pkey", "a run is claimed once"},
		{"standings_by_state", "repositories in a state"},
		{"standings_by_since", "how long repositories have been in a state"},
		{"standings_by_touched", "repositories that nobody touches any more"},
		{"effect_days_by_day", "days that are too old"},
		{"effects_by_verdict", "documents by what they do"},
		{"_by_category_house", "pages of a category, in house order"},
		{"_by_category_updated", "pages of a category, the last changed first"},
		{"_by_category_title", "pages of a category by title"},
		{"_by_category_id", "pages of a category by id, and its foreign key"},
		{"_by_house", "pages in house order"},
		{"_by_updated", "pages, the last changed first"},
		{"_by_title", "pages by title"},
		{"_by_enforcement", "pages by enforcement"},
		{"_by_status", "pages by status"},
		{"_by_severity", "pages by severity"},
		{"_by_rule", "pages of a rule's violations, and its foreign key"},
		{"_by_repository", "pages of a repository's violations"},
		{"_pkey", "one by its id"},
	}
}

// reasonOf returns what an index is for. An index that nobody can give a reason for should not be there.
func reasonOf(t *testing.T, index string) string {
	t.Helper()
	for _, r := range reasons() {
		if strings.HasSuffix(index, r[0]) {
			return r[1]
		}
	}
	t.Errorf("nothing says what the index %s is for: add it to reasons, or drop it", index)
	return ""
}

// preface tells what answers questions by content, and where the reasons of the tables stand.
const preface = `
What differs from the design that the tables began with, and why, says
[docs/decisions.md](decisions.md#where-tables-types-and-indexes-differ).

Questions by the content of JSON, and what answers them: *which rules are for Go?* ` +
	"`tenet list rules --language go`" + `, by facets; *which examples mention a function?* search, by words; *which rules came from this file?* a tag, by facets; *which documents have this key in
` + "`extra`" + `?* no index: psql reads the table.
`

// TestSchemaDocumentIsCurrent makes docs/schema.md of a migrated database and compares it with the one that is there.
func TestSchemaDocumentIsCurrent(t *testing.T) {
	url := pgtest.URL(t)
	if _, err := postgres.Migrate(t.Context(), postgres.Address{URL: url}, -1); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Schema\n\nGenerated from a migrated PostgreSQL database; `make docs` writes it anew. The " +
		"embedded SQLite database has the same tables and columns,\n" +
		"but for its own means of search and the months of the audit; there the columns of a document are generated " +
		"from " +
		"its canonical JSON in the column `document`.\n")
	b.WriteString(preface)
	for table := range strings.FieldsSeq(pgtest.Value(t, url, tablesSQL)) {
		fmt.Fprintf(&b, "\n## %s\n\n| column | type | null | default |\n| --- | --- | --- | --- |\n%s\n", table,
			pgtest.Value(t, url, columnsSQL, table))
		if by := pgtest.Value(t, url, monthsSQL, table); by != "" {
			fmt.Fprintf(&b, "\nPartitioned by %s: a part for each month, made ahead by the job `audit.months`; "+
				"`audit_first` "+
				"holds what was there before,\nand `audit_rest` what no month was made for.\n", by)
		}
		if constraints := pgtest.Value(t, url, constraintsSQL, table); constraints != "" {
			fmt.Fprintf(&b, "\nConstraints:\n\n%s\n", constraints)
		}
		if indexes := pgtest.Value(t, url, indexesSQL, table); indexes != "" {
			b.WriteString("\n| index | of | for |\n| --- | --- | --- |\n")
			for line := range strings.Lines(indexes + "\n") {
				name, columns, _ := strings.Cut(strings.TrimSpace(line), "|")
				fmt.Fprintf(&b, "| %s | %s | %s |\n", name, columns, reasonOf(t, name))
			}
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
