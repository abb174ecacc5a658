package postgres

import (
	"context"
	_ "embed" // the shape
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// shapeText is the schema that the migrations create in an empty database, a line for each part. A test compares it.
//
//go:embed shape.txt
var shapeText string

// ShapeSQL describes the schema of the tables, a line for each column, index, constraint, trigger and function: a name,
// a colon, and a definition. Spaces and parentheses, which vary between PostgreSQL versions, are removed. Months of the
// audit, which are made later, are left out.
const ShapeSQL = `WITH here AS (
	SELECT c.oid, c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
	AND c.relnamespace = current_schema()::regnamespace AND c.relname <> 'goose_db_version'
), lines AS (
	SELECT format('column %s.%s: %s%s%s', h.relname, a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN
	a.attnotnull THEN ', not null' ELSE '' END,
		coalesce(CASE WHEN a.attgenerated <> '' THEN ', generated ' ELSE ', default ' END ||
		regexp_replace(pg_get_expr(d.adbin, d.adrelid), '[\s()]|::text', '', 'g'), '')) AS line
	FROM here h JOIN pg_attribute a ON a.attrelid = h.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	UNION ALL
	SELECT format('index %s of %s: %s%s', i.relname, h.relname, CASE WHEN x.indisunique THEN 'unique ' ELSE '' END,
		regexp_replace(regexp_replace(pg_get_indexdef(x.indexrelid), '^.* USING ', ''), '[\s()]|::text', '', 'g') ||
		CASE WHEN x.indisvalid THEN '' ELSE ', not valid' END)
	FROM here h JOIN pg_index x ON x.indrelid = h.oid JOIN pg_class i ON i.oid = x.indexrelid
	UNION ALL
	SELECT format('constraint %s of %s: %s%s', k.conname, h.relname, regexp_replace(pg_get_constraintdef(k.oid),
	'[\s()]|::text', '', 'g'),
		CASE WHEN k.convalidated THEN '' ELSE ', not valid' END)
	FROM here h JOIN pg_constraint k ON k.conrelid = h.oid WHERE k.contype IN ('c', 'f')
	UNION ALL
	SELECT ` + triggerLine + `
	FROM here h JOIN pg_trigger t ON t.tgrelid = h.oid AND NOT t.tgisinternal JOIN pg_proc p ON p.oid = t.tgfoid
	UNION ALL
	SELECT format('rule %s of %s: %s', r.rulename, h.relname, regexp_replace(pg_get_ruledef(r.oid), '\s+', ' ', 'g'))
	FROM here h JOIN pg_rewrite r ON r.ev_class = h.oid
	UNION ALL
	SELECT format('%s of %s: on', w.what, c.relname)
	FROM pg_class c JOIN here h ON h.oid = c.oid CROSS JOIN unnest(ARRAY[CASE WHEN c.relpersistence <> 'p' THEN
		'no logging to WAL' END, CASE WHEN c.relrowsecurity THEN 'row security' END, CASE WHEN EXISTS (SELECT FROM
		pg_inherits i WHERE i.inhrelid = c.oid OR i.inhparent = c.oid AND c.relkind = 'r') THEN 'inheritance' END]) w(what)
	WHERE w.what IS NOT NULL
	UNION ALL
	SELECT format('function %s(%s): returns %s, %s%s, body %s', p.proname, pg_get_function_identity_arguments(p.oid),
	pg_get_function_result(p.oid), p.provolatile, CASE WHEN p.prosecdef THEN ', as its owner' ELSE '' END,
		md5(regexp_replace(regexp_replace(p.prosrc, '--[^\n]*', '', 'g'), '\s+', '', 'g')))
	FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'tenet\_%'
) SELECT line FROM lines ORDER BY line COLLATE "C"`

// triggerLine is the line of a trigger t of a table h that runs the function p: whether it is enabled, when it runs,
// and with which arguments. The schema of a function is named where it is another one than that of the tables.
const triggerLine = `format('trigger %s of %s: %s, type %s%s, runs %s%s(%s)%s', t.tgname, h.relname, CASE t.tgenabled
	WHEN 'A' THEN 'always' WHEN 'O' THEN 'on' ELSE 'off' END, t.tgtype, CASE WHEN
	t.tgattr::text <> '' THEN ' for ' || (SELECT string_agg(a.attname, ' ' ORDER BY a.attnum) FROM pg_attribute a WHERE
	a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::int2[])) END, CASE WHEN p.pronamespace =
	current_schema()::regnamespace THEN '' ELSE p.pronamespace::regnamespace || '.' END, p.proname,
	replace(rtrim(encode(t.tgargs, 'escape'), '\0'), '\000', ', '), coalesce(', when ' || regexp_replace(substring(
	pg_get_triggerdef(t.oid) FROM ' WHEN \((.*)\) EXECUTE FUNCTION '), '[\s()]|::text', '', 'g'), ''))`

// maxDrift is the maximal number of reported differences.
const maxDrift = 20

// Drift lists how the schema of a database differs from the migrations: columns, indexes, constraints, triggers and
// functions. It is empty for a database with pending migrations. It only warns; [Store.Guards] checks the log's
// triggers and stops writes.
func Drift(ctx context.Context, s *Store) ([]string, error) {
	schema, err := s.Schema(ctx)
	if err != nil || schema.Version != schema.Newest {
		return nil, err
	}
	var is []string
	err = s.query(ctx, "shape", ShapeSQL, nil, func(r pgx.Rows) error {
		var line string
		err := r.Scan(&line)
		is = append(is, line)
		return err
	})
	if err != nil {
		return nil, err
	}
	drift := compareShapes(strings.Split(strings.TrimSpace(shapeText), "\n"), is)
	if len(drift) > maxDrift {
		drift = append(drift[:maxDrift], fmt.Sprintf("and %d more", len(drift)-maxDrift))
	}
	return drift, nil
}

// compareShapes lists how a shape differs from the wanted one.
func compareShapes(want, is []string) []string {
	made, there := map[string]string{}, map[string]string{}
	for lines, into := range map[*[]string]map[string]string{&want: made, &is: there} {
		for _, line := range *lines {
			name, what, _ := strings.Cut(line, ": ")
			into[name] = what
		}
	}
	var drift []string
	for name, what := range made {
		switch now, ok := there[name]; {
		case !ok:
			drift = append(drift, "there is no "+name)
		case now != what && strings.HasPrefix(name, "function "):
			drift = append(drift, name+" is another one than the migrations make")
		case now != what:
			drift = append(drift, fmt.Sprintf("%s is %q, and the migrations make %q", name, now, what))
		}
	}
	for name := range there {
		if _, ok := made[name]; !ok {
			drift = append(drift, name+" is not of the migrations")
		}
	}
	slices.Sort(drift)
	return drift
}
