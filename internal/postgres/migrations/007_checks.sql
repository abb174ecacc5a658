-- How a program finds that a rule is broken. The function that writes documents knows the column: the one before stays under another
-- name, and does what it did.

-- +goose Up
CREATE FUNCTION tenet_is_checks(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(list) = 'array' AND NOT coalesce(jsonb_path_exists(list, 'strict $[*] ? (@.type() != "object"
      || exists(@.id ? (@.type() != "string")) || exists(@.kind ? (@.type() != "string")) || exists(@.pattern ? (@.type() != "string"))
      || exists(@.message ? (@.type() != "string")) || exists(@.fix ? (@.type() != "string"))
      || exists(@.globs ? (@.type() != "array" || exists(@[*] ? (@.type() != "string")))))', '{}', true), false);

ALTER TABLE rules ADD COLUMN checks jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_checks(checks));

ALTER FUNCTION tenet_put_first RENAME TO tenet_put_plain;

-- +goose StatementBegin
CREATE FUNCTION tenet_put_first(doc_kind text, ops jsonb, versions jsonb, batch uuid, actor text, moment timestamptz) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  CASE doc_kind
  WHEN 'rule' THEN
    INSERT INTO rules (rule_id, category, title, description, severity, enforcement, examples, anti_patterns,
      violations_consequence, checks, priority, status, active, tags, scope, extra, created_by, created_at, updated_by, updated_at,
      batch_id)
    SELECT d.rule_id, d.category, d.title, d.description, d.severity, d.enforcement, d.examples, d.anti_patterns,
      d.violations_consequence, coalesce(d.checks, '[]'), d.priority, d.status, d.active, d.tags, d.scope, d.extra, actor, moment, actor,
      moment, batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::rules, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE rules t SET category = d.category, title = d.title, description = d.description, severity = d.severity, enforcement =
      d.enforcement, examples = d.examples, anti_patterns = d.anti_patterns, violations_consequence = d.violations_consequence,
      checks = coalesce(d.checks, '[]'), priority = d.priority, status = d.status, active = d.active, tags = d.tags, scope = d.scope,
      extra = d.extra, updated_by = actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::rules, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.rule_id = d.rule_id;
  ELSE
    PERFORM tenet_put_plain(doc_kind, ops, versions, batch, actor, moment);
  END CASE;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
BEGIN
  IF EXISTS (SELECT FROM rules WHERE checks <> '[]') THEN
    RAISE EXCEPTION 'rules have checks, which the program before can''t read: restore the backup made before the migration' USING ERRCODE = 'TN007';
  END IF;
END
$$;
-- +goose StatementEnd
DROP FUNCTION tenet_put_first;
ALTER FUNCTION tenet_put_plain RENAME TO tenet_put_first;
ALTER TABLE rules DROP COLUMN checks;
DROP FUNCTION tenet_is_checks;
