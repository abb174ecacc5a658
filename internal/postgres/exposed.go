package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// exposedSQL lists who, besides the owner of the tables, may change what was logged, or passes by its triggers: rights
// on the log, the ledger, purges and the audit, and what is above all rights. Superusers are named only if the session
// is one: every cluster has some.
const exposedSQL = `WITH logs AS (
	SELECT c.oid, c.relname, c.relowner, c.relacl FROM pg_class c
	WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND (c.relname IN ('changes',
		'erased', 'batches', 'purges', 'audit') OR c.relname LIKE 'audit\_%')
), rights AS (
	SELECT l.relname, l.relowner, a.grantee, a.privilege_type, '' AS attname FROM logs l, aclexplode(l.relacl) a
	UNION ALL
	SELECT l.relname, l.relowner, a.grantee, a.privilege_type, t.attname FROM logs l
		JOIN pg_attribute t ON t.attrelid = l.oid AND NOT t.attisdropped, aclexplode(t.attacl) a
), lines AS (
	SELECT format('%s may %s', CASE r.grantee WHEN 0 THEN 'everybody (PUBLIC)' ELSE 'the role ' ||
		pg_get_userbyid(r.grantee) END, string_agg(DISTINCT r.privilege_type || CASE r.attname WHEN '' THEN '' ELSE ' ' || r.attname || ' of' END ||
		' ' || r.relname, ', ')) AS line
	FROM rights r WHERE r.grantee <> r.relowner AND r.privilege_type NOT IN ('SELECT', 'REFERENCES', 'MAINTAIN')
		AND NOT (r.privilege_type = 'INSERT' AND r.relname IN ('batches', 'purges', 'audit'))
	GROUP BY r.grantee
	UNION ALL
	SELECT format('the role %s is a superuser: it passes by every right', rolname) FROM pg_roles
	WHERE rolname = current_user AND rolsuper
	UNION ALL
	SELECT format('the role %s is a member of %s, which owns the tables', current_user, pg_get_userbyid(o.relowner))
	FROM (SELECT DISTINCT relowner FROM logs) o WHERE pg_get_userbyid(o.relowner) <> current_user
		AND pg_has_role(current_user, o.relowner, 'MEMBER')
		AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
	UNION ALL
	SELECT format('the role %s may write every table (pg_write_all_data)', pg_get_userbyid(m.member))
	FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE g.rolname = 'pg_write_all_data'
	UNION ALL
	SELECT format('%s runs with %s: triggers do not write the log', coalesce('the role ' || pg_get_userbyid(
		nullif(s.setrole, 0)), 'every role'), v)
	FROM pg_db_role_setting s, unnest(s.setconfig) v WHERE v LIKE 'session\_replication\_role=%' AND v NOT LIKE '%=origin'
		AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
) SELECT line FROM lines ORDER BY line COLLATE "C"`

// Exposed lists who may change what was logged although only functions of its owner should: it can't be prevented, and
// only the chain of the log shows it afterwards.
func Exposed(ctx context.Context, s *Store) ([]string, error) {
	var list []string
	err := s.query(ctx, "exposed", exposedSQL, nil, func(r pgx.Rows) error {
		var line string
		err := r.Scan(&line)
		list = append(list, line)
		return err
	})
	if len(list) > maxDrift {
		list = append(list[:maxDrift], fmt.Sprintf("and %d more", len(list)-maxDrift))
	}
	return list, err
}
