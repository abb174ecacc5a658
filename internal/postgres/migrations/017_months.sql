-- The audit by months, so that retention drops a month and does not remove its entries one by one. The month is that of the server's clock
-- when an entry was added, in a column of its own: the entry's time comes from elsewhere, after an outage much later, and a chain can be cut
-- at its beginning only. What was there before, and the current month, are audit_first; what no month was made for goes to audit_rest.

-- +goose Up
ALTER TABLE audit RENAME TO audit_first;
ALTER TABLE audit_first ADD COLUMN added_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE audit_first ALTER COLUMN added_at SET DEFAULT clock_timestamp();
ALTER TABLE audit_first DROP CONSTRAINT audit_pkey, ADD CONSTRAINT audit_first_pkey PRIMARY KEY (seq, added_at);
ALTER INDEX audit_by_at RENAME TO audit_first_by_at;
ALTER INDEX audit_by_actor RENAME TO audit_first_by_actor;
ALTER INDEX audit_by_key RENAME TO audit_first_by_key;
DROP TRIGGER tenet_audit ON audit_first;

CREATE TABLE audit (LIKE audit_first INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (seq, added_at)) PARTITION BY RANGE (added_at);
CREATE INDEX audit_by_at ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_key ON audit (key, seq);
CREATE TABLE audit_rest (LIKE audit INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
ALTER TABLE audit ATTACH PARTITION audit_rest DEFAULT;

-- tenet_audit numbers and chains an entry, as before. Who may not remove an entry may not choose its month, which is when it goes.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  head audit_head;
BEGIN
  IF NOT NEW.added_at BETWEEN transaction_timestamp() AND clock_timestamp() AND NOT has_table_privilege(session_user, 'audit', 'DELETE') THEN
    RAISE EXCEPTION 'role % may not add to another month of the audit', session_user USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
  NEW.seq := head.seq + 1;
  NEW.hash := tenet_audit_hash((extract(epoch FROM NEW.at) * 1000000)::bigint::text, NEW.kind, NEW.actor, NEW.door, NEW.action, NEW.key, NEW.question,
    NEW.count::text, NEW.reason, NEW.request_id, NEW.peer);
  NEW.chain := sha256(head.chain || convert_to(NEW.seq || E'\n', 'UTF8') || NEW.hash);
  NEW.erased := NULL;
  UPDATE audit_head SET seq = NEW.seq, chain = NEW.chain;
  RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER tenet_audit BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION tenet_audit();
ALTER TABLE audit ENABLE ALWAYS TRIGGER tenet_audit;

-- tenet_audit_parts lists the parts of the audit: where each ends, and whether it is a month, with a beginning and an end.
-- +goose StatementBegin
CREATE FUNCTION tenet_audit_parts() RETURNS TABLE (part regclass, ends timestamptz, month boolean) LANGUAGE sql STABLE
SET search_path FROM CURRENT SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
  SELECT c.oid::regclass, substring(b.bound FROM 'TO \(''([^'']+)''\)')::timestamptz, b.bound LIKE 'FOR VALUES FROM (''%'
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, pg_get_expr(c.relpartbound, c.oid) AS b (bound)
  WHERE i.inhparent = 'audit'::regclass
$$;
-- +goose StatementEnd

-- tenet_keep_reading leaves others than the owner of a table only the right to read it: rights on a part would pass by those on the whole.
-- +goose StatementBegin
CREATE FUNCTION tenet_keep_reading(part regclass) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  held record;
BEGIN
  FOR held IN SELECT a.privilege_type, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
    FROM pg_class c, aclexplode(c.relacl) AS a WHERE c.oid = part AND a.grantee <> c.relowner AND a.privilege_type <> 'SELECT'
  LOOP
    EXECUTE format('REVOKE %s ON %s FROM %s', held.privilege_type, part, held.who);
  END LOOP;
END
$$;
-- +goose StatementEnd

-- tenet_make_months makes the months of the audit ahead, this one and the next three, and returns how many were missing. The program's role
-- can't make tables: the function belongs to their owner. Entries that have gone to audit_rest stay there, and their month with them.
-- +goose StatementBegin
CREATE FUNCTION tenet_make_months() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' SET datestyle = 'ISO' SET lock_timeout = '500ms' AS $$
DECLARE
  made integer := 0;
  begins timestamptz;
  ends timestamptz;
  part text;
BEGIN
  LOCK TABLE ONLY audit IN SHARE UPDATE EXCLUSIVE MODE;
  FOR n IN 0..3 LOOP
    begins := date_trunc('month', now()) + make_interval(months => n);
    ends := begins + interval '1 month';
    part := to_char(begins, '"audit_"YYYY_MM');
    CONTINUE WHEN to_regclass(part) IS NOT NULL OR begins < (SELECT p.ends FROM tenet_audit_parts() p WHERE p.part = to_regclass('audit_first'))
      OR EXISTS (SELECT FROM audit_rest r WHERE r.added_at >= begins AND r.added_at < ends);
    EXECUTE format('CREATE TABLE %I (LIKE audit INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
    PERFORM tenet_keep_reading(part::regclass);
    EXECUTE format('ALTER TABLE audit ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, begins, ends);
    made := made + 1;
  END LOOP;
  RETURN made;
END
$$;
-- +goose StatementEnd

-- tenet_retain_audit removes the entries at the beginning that are of before a time, and adds one that tells how far and how the chain stood
-- there. It returns how many went. A month goes as a whole, once its end is of before that time and nothing newer is in it; writers wait
-- for that half a second at most. What is in no month goes entry by entry.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_retain_audit(before timestamptz) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET lock_timeout = '500ms' AS $$
DECLARE
  first bigint;
  kept bigint; -- the first entry that was added since
  seq bigint;
  chain bytea;
  last_seq bigint;
  last_chain bytea;
  old record;
BEGIN
  IF before > now() - interval '30 days' AND NOT has_table_privilege(session_user, 'audit', 'DELETE') THEN
    RAISE EXCEPTION 'role % may not remove entries of the last 30 days from the audit', session_user USING ERRCODE = 'TN007',
      HINT = 'Keep the audit for longer, or shorten it as the owner of its table.';
  END IF;
  -- The table before its head, as whoever adds an entry.
  IF EXISTS (SELECT FROM tenet_audit_parts() p WHERE p.ends <= before) THEN
    LOCK TABLE ONLY audit IN ACCESS EXCLUSIVE MODE;
  ELSE
    LOCK TABLE ONLY audit IN ROW EXCLUSIVE MODE;
  END IF;
  SELECT h.seq + 1 INTO kept FROM audit_head h FOR UPDATE;
  SELECT min(a.seq) INTO first FROM audit a;
  SELECT coalesce(min(a.seq), kept) INTO kept FROM audit a WHERE a.added_at >= before;
  FOR old IN SELECT p.part FROM tenet_audit_parts() p WHERE p.ends <= before ORDER BY p.ends LOOP
    EXECUTE format('SELECT t.seq, t.chain FROM %s t ORDER BY t.seq DESC LIMIT 1', old.part) INTO seq, chain;
    EXIT WHEN seq >= kept; -- the clock of the server was wrong
    EXECUTE format('ALTER TABLE audit DETACH PARTITION %s', old.part);
    EXECUTE format('DROP TABLE %s', old.part);
    IF seq > last_seq OR last_seq IS NULL THEN
      last_seq := seq;
      last_chain := chain;
    END IF;
  END LOOP;
  SELECT a.seq INTO kept FROM audit a WHERE a.seq > coalesce(last_seq, 0)
    AND (a.at >= before OR a.tableoid IN (SELECT p.part FROM tenet_audit_parts() p WHERE p.month)) ORDER BY a.seq LIMIT 1;
  SELECT a.seq, a.chain INTO seq, chain FROM audit a
    WHERE a.seq > coalesce(last_seq, 0) AND (a.seq < kept OR kept IS NULL) ORDER BY a.seq DESC LIMIT 1;
  IF seq IS NOT NULL THEN
    last_seq := seq;
    last_chain := chain;
  END IF;
  IF last_seq IS NULL THEN
    RETURN 0;
  END IF;
  DELETE FROM audit a WHERE a.seq <= last_seq;
  DELETE FROM audit_erased e WHERE NOT EXISTS (SELECT FROM audit a WHERE a.kind = 'erased' AND a.key = 'principal/' || e.erasure);
  INSERT INTO audit (at, kind, actor, door, action, key, question, count, reason, request_id, peer)
    VALUES (clock_timestamp(), 'trimmed', '', '', 'trim', '', encode(last_chain, 'hex'), last_seq, '', '', '');
  RETURN last_seq - first + 1;
END
$$;
-- +goose StatementEnd

-- Who had rights on the table has the same on the whole, and who may shorten it may make its months.
REVOKE EXECUTE ON FUNCTION tenet_make_months(), tenet_keep_reading(regclass) FROM PUBLIC;
-- +goose StatementBegin
DO $$
DECLARE
  held record;
BEGIN
  PERFORM tenet_keep_reading('audit');
  PERFORM tenet_keep_reading('audit_rest');
  FOR held IN SELECT format('%s ON audit', a.privilege_type) AS what, a.grantee FROM pg_class c, aclexplode(c.relacl) AS a
      WHERE c.oid = 'audit_first'::regclass AND a.grantee <> c.relowner
    UNION ALL SELECT 'EXECUTE ON FUNCTION tenet_make_months()', a.grantee FROM pg_proc p, aclexplode(p.proacl) AS a
      WHERE p.oid = 'tenet_retain_audit(timestamptz)'::regprocedure AND a.grantee <> p.proowner
  LOOP
    EXECUTE format('GRANT %s TO %s', held.what, CASE WHEN held.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(held.grantee)) END);
  END LOOP;
  PERFORM tenet_keep_reading('audit_first');
  EXECUTE format('ALTER TABLE audit ATTACH PARTITION audit_first FOR VALUES FROM (MINVALUE) TO (%L)',
    (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
END
$$;
-- +goose StatementEnd
SELECT tenet_make_months();

-- +goose Down
CREATE TABLE audit_whole (LIKE audit INCLUDING CONSTRAINTS);
ALTER TABLE audit_whole DROP COLUMN added_at;
INSERT INTO audit_whole SELECT seq, at, kind, actor, door, action, key, question, count, reason, request_id, peer, hash, chain, erased FROM audit ORDER BY seq;
-- +goose StatementBegin
DO $$
DECLARE
  held record;
BEGIN
  PERFORM tenet_keep_reading('audit_whole');
  FOR held IN SELECT a.privilege_type, a.grantee FROM pg_class c, aclexplode(c.relacl) AS a WHERE c.oid = 'audit'::regclass AND a.grantee <> c.relowner LOOP
    EXECUTE format('GRANT %s ON audit_whole TO %s', held.privilege_type,
      CASE WHEN held.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(held.grantee)) END);
  END LOOP;
END
$$;
-- +goose StatementEnd
DROP TABLE audit;
DROP FUNCTION tenet_make_months, tenet_keep_reading, tenet_audit_parts;
ALTER TABLE audit_whole RENAME TO audit;
ALTER TABLE audit ADD CONSTRAINT audit_pkey PRIMARY KEY (seq);
CREATE INDEX audit_by_at ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_key ON audit (key, seq);
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  head audit_head;
BEGIN
  SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
  NEW.seq := head.seq + 1;
  NEW.hash := tenet_audit_hash((extract(epoch FROM NEW.at) * 1000000)::bigint::text, NEW.kind, NEW.actor, NEW.door, NEW.action, NEW.key, NEW.question,
    NEW.count::text, NEW.reason, NEW.request_id, NEW.peer);
  NEW.chain := sha256(head.chain || convert_to(NEW.seq || E'\n', 'UTF8') || NEW.hash);
  NEW.erased := NULL;
  UPDATE audit_head SET seq = NEW.seq, chain = NEW.chain;
  RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER tenet_audit BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION tenet_audit();
ALTER TABLE audit ENABLE ALWAYS TRIGGER tenet_audit;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_retain_audit(before timestamptz) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  last audit;
  gone bigint;
BEGIN
  IF before > now() - interval '30 days' AND NOT has_table_privilege(session_user, 'audit', 'DELETE') THEN
    RAISE EXCEPTION 'role % may not remove entries of the last 30 days from the audit', session_user USING ERRCODE = 'TN007',
      HINT = 'Keep the audit for longer, or shorten it as the owner of its table.';
  END IF;
  PERFORM FROM audit_head FOR UPDATE;
  SELECT * INTO last FROM audit a WHERE a.seq < coalesce((SELECT min(k.seq) FROM audit k WHERE k.at >= before), (SELECT h.seq + 1 FROM audit_head h))
    ORDER BY a.seq DESC LIMIT 1;
  IF last.seq IS NULL THEN
    RETURN 0;
  END IF;
  DELETE FROM audit a WHERE a.seq <= last.seq;
  GET DIAGNOSTICS gone = ROW_COUNT;
  DELETE FROM audit_erased e WHERE NOT EXISTS (SELECT FROM audit a WHERE a.kind = 'erased' AND a.key = 'principal/' || e.erasure);
  INSERT INTO audit (at, kind, actor, door, action, key, question, count, reason, request_id, peer)
    VALUES (clock_timestamp(), 'trimmed', '', '', 'trim', '', encode(last.chain, 'hex'), last.seq, '', '', '');
  RETURN gone;
END
$$;
-- +goose StatementEnd
