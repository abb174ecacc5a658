-- What is subscribed to (packs), by whom (repositories), as of when (labels), and what waits for a person (proposals). They are laid out as
-- the other documents are, and the functions that write a batch know them: the ones before stay under other names, and do what they did.
-- A principal may be marked as an agent.

-- +goose Up
CREATE FUNCTION tenet_is_selection(selection jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(selection) = 'object' AND NOT coalesce(jsonb_path_exists(selection, 'strict $ ? (
      exists(@.kinds ? (@.type() != "array" || exists(@[*] ? (@.type() != "string"))))
      || exists(@.categories ? (@.type() != "array" || exists(@[*] ? (@.type() != "string"))))
      || exists(@.tags ? (@.type() != "array" || exists(@[*] ? (@.type() != "string"))))
      || exists(@.ids ? (@.type() != "array" || exists(@[*] ? (@.type() != "string"))))
      || exists(@.except ? (@.type() != "array" || exists(@[*] ? (@.type() != "string")))))', '{}', true), false);

CREATE FUNCTION tenet_is_raises(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(list) = 'array' AND NOT coalesce(jsonb_path_exists(list, 'strict $[*] ? (@.type() != "object"
      || exists(@.id ? (@.type() != "string"))
      || exists(@.severity ? (@.type() != "string"))
      || exists(@.enforcement ? (@.type() != "string")))', '{}', true), false);

CREATE FUNCTION tenet_is_exemptions(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(list) = 'array' AND NOT coalesce(jsonb_path_exists(list, 'strict $[*] ? (@.type() != "object"
      || exists(@.rule ? (@.type() != "string")) || exists(@.reason ? (@.type() != "string")) || exists(@.by ? (@.type() != "string"))
      || exists(@.until ? (@.type() != "string" || !(@ like_regex "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")))
      || exists(@.paths ? (@.type() != "array" || exists(@[*] ? (@.type() != "string")))))', '{}', true), false);

CREATE FUNCTION tenet_is_holds(holds jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(holds) = 'object' AND NOT coalesce(jsonb_path_exists(holds, 'strict $.* ? (@.type() != "number" || !(@ >= 1 && @ <= 9007199254740991 && @.floor() == @))', '{}', true), false);

CREATE FUNCTION tenet_is_ops(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(list) = 'array' AND NOT coalesce(jsonb_path_exists(list, 'strict $[*] ? (@.type() != "object"
      || exists(@.verb ? (@.type() != "string")) || exists(@.kind ? (@.type() != "string")) || exists(@.id ? (@.type() != "string"))
      || exists(@.if_version ? (@.type() != "number" || @.floor() != @))
      || exists(@.document ? (@.type() != "object")) || exists(@.patch ? (@.type() != "object")))', '{}', true), false);

CREATE FUNCTION tenet_is_reviews(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(list) = 'array' AND NOT coalesce(jsonb_path_exists(list, 'strict $[*] ? (@.type() != "object"
      || exists(@.by ? (@.type() != "string")) || exists(@.verdict ? (@.type() != "string"))
      || exists(@.ops_digest ? (@.type() != "string")) || exists(@.comment ? (@.type() != "string"))
      || exists(@.at ? (@.type() != "string" || !(@ like_regex "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"))))', '{}', true), false);

CREATE TABLE packs (
  pack_id text COLLATE "C" PRIMARY KEY CHECK (tenet_is_id(pack_id)),
  name varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL DEFAULT '',
  "select" jsonb NOT NULL DEFAULT '{}' CHECK (tenet_is_selection("select")),
  extends jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_texts(extends)),
  raise jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_raises(raise)),
  is_active boolean NOT NULL DEFAULT true,
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(created_at)),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(updated_at)),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    3 * 4294967296 + 2147483648) STORED
);

CREATE TABLE repositories (
  repository_id text COLLATE "C" PRIMARY KEY CHECK (tenet_is_id(repository_id)),
  name varchar(255) COLLATE "C" NOT NULL,
  url text NOT NULL DEFAULT '',
  packs jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_texts(packs)),
  targets jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_texts(targets)),
  label text NOT NULL DEFAULT '',
  owner text NOT NULL DEFAULT '',
  exemptions jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_exemptions(exemptions)),
  is_active boolean NOT NULL DEFAULT true,
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(created_at)),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(updated_at)),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    3 * 4294967296 + 2147483648) STORED
);

CREATE TABLE labels (
  label_id text COLLATE "C" PRIMARY KEY CHECK (tenet_is_id(label_id)),
  name varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL DEFAULT '',
  seq bigint NOT NULL DEFAULT 0 CHECK (seq >= 0),
  holds jsonb NOT NULL DEFAULT '{}' CHECK (tenet_is_holds(holds)),
  is_active boolean NOT NULL DEFAULT true,
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(created_at)),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(updated_at)),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    3 * 4294967296 + 2147483648) STORED
);

CREATE TABLE proposals (
  proposal_id uuid PRIMARY KEY,
  title varchar(255) COLLATE "C" NOT NULL,
  why text NOT NULL DEFAULT '',
  ops jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_ops(ops)),
  ops_digest text NOT NULL DEFAULT '',
  state text COLLATE "C" NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'applied', 'rejected', 'withdrawn')),
  reviews jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_reviews(reviews)),
  is_active boolean NOT NULL DEFAULT true,
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(created_at)),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(updated_at)),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    17179869184 - least(greatest(floor(extract(epoch FROM created_at AT TIME ZONE 'UTC')), 0), 17179869184)::bigint) STORED
);

CREATE INDEX packs_by_house ON packs (is_active, rank, pack_id);
CREATE INDEX packs_by_updated ON packs (is_active, updated_at, pack_id);
CREATE INDEX packs_by_title ON packs (is_active, name, pack_id);
CREATE INDEX repositories_by_house ON repositories (is_active, rank, repository_id);
CREATE INDEX repositories_by_updated ON repositories (is_active, updated_at, repository_id);
CREATE INDEX repositories_by_title ON repositories (is_active, name, repository_id);
CREATE INDEX labels_by_house ON labels (is_active, rank, label_id);
CREATE INDEX labels_by_updated ON labels (is_active, updated_at, label_id);
CREATE INDEX labels_by_title ON labels (is_active, name, label_id);
CREATE INDEX proposals_by_house ON proposals (is_active, rank, proposal_id);
CREATE INDEX proposals_by_updated ON proposals (is_active, updated_at, proposal_id);
CREATE INDEX proposals_by_title ON proposals (is_active, title, proposal_id);
CREATE INDEX proposals_by_status ON proposals (state, is_active, rank, proposal_id);

ALTER TABLE principals ADD COLUMN agent boolean NOT NULL DEFAULT false;

-- +goose StatementBegin
DO $$
DECLARE
  c record;
BEGIN
  FOR c IN SELECT a.attrelid::regclass AS tab, a.attname FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
    WHERE r.relnamespace = current_schema::regnamespace AND r.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attstorage IN ('x', 'm') AND r.relname IN ('packs', 'repositories', 'labels', 'proposals') LOOP
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION lz4', c.tab, c.attname);
  END LOOP;
EXCEPTION WHEN feature_not_supported THEN
  NULL;
END
$$;
-- +goose StatementEnd

-- tenet_stamp_more is tenet_stamp for a table whose key has the name that its second argument says.
-- +goose StatementBegin
CREATE FUNCTION tenet_stamp_more() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  nobody CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.version := 1 + coalesce((
      SELECT p.version FROM purges p WHERE p.kind = TG_ARGV[0] AND p.id = to_jsonb(NEW) ->> TG_ARGV[1] ORDER BY p.version DESC LIMIT 1), 0);
    IF coalesce(NEW.batch_id, nobody) = nobody THEN
      NEW.batch_id := nobody;
      NEW.updated_by := session_user;
      NEW.updated_at := clock_timestamp();
      NEW.created_by := NEW.updated_by;
      NEW.created_at := NEW.updated_at;
    END IF;
  ELSE
    NEW.version := OLD.version + 1;
    NEW.created_by := OLD.created_by;
    NEW.created_at := OLD.created_at;
    IF coalesce(NEW.batch_id, OLD.batch_id) = OLD.batch_id THEN
      NEW.batch_id := nobody;
      NEW.updated_by := session_user;
      NEW.updated_at := clock_timestamp();
    END IF;
  END IF;
  RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE
  t record;
  name text;
BEGIN
  FOR t IN SELECT * FROM (VALUES
    ('packs', 'pack', 'pack_id'), ('repositories', 'repository', 'repository_id'), ('labels', 'label', 'label_id'),
    ('proposals', 'proposal', 'proposal_id')
  ) AS v (tab, kind, id) LOOP
    EXECUTE format('CREATE TRIGGER tenet_insert BEFORE INSERT ON %I FOR EACH ROW EXECUTE FUNCTION tenet_stamp_more(%L, %L)', t.tab, t.kind, t.id);
    EXECUTE format('CREATE TRIGGER tenet_update BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION tenet_stamp_more(%L, %L)', t.tab, t.kind, t.id);
    EXECUTE format('CREATE TRIGGER tenet_id BEFORE UPDATE OF %1$I ON %2$I FOR EACH ROW WHEN (OLD.%1$I <> NEW.%1$I)'
      ' EXECUTE FUNCTION tenet_same_id(%3$L)', t.id, t.tab, t.kind);
    EXECUTE format('CREATE TRIGGER tenet_delete BEFORE DELETE ON %I FOR EACH ROW EXECUTE FUNCTION tenet_keep(%L, %L)', t.tab, t.kind, t.id);
    EXECUTE format('CREATE TRIGGER tenet_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION tenet_keep()', t.tab);
    EXECUTE format('CREATE CONSTRAINT TRIGGER tenet_log_made AFTER INSERT OR DELETE ON %I DEFERRABLE INITIALLY DEFERRED'
      ' FOR EACH ROW EXECUTE FUNCTION tenet_log(%L, %L)', t.tab, t.kind, t.id);
    EXECUTE format('CREATE CONSTRAINT TRIGGER tenet_log_changed AFTER UPDATE ON %I DEFERRABLE INITIALLY DEFERRED'
      ' FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION tenet_log(%L, %L)', t.tab, t.kind, t.id);
    FOR name IN SELECT g.tgname FROM pg_trigger g WHERE g.tgrelid = t.tab::regclass AND NOT g.tgisinternal LOOP
      EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', t.tab, name);
    END LOOP;
  END LOOP;
END
$$;
-- +goose StatementEnd

ALTER FUNCTION tenet_lock(text, text[]) RENAME TO tenet_lock_first;
ALTER FUNCTION tenet_put(text, jsonb, jsonb, uuid, text, timestamptz) RENAME TO tenet_put_first;
ALTER FUNCTION tenet_set(text, text, text, uuid, text, timestamptz) RENAME TO tenet_set_first;

-- +goose StatementBegin
CREATE FUNCTION tenet_lock(kind text, ids text[]) RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
  found jsonb;
BEGIN
  CASE kind
  WHEN 'pack' THEN
    SELECT jsonb_object_agg('pack/' || d.pack_id, d.version) INTO found FROM (
      SELECT t.pack_id, t.version FROM packs t WHERE t.pack_id = ANY (ids) ORDER BY t.pack_id FOR NO KEY UPDATE) AS d;
  WHEN 'repository' THEN
    SELECT jsonb_object_agg('repository/' || d.repository_id, d.version) INTO found FROM (
      SELECT t.repository_id, t.version FROM repositories t WHERE t.repository_id = ANY (ids) ORDER BY t.repository_id FOR NO KEY UPDATE) AS d;
  WHEN 'label' THEN
    SELECT jsonb_object_agg('label/' || d.label_id, d.version) INTO found FROM (
      SELECT t.label_id, t.version FROM labels t WHERE t.label_id = ANY (ids) ORDER BY t.label_id FOR NO KEY UPDATE) AS d;
  WHEN 'proposal' THEN
    SELECT jsonb_object_agg('proposal/' || d.proposal_id, d.version) INTO found FROM (
      SELECT t.proposal_id, t.version FROM proposals t WHERE t.proposal_id = ANY (ids::uuid[]) ORDER BY t.proposal_id FOR NO KEY UPDATE) AS d;
  ELSE
    RETURN tenet_lock_first(kind, ids);
  END CASE;
  RETURN coalesce(found, '{}');
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_put(doc_kind text, ops jsonb, versions jsonb, batch uuid, actor text, moment timestamptz) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  CASE doc_kind
  WHEN 'pack' THEN
    INSERT INTO packs (pack_id, name, description, "select", extends, raise, is_active, created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.pack_id, d.name, d.description, d."select", d.extends, d.raise, d.is_active, actor, moment, actor, moment, batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::packs, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE packs t SET name = d.name, description = d.description, "select" = d."select", extends = d.extends, raise = d.raise, is_active = d.is_active, updated_by = actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::packs, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.pack_id = d.pack_id;
  WHEN 'repository' THEN
    INSERT INTO repositories (repository_id, name, url, packs, targets, label, owner, exemptions, is_active, created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.repository_id, d.name, d.url, d.packs, d.targets, d.label, d.owner, d.exemptions, d.is_active, actor, moment, actor, moment, batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::repositories, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE repositories t SET name = d.name, url = d.url, packs = d.packs, targets = d.targets, label = d.label, owner = d.owner, exemptions = d.exemptions, is_active = d.is_active, updated_by = actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::repositories, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.repository_id = d.repository_id;
  WHEN 'label' THEN
    INSERT INTO labels (label_id, name, description, seq, holds, is_active, created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.label_id, d.name, d.description, d.seq, d.holds, d.is_active, actor, moment, actor, moment, batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::labels, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE labels t SET name = d.name, description = d.description, seq = d.seq, holds = d.holds, is_active = d.is_active, updated_by = actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::labels, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.label_id = d.label_id;
  WHEN 'proposal' THEN
    INSERT INTO proposals (proposal_id, title, why, ops, ops_digest, state, reviews, is_active, created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.proposal_id, d.title, d.why, d.ops, d.ops_digest, d.state, d.reviews, d.is_active, actor, moment, actor, moment, batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::proposals, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE proposals t SET title = d.title, why = d.why, ops = d.ops, ops_digest = d.ops_digest, state = d.state, reviews = d.reviews, is_active = d.is_active, updated_by = actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::proposals, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.proposal_id = d.proposal_id;
  WHEN 'principal' THEN
    INSERT INTO principals (principal_id, name, role, token_hash, token_prefix, expiry, agent, disabled, created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.principal_id, d.name, d.role, d.token_hash, d.token_prefix, d.expiry, coalesce(d.agent, false), d.disabled, actor, moment, actor, moment, batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::principals, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE principals t SET name = d.name, role = d.role, token_hash = d.token_hash, token_prefix = d.token_prefix, expiry = d.expiry, agent = coalesce(d.agent, false), disabled = d.disabled, updated_by = actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(tenet_put.ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::principals, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.principal_id = d.principal_id;
  ELSE
    PERFORM tenet_put_first(doc_kind, tenet_put.ops, versions, batch, actor, moment);
  END CASE;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_set(doc_kind text, verb text, id text, batch uuid, actor text, moment timestamptz) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  CASE doc_kind
  WHEN 'pack' THEN
    IF verb = 'purge' THEN
      DELETE FROM packs t WHERE t.pack_id = id;
    ELSE
      UPDATE packs t SET is_active = (verb = 'restore'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.pack_id = id;
    END IF;
  WHEN 'repository' THEN
    IF verb = 'purge' THEN
      DELETE FROM repositories t WHERE t.repository_id = id;
    ELSE
      UPDATE repositories t SET is_active = (verb = 'restore'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.repository_id = id;
    END IF;
  WHEN 'label' THEN
    IF verb = 'purge' THEN
      DELETE FROM labels t WHERE t.label_id = id;
    ELSE
      UPDATE labels t SET is_active = (verb = 'restore'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.label_id = id;
    END IF;
  WHEN 'proposal' THEN
    IF verb = 'purge' THEN
      DELETE FROM proposals t WHERE t.proposal_id = id::uuid;
    ELSE
      UPDATE proposals t SET is_active = (verb = 'restore'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.proposal_id = id::uuid;
    END IF;
  ELSE
    PERFORM tenet_set_first(doc_kind, verb, id, batch, actor, moment);
  END CASE;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
BEGIN
  IF EXISTS (SELECT FROM changes c WHERE c.kind IN ('pack', 'repository', 'label', 'proposal')) THEN
    RAISE EXCEPTION 'the log tells of packs, repositories, labels or proposals, which the program before can''t read: restore the backup made before the migration' USING ERRCODE = 'TN007';
  END IF;
END
$$;
-- +goose StatementEnd
DROP FUNCTION tenet_set, tenet_put, tenet_lock;
ALTER FUNCTION tenet_lock_first RENAME TO tenet_lock;
ALTER FUNCTION tenet_put_first RENAME TO tenet_put;
ALTER FUNCTION tenet_set_first RENAME TO tenet_set;
ALTER TABLE principals DROP COLUMN agent;
DROP TABLE proposals, labels, repositories, packs;
DROP FUNCTION tenet_stamp_more, tenet_is_reviews, tenet_is_ops, tenet_is_holds, tenet_is_exemptions, tenet_is_raises, tenet_is_selection;
