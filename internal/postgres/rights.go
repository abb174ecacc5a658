package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
)

// Roles are the roles that get rights. The migrating role owns the tables; the others own nothing.
type Roles struct {
	App    string // of the program
	Reader string // of people and reports that only read
}

// allRights are the rights on a table, in the order of messages. MAINTAIN came with 17 and is left to the owner.
func allRights() []string {
	return []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"}
}

// appRights returns the rights that the program's role needs on a table. The log can't be changed: only its owner's
// trigger writes it, and only its owner's functions trim it. The parts of the audit are written through the whole. An
// unknown table is treated as one of documents.
func appRights(table string) []string {
	if strings.HasPrefix(table, "audit_") {
		return []string{"SELECT"}
	}
	switch table {
	case "changes", "erased", "goose_db_version":
		return []string{"SELECT"}
	case "batches", "purges", "audit":
		return []string{"SELECT", "INSERT"}
	case "search", "facets":
		return []string{"SELECT", "INSERT", "DELETE"}
	}
	return []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
}

// appFunctions returns the functions that only the owner and the program's role may call.
func appFunctions() []string {
	return []string{
		"tenet_retain(timestamptz, bigint, bigint)", "tenet_retain_audit(timestamptz)", "tenet_make_months()",
		"tenet_enter(uuid[], text[], boolean[])",
		"tenet_erase(text, jsonb, uuid, text)",
	}
}

// Grants returns the statements that grant the roles their rights and revoke all others. The owner of the tables runs
// them, with the schema first in its search path.
func Grants(r Roles, schema, database string, tables []string, ownsDatabase bool) []string {
	s, d := pgx.Identifier{schema}.Sanitize(), pgx.Identifier{database}.Sanitize()
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	add("REVOKE ALL ON SCHEMA %s FROM PUBLIC", s)
	add("REVOKE ALL ON ALL TABLES IN SCHEMA %s FROM PUBLIC", s)
	add("ALTER DEFAULT PRIVILEGES IN SCHEMA %s REVOKE ALL ON TABLES FROM PUBLIC", s)
	if ownsDatabase {
		add("REVOKE ALL ON DATABASE %s FROM PUBLIC", d)
	}
	for _, role := range []struct {
		name   string
		rights func(table string) []string
	}{{r.App, appRights}, {r.Reader, func(string) []string { return []string{"SELECT"} }}} {
		if role.name == "" {
			continue
		}
		to := pgx.Identifier{role.name}.Sanitize()
		if ownsDatabase {
			add("REVOKE ALL ON DATABASE %s FROM %s", d, to)
			add("GRANT CONNECT ON DATABASE %s TO %s", d, to)
		}
		add("REVOKE ALL ON SCHEMA %s FROM %s", s, to)
		add("GRANT USAGE ON SCHEMA %s TO %s", s, to)
		add("REVOKE ALL ON ALL TABLES IN SCHEMA %s FROM %s", s, to)
		for _, t := range tables {
			add("GRANT %s ON %s.%s TO %s", strings.Join(role.rights(t), ", "), s, pgx.Identifier{t}.Sanitize(), to)
		}
		add("ALTER DEFAULT PRIVILEGES IN SCHEMA %s REVOKE ALL ON TABLES FROM %s", s, to)
		add("ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT %s ON TABLES TO %s", s, strings.Join(role.rights(""), ", "),
			to)
	}
	for _, f := range appFunctions() {
		add("REVOKE ALL ON FUNCTION %s.%s FROM PUBLIC", s, f)
		if r.App != "" {
			add("GRANT EXECUTE ON FUNCTION %s.%s TO %s", s, f, pgx.Identifier{r.App}.Sanitize())
		}
	}
	return list
}

// grantsSQL reads the arguments of Grants from the session's role and schema.
const grantsSQL = `SELECT current_schema()::text, current_database()::text,
	(SELECT pg_has_role(d.datdba, 'USAGE') FROM pg_database d WHERE d.datname = current_database()),
	ARRAY(SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace
	AND c.relkind IN ('r', 'p') ORDER BY 1),
	ARRAY(SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace
	AND c.relkind IN ('r', 'p')
		AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1),
	ARRAY(SELECT w.name FROM unnest($1::text[]) w (name) WHERE w.name <> '' AND NOT EXISTS (SELECT
	FROM pg_roles r WHERE r.rolname = w.name))`

// Grant grants the roles their rights in one transaction and returns the statements; with dry it only returns them.
func Grant(ctx context.Context, a Address, r Roles, dry bool) (list []string, err error) {
	pool, err := a.config()
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, pool.ConnConfig)
	if err != nil {
		return nil, translate(ctx, err, true)
	}
	defer bye(ctx, conn)
	var schema, database string
	var ownsDatabase bool
	var tables, others, missing []string
	if err := conn.QueryRow(ctx, grantsSQL, []string{r.App, r.Reader}).Scan(&schema, &database, &ownsDatabase, &tables,
		&others, &missing); err != nil {
		return nil, translate(ctx, err, true)
	}
	switch {
	case len(missing) > 0:
		return nil, knowledge.Invalid("", "there is no role %s: make it first, as deploy/postgres/roles.sql does",
			strings.Join(missing, ", "))
	case !slices.Contains(tables, "changes"):
		return nil, knowledge.Invalid("", "the schema %s of %s has no tables of tenet yet: run `tenet migrate "+
			"up` first", schema, database)
	case len(others) > 0:
		return nil, knowledge.Invalid("", "the role of this address does not own %s: rights are given by the owner "+
			"of the tables", strings.Join(others, ", "))
	}
	list = Grants(r, schema, database, tables, ownsDatabase)
	if dry {
		return list, nil
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range list {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(errors.New("no rights were given"), err)
	}
	return list, nil
}

// tablesSQL lists the tables of the schema.
const tablesSQL = `SELECT c.relname::text FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')`

// rightsSQL compares a role's rights with those it should have. It reads effective rights, however they were granted.
const rightsSQL = `WITH me AS (SELECT r.* FROM pg_roles r WHERE r.rolname = coalesce(nullif($1, ''), session_user)),
	tab AS (
	SELECT c.oid, c.relname::text AS name, c.relowner FROM pg_class c
	WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
), wanted AS (
	SELECT t.name, t.rights FROM unnest($2::text[], $3::text[]) AS t (name, rights)
)
SELECT 'role ' || me.rolname, 'is ' || a.what, false FROM me, LATERAL (VALUES (me.rolsuper, 'a superuser: it passes by every right'),
	(me.rolcreaterole, 'one that may make roles'), (me.rolcreatedb, 'one that may make databases'),
	(me.rolreplication, 'one that may replicate'), (me.rolbypassrls, 'one that passes by policies')) AS a (held, what)
	WHERE a.held
UNION ALL SELECT 'database ' || current_database(), p.what, false
FROM me, LATERAL (VALUES ('TEMPORARY'), ('CREATE')) AS p (what)
	WHERE NOT me.rolsuper AND has_database_privilege(me.oid, current_database(), p.what)
UNION ALL SELECT 'schema ' || current_schema(), 'CREATE', false FROM me WHERE NOT me.rolsuper
AND has_schema_privilege(me.oid, current_schema(), 'CREATE')
UNION ALL SELECT 'schema ' || current_schema(), format('ownership of %s tables', count(*)), false FROM me, tab
	WHERE NOT me.rolsuper AND pg_has_role(me.oid, tab.relowner, 'USAGE') HAVING count(*) > 0
UNION ALL SELECT 'table ' || tab.name, p.what, w.name IS NOT NULL AND p.what = ANY (string_to_array(w.rights, ','))
	FROM me, tab LEFT JOIN wanted w ON w.name = tab.name, LATERAL unnest($4::text[]) AS p (what)
	WHERE NOT me.rolsuper AND NOT pg_has_role(me.oid, tab.relowner, 'USAGE')
		AND has_table_privilege(me.oid, tab.oid, p.what) <> (p.what = ANY (string_to_array(coalesce(w.rights, $5),
		',')))
UNION ALL SELECT 'function ' || f.name, 'EXECUTE', true FROM me, unnest($6::text[]) AS f (name)
	WHERE NOT me.rolsuper AND to_regprocedure(f.name) IS NOT NULL
	AND NOT has_function_privilege(me.oid, to_regprocedure(f.name), 'EXECUTE')
ORDER BY 1, 2`

// A RightsFault is a right that a role has and should not have, or lacks and needs.
type RightsFault struct {
	On, Right string
	Missing   bool
}

// String describes the fault.
func (f RightsFault) String() string {
	if f.Missing {
		return f.On + ": lacks " + f.Right
	}
	return f.On + ": " + f.Right + " is too much"
}

// RightsFaults compares a role's rights with those that the program needs, "" for the session's own role.
func (i *Inspection) RightsFaults(ctx context.Context, role string) ([]RightsFault, error) {
	var names, rights []string
	err := i.query(ctx, tablesSQL, nil, func(r pgx.Rows) error {
		var name string
		err := r.Scan(&name)
		names, rights = append(names, name), append(rights, strings.Join(appRights(name), ","))
		return err
	})
	if err != nil {
		return nil, err
	}
	var list []RightsFault
	args := []any{role, names, rights, allRights(), strings.Join(appRights(""), ","), appFunctions()}
	err = i.query(ctx, rightsSQL, args, func(r pgx.Rows) error {
		var f RightsFault
		err := r.Scan(&f.On, &f.Right, &f.Missing)
		list = append(list, f)
		return err
	})
	return list, err
}
