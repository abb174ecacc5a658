-- The documents in columns of their own, the log of changes that is made inside COMMIT, the ledger of batches, and what lists
-- and searches need. DESIGN.md beside this folder tells why each part is as it is.

-- +goose Up

-- English word stems without stop words: what is searched for must be found, "the" and "not" too.
CREATE TEXT SEARCH DICTIONARY tenet_stem (TEMPLATE = snowball, Language = english);
CREATE TEXT SEARCH CONFIGURATION tenet (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION tenet
  ALTER MAPPING FOR asciiword, word, numword, asciihword, hword, numhword, hword_asciipart, hword_part, hword_numpart WITH tenet_stem;

CREATE TABLE categories (
  category_id text COLLATE "C" PRIMARY KEY,
  name varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL DEFAULT '',
  is_active boolean NOT NULL DEFAULT true,
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now(),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (3 * 4294967296 + 2147483648) STORED
);

CREATE TABLE principals (
  principal_id text COLLATE "C" PRIMARY KEY,
  name varchar(255) COLLATE "C" NOT NULL,
  role text NOT NULL DEFAULT 'viewer' CHECK (role IN ('viewer', 'contributor', 'maintainer', 'admin')),
  token_hash text NOT NULL CHECK (token_hash ~ '^[0-9a-f]{64}$'),
  token_prefix text NOT NULL DEFAULT '',
  expiry timestamptz,
  disabled boolean NOT NULL DEFAULT false,
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now(),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  is_active boolean NOT NULL GENERATED ALWAYS AS (NOT disabled) STORED,
  rank bigint NOT NULL GENERATED ALWAYS AS (3 * 4294967296 + 2147483648) STORED
);

CREATE TABLE rules (
  rule_id text COLLATE "C" PRIMARY KEY,
  category text COLLATE "C" NOT NULL REFERENCES categories,
  title varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL,
  severity text NOT NULL DEFAULT 'WARNING' CHECK (severity IN ('CRITICAL', 'ERROR', 'WARNING', 'INFO')),
  enforcement text NOT NULL DEFAULT 'recommended' CHECK (enforcement IN ('mandatory', 'recommended', 'optional')),
  examples jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(examples) = 'array'),
  anti_patterns jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(anti_patterns) = 'array'),
  violations_consequence text NOT NULL DEFAULT '',
  priority integer NOT NULL DEFAULT 0 CHECK (priority BETWEEN -1000000 AND 1000000),
  status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('DRAFT', 'ACTIVE', 'DEPRECATED')),
  active boolean NOT NULL DEFAULT true,
  tags jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(tags) = 'array'),
  scope jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(scope) = 'object'),
  extra jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(extra) = 'object'),
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now(),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    (CASE severity WHEN 'CRITICAL' THEN 0 WHEN 'ERROR' THEN 1 WHEN 'WARNING' THEN 2 ELSE 3 END)::bigint * 4294967296 + 2147483648 - priority) STORED
);

CREATE TABLE practices (
  practice_id text COLLATE "C" PRIMARY KEY,
  category text COLLATE "C" NOT NULL REFERENCES categories,
  title varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL,
  benefits jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(benefits) = 'array'),
  implementation_guide text NOT NULL DEFAULT '',
  anti_patterns jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(anti_patterns) = 'array'),
  "references" jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof("references") = 'array'),
  examples jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(examples) = 'array'),
  effectiveness_score numeric(3,2) CHECK (effectiveness_score BETWEEN 0 AND 1),
  adoption_rate numeric(3,2) CHECK (adoption_rate BETWEEN 0 AND 1),
  is_required boolean NOT NULL DEFAULT false,
  is_active boolean NOT NULL DEFAULT true,
  tags jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(tags) = 'array'),
  scope jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(scope) = 'object'),
  extra jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(extra) = 'object'),
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now(),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    (CASE WHEN is_required THEN 1 ELSE 2 END)::bigint * 4294967296 + 2147483648 - (coalesce(effectiveness_score, 0) * 100)::bigint) STORED
);

CREATE TABLE templates (
  template_id text COLLATE "C" PRIMARY KEY,
  name varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL DEFAULT '',
  category text COLLATE "C" NOT NULL REFERENCES categories,
  template_content text NOT NULL,
  variables jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(variables) = 'array'),
  is_active boolean NOT NULL DEFAULT true,
  tags jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(tags) = 'array'),
  scope jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(scope) = 'object'),
  extra jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(extra) = 'object'),
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now(),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  usage_count bigint NOT NULL DEFAULT 0,
  rank bigint NOT NULL GENERATED ALWAYS AS (2 * 4294967296 + 2147483648) STORED
);

CREATE TABLE violations (
  violation_id text COLLATE "C" PRIMARY KEY CHECK (violation_id = violation_id::uuid::text),
  rule_id text COLLATE "C" NOT NULL REFERENCES rules,
  source text NOT NULL DEFAULT '',
  repository text COLLATE "C" NOT NULL DEFAULT '',
  path text NOT NULL DEFAULT '',
  line integer NOT NULL DEFAULT 0 CHECK (line >= 0),
  message text COLLATE "C" NOT NULL,
  severity text NOT NULL DEFAULT 'WARNING' CHECK (severity IN ('CRITICAL', 'ERROR', 'WARNING', 'INFO')),
  status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved', 'waived')),
  waiver_reason text NOT NULL DEFAULT '',
  waiver_expiry timestamptz,
  reported_by text NOT NULL DEFAULT '',
  reported_at timestamptz NOT NULL,
  resolved_at timestamptz,
  resolved_by text NOT NULL DEFAULT '',
  is_active boolean NOT NULL DEFAULT true,
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now(),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    17179869184 - greatest(0, floor(extract(epoch FROM reported_at AT TIME ZONE 'UTC')))::bigint) STORED
);

-- The log. It is written by the triggers below and by nobody else.
CREATE TABLE changes (
  seq bigint PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  verb text NOT NULL,
  batch_id uuid NOT NULL,
  actor text NOT NULL,
  at timestamptz NOT NULL,
  document jsonb,
  document_hash bytea NOT NULL,
  chain bytea NOT NULL,
  txid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE UNIQUE INDEX changes_by_key ON changes (kind, id, version);
CREATE INDEX changes_by_batch ON changes (batch_id) WHERE batch_id <> '00000000-0000-0000-0000-000000000000';

-- The ledger: an id can stand here only once, which is what makes a retry harmless.
CREATE TABLE batches (
  id uuid PRIMARY KEY,
  fingerprint bytea NOT NULL,
  actor text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);

-- Purges: the one way to delete a document.
CREATE TABLE purges (
  kind text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  batch_id uuid NOT NULL,
  actor text NOT NULL,
  at timestamptz NOT NULL,
  txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  PRIMARY KEY (kind, id, version)
);

-- Which tag or language an active document has, in house order.
CREATE TABLE facets (
  kind text COLLATE "C" NOT NULL,
  facet text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  rank bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  PRIMARY KEY (kind, facet, value, rank, id)
);
CREATE INDEX facets_by_key ON facets (kind, id);

-- What full-text search looks through: active documents only, apart from the documents, so that these stay small.
CREATE TABLE search (
  kind text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  category text COLLATE "C" NOT NULL,
  rank bigint NOT NULL,
  title text NOT NULL,
  tags text NOT NULL,
  vector tsvector NOT NULL,
  PRIMARY KEY (kind, id)
);
CREATE INDEX search_vector ON search USING gin (vector) WITH (fastupdate = off);
CREATE INDEX search_by_house ON search (rank, id, kind);
CREATE INDEX search_by_kind ON search (kind, rank, id);
CREATE INDEX search_by_category ON search (category, rank, id);

-- Lists: every order has an index whose columns all ascend, or all descend, so that a page is a range of it.
CREATE INDEX categories_by_house ON categories (rank, category_id) WHERE is_active;
CREATE INDEX categories_by_updated ON categories (updated_at, category_id) WHERE is_active;
CREATE INDEX categories_by_title ON categories (name, category_id) WHERE is_active;
CREATE INDEX principals_by_house ON principals (rank, principal_id) WHERE is_active;
CREATE INDEX principals_by_updated ON principals (updated_at, principal_id) WHERE is_active;
CREATE INDEX principals_by_title ON principals (name, principal_id) WHERE is_active;
CREATE INDEX rules_by_house ON rules (rank, rule_id) WHERE active;
CREATE INDEX rules_by_updated ON rules (updated_at, rule_id) WHERE active;
CREATE INDEX rules_by_title ON rules (title, rule_id) WHERE active;
CREATE INDEX rules_by_category_house ON rules (category, rank, rule_id) WHERE active;
CREATE INDEX rules_by_category_updated ON rules (category, updated_at, rule_id) WHERE active;
CREATE INDEX rules_by_category_title ON rules (category, title, rule_id) WHERE active;
CREATE INDEX rules_of_category ON rules (category); -- the reference, when a category is purged
CREATE INDEX rules_by_enforcement ON rules (enforcement, rank, rule_id) WHERE active;
CREATE INDEX rules_by_status ON rules (status, rank, rule_id) WHERE active;
CREATE INDEX practices_by_house ON practices (rank, practice_id) WHERE is_active;
CREATE INDEX practices_by_updated ON practices (updated_at, practice_id) WHERE is_active;
CREATE INDEX practices_by_title ON practices (title, practice_id) WHERE is_active;
CREATE INDEX practices_by_category_house ON practices (category, rank, practice_id) WHERE is_active;
CREATE INDEX practices_by_category_updated ON practices (category, updated_at, practice_id) WHERE is_active;
CREATE INDEX practices_by_category_title ON practices (category, title, practice_id) WHERE is_active;
CREATE INDEX practices_of_category ON practices (category); -- the reference, when a category is purged
CREATE INDEX templates_by_house ON templates (rank, template_id) WHERE is_active;
CREATE INDEX templates_by_updated ON templates (updated_at, template_id) WHERE is_active;
CREATE INDEX templates_by_title ON templates (name, template_id) WHERE is_active;
CREATE INDEX templates_by_category_house ON templates (category, rank, template_id) WHERE is_active;
CREATE INDEX templates_by_category_updated ON templates (category, updated_at, template_id) WHERE is_active;
CREATE INDEX templates_by_category_title ON templates (category, name, template_id) WHERE is_active;
CREATE INDEX templates_of_category ON templates (category); -- the reference, when a category is purged
CREATE INDEX violations_by_house ON violations (rank, violation_id) WHERE is_active;
CREATE INDEX violations_by_updated ON violations (updated_at, violation_id) WHERE is_active;
CREATE INDEX violations_by_title ON violations ((left(message, 255)) COLLATE "C", violation_id) WHERE is_active;
CREATE INDEX violations_by_rule ON violations (rule_id, rank, violation_id) WHERE is_active;
CREATE INDEX violations_of_rule ON violations (rule_id); -- the reference, when a rule is purged
CREATE INDEX violations_by_repository ON violations (repository, rank, violation_id) WHERE is_active;
CREATE INDEX violations_by_status ON violations (status, rank, violation_id) WHERE is_active;
CREATE INDEX violations_by_severity ON violations (severity, rank, violation_id) WHERE is_active;

-- +goose StatementBegin
-- tenet_lower is lower case by the rules of Unicode, whatever the locale of the database, where the server has them.
DO $do$
BEGIN
  IF EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') THEN
    CREATE FUNCTION tenet_lower(t text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT lower(t COLLATE "und-x-icu") $$;
  ELSE
    CREATE FUNCTION tenet_lower(t text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT lower(t) $$;
  END IF;
END
$do$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tenet_words puts a space for every punctuation mark, so that the parser sees words only: the same words as everywhere in tenet.
CREATE FUNCTION tenet_words(t text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT translate(tenet_lower(left(t, 200000)), E'!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~', repeat(' ', 32))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_example_text(list jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT string_agg(concat_ws(' ', e ->> 'title', e ->> 'code', e ->> 'note'), ' ') FROM jsonb_array_elements(list) e
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_strings(list jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(string_agg(e, ' '), '') FROM jsonb_array_elements_text(list) e
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tenet_stamp lets the database own versions and attribution. A row whose batch id was not set anew was changed by hand: the
-- database user is its author.
CREATE FUNCTION tenet_stamp() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  none constant uuid := '00000000-0000-0000-0000-000000000000';
  doc_id text;
BEGIN
  IF TG_TABLE_NAME = 'categories' THEN doc_id := NEW.category_id;
  ELSIF TG_TABLE_NAME = 'principals' THEN doc_id := NEW.principal_id;
  ELSIF TG_TABLE_NAME = 'rules' THEN doc_id := NEW.rule_id;
  ELSIF TG_TABLE_NAME = 'practices' THEN doc_id := NEW.practice_id;
  ELSIF TG_TABLE_NAME = 'templates' THEN doc_id := NEW.template_id;
  ELSIF TG_TABLE_NAME = 'violations' THEN doc_id := NEW.violation_id;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW.batch_id = OLD.batch_id THEN
      NEW.batch_id := none;
      NEW.updated_by := session_user;
      NEW.updated_at := clock_timestamp();
      IF to_jsonb(NEW) ->> TG_ARGV[1] IS DISTINCT FROM to_jsonb(OLD) ->> TG_ARGV[1] THEN
        RAISE EXCEPTION 'the id of a document never changes' USING ERRCODE = 'TN010', HINT = 'insert a new document and retire this one';
      END IF;
    END IF;
    NEW.version := OLD.version + 1;
    NEW.created_by := OLD.created_by;
    NEW.created_at := OLD.created_at;
  ELSE
    IF NEW.batch_id = none THEN
      NEW.created_by := session_user;
      NEW.updated_by := session_user;
      NEW.created_at := clock_timestamp();
      NEW.updated_at := NEW.created_at;
    END IF;
    NEW.version := 1 + coalesce((SELECT max(p.version) FROM purges p WHERE p.kind = TG_ARGV[0] AND p.id = doc_id), 0);
  END IF;
  IF TG_TABLE_NAME = 'violations' THEN
    NEW.reported_by := coalesce(nullif(NEW.reported_by, ''), NEW.created_by);
    NEW.reported_at := coalesce(NEW.reported_at, NEW.created_at);
    IF NEW.status <> 'resolved' THEN
      NEW.resolved_at := NULL;
      NEW.resolved_by := '';
    ELSIF NEW.resolved_at IS NULL THEN
      NEW.resolved_at := NEW.updated_at;
      NEW.resolved_by := coalesce(nullif(NEW.resolved_by, ''), NEW.updated_by);
    END IF;
  END IF;
  RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tenet_log appends a change: the one place where a number of the log is taken, under a lock that is held only while the
-- transaction commits. The lock's number is the ASCII of "tenetlog".
CREATE FUNCTION tenet_log(p_kind text, p_id text, p_version bigint, p_verb text, p_batch uuid, p_actor text, p_at timestamptz, p_document jsonb)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  last_seq bigint;
  last_chain bytea;
  hash bytea := sha256(CASE WHEN p_document IS NULL THEN ''::bytea ELSE convert_to(p_document::text, 'UTF8') END);
BEGIN
  PERFORM pg_advisory_xact_lock(8387227955914040167);
  SELECT c.seq, c.chain INTO last_seq, last_chain FROM changes c ORDER BY c.seq DESC LIMIT 1;
  last_seq := coalesce(last_seq, 0) + 1;
  last_chain := coalesce(last_chain, decode(repeat('00', 32), 'hex'));
  INSERT INTO changes (seq, kind, id, version, verb, batch_id, actor, at, document, document_hash, chain) VALUES (
    last_seq, p_kind, p_id, p_version, p_verb, p_batch, p_actor, p_at, p_document, hash,
    sha256(last_chain || convert_to(concat(last_seq, E'\n', p_kind, E'\n', p_id, E'\n', p_version, E'\n', p_verb, E'\n', p_batch, E'\n'), 'UTF8') || hash));
  PERFORM pg_notify('tenet_changes', '');
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tenet_change runs inside COMMIT for every row that was written.
CREATE FUNCTION tenet_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  doc_id text;
  doc jsonb := to_jsonb(NEW) - '{rank,batch_id,usage_count}'::text[];
  was boolean;
  now_active boolean;
  verb text := 'put';
BEGIN
  IF TG_TABLE_NAME = 'categories' THEN doc_id := NEW.category_id;
  ELSIF TG_TABLE_NAME = 'principals' THEN doc_id := NEW.principal_id;
  ELSIF TG_TABLE_NAME = 'rules' THEN doc_id := NEW.rule_id;
  ELSIF TG_TABLE_NAME = 'practices' THEN doc_id := NEW.practice_id;
  ELSIF TG_TABLE_NAME = 'templates' THEN doc_id := NEW.template_id;
  ELSIF TG_TABLE_NAME = 'violations' THEN doc_id := NEW.violation_id;
  END IF;
  IF TG_TABLE_NAME = 'principals' THEN doc := doc - 'is_active'; END IF;
  IF TG_OP = 'UPDATE' THEN
    IF TG_TABLE_NAME = 'rules' THEN was := OLD.active; now_active := NEW.active; ELSE was := OLD.is_active; now_active := NEW.is_active; END IF;
    IF was AND NOT now_active THEN verb := 'retire'; ELSIF now_active AND NOT was THEN verb := 'restore'; END IF;
  END IF;
  PERFORM tenet_log(TG_ARGV[0], doc_id, NEW.version, verb, NEW.batch_id, NEW.updated_by, NEW.updated_at, doc);
  RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_purged() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM tenet_log(NEW.kind, NEW.id, NEW.version, 'purge', NEW.batch_id, NEW.actor, NEW.at, NULL);
  RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_keep() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT 1 FROM purges p WHERE p.kind = TG_ARGV[0] AND p.id = to_jsonb(OLD) ->> TG_ARGV[1] AND p.txid = pg_current_xact_id()) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'documents are not deleted' USING ERRCODE = 'TN011',
    HINT = 'retire the document by clearing its active flag, or call tenet_purge(kind, id)';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tenet_reindex keeps facets and search for one document.
CREATE FUNCTION tenet_reindex(p_kind text, p_id text, p_rank bigint, p_category text, p_title text, p_tags jsonb, p_languages jsonb, p_lead text, p_body text)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  words text := concat_ws(' ', p_id, p_category, tenet_strings(p_tags));
BEGIN
  INSERT INTO facets (kind, facet, value, rank, id)
    SELECT p_kind, 'tag', v, p_rank, p_id FROM jsonb_array_elements_text(p_tags) v
    UNION SELECT p_kind, 'language', v, p_rank, p_id FROM jsonb_array_elements_text(p_languages) v;
  INSERT INTO search (kind, id, category, rank, title, tags, vector) VALUES (p_kind, p_id, p_category, p_rank, p_title, words,
    setweight(to_tsvector('tenet', tenet_words(p_title)), 'A') || setweight(to_tsvector('tenet', tenet_words(words)), 'B') ||
    setweight(to_tsvector('tenet', tenet_words(p_lead)), 'C') || setweight(to_tsvector('tenet', tenet_words(p_body)), 'D'));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_index() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  none constant jsonb := '[]';
  old_id text;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    old_id := to_jsonb(OLD) ->> TG_ARGV[1];
    DELETE FROM facets f WHERE f.kind = TG_ARGV[0] AND f.id = old_id;
    DELETE FROM search s WHERE s.kind = TG_ARGV[0] AND s.id = old_id;
  END IF;
  IF TG_OP = 'DELETE' THEN
    RETURN NULL;
  END IF;
  IF TG_TABLE_NAME = 'rules' THEN
    IF NEW.active THEN
      PERFORM tenet_reindex('rule', NEW.rule_id, NEW.rank, NEW.category, NEW.title, NEW.tags, coalesce(NEW.scope -> 'languages', none), NEW.description,
        concat_ws(' ', tenet_example_text(NEW.examples), tenet_example_text(NEW.anti_patterns), NEW.violations_consequence));
    END IF;
  ELSIF TG_TABLE_NAME = 'practices' THEN
    IF NEW.is_active THEN
      PERFORM tenet_reindex('practice', NEW.practice_id, NEW.rank, NEW.category, NEW.title, NEW.tags, coalesce(NEW.scope -> 'languages', none), NEW.description,
        concat_ws(' ', NEW.implementation_guide, tenet_strings(NEW.benefits), tenet_example_text(NEW.examples), tenet_example_text(NEW.anti_patterns),
          (SELECT string_agg(e ->> 'title', ' ') FROM jsonb_array_elements(NEW."references") e)));
    END IF;
  ELSIF TG_TABLE_NAME = 'templates' THEN
    IF NEW.is_active THEN
      PERFORM tenet_reindex('template', NEW.template_id, NEW.rank, NEW.category, NEW.name, NEW.tags, coalesce(NEW.scope -> 'languages', none), NEW.description,
        NEW.template_content);
    END IF;
  ELSIF NEW.is_active THEN
    PERFORM tenet_reindex('category', NEW.category_id, NEW.rank, '', NEW.name, none, none, NEW.description, '');
  END IF;
  RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER categories_stamp BEFORE INSERT OR UPDATE OF category_id, name, description, is_active, created_by, created_at, updated_by, updated_at, version, batch_id ON categories FOR EACH ROW EXECUTE FUNCTION tenet_stamp('category', 'category_id');
ALTER TABLE categories ENABLE ALWAYS TRIGGER categories_stamp;
CREATE TRIGGER categories_keep BEFORE DELETE ON categories FOR EACH ROW EXECUTE FUNCTION tenet_keep('category', 'category_id');
ALTER TABLE categories ENABLE ALWAYS TRIGGER categories_keep;
CREATE TRIGGER categories_keep_all BEFORE TRUNCATE ON categories FOR EACH STATEMENT EXECUTE FUNCTION tenet_keep('category', 'category_id');
ALTER TABLE categories ENABLE ALWAYS TRIGGER categories_keep_all;
CREATE CONSTRAINT TRIGGER categories_change AFTER INSERT OR UPDATE OF category_id, name, description, is_active, created_by, created_at, updated_by, updated_at, version, batch_id ON categories DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenet_change('category');
ALTER TABLE categories ENABLE ALWAYS TRIGGER categories_change;
CREATE TRIGGER categories_index AFTER INSERT OR DELETE OR UPDATE OF category_id, name, description, is_active, created_by, created_at, updated_by, updated_at, version, batch_id ON categories FOR EACH ROW EXECUTE FUNCTION tenet_index('category', 'category_id');
ALTER TABLE categories ENABLE ALWAYS TRIGGER categories_index;

CREATE TRIGGER principals_stamp BEFORE INSERT OR UPDATE OF principal_id, name, role, token_hash, token_prefix, expiry, disabled, created_by, created_at, updated_by, updated_at, version, batch_id ON principals FOR EACH ROW EXECUTE FUNCTION tenet_stamp('principal', 'principal_id');
ALTER TABLE principals ENABLE ALWAYS TRIGGER principals_stamp;
CREATE TRIGGER principals_keep BEFORE DELETE ON principals FOR EACH ROW EXECUTE FUNCTION tenet_keep('principal', 'principal_id');
ALTER TABLE principals ENABLE ALWAYS TRIGGER principals_keep;
CREATE TRIGGER principals_keep_all BEFORE TRUNCATE ON principals FOR EACH STATEMENT EXECUTE FUNCTION tenet_keep('principal', 'principal_id');
ALTER TABLE principals ENABLE ALWAYS TRIGGER principals_keep_all;
CREATE CONSTRAINT TRIGGER principals_change AFTER INSERT OR UPDATE OF principal_id, name, role, token_hash, token_prefix, expiry, disabled, created_by, created_at, updated_by, updated_at, version, batch_id ON principals DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenet_change('principal');
ALTER TABLE principals ENABLE ALWAYS TRIGGER principals_change;

CREATE TRIGGER rules_stamp BEFORE INSERT OR UPDATE OF rule_id, category, title, description, severity, enforcement, examples, anti_patterns, violations_consequence, priority, status, active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version, batch_id ON rules FOR EACH ROW EXECUTE FUNCTION tenet_stamp('rule', 'rule_id');
ALTER TABLE rules ENABLE ALWAYS TRIGGER rules_stamp;
CREATE TRIGGER rules_keep BEFORE DELETE ON rules FOR EACH ROW EXECUTE FUNCTION tenet_keep('rule', 'rule_id');
ALTER TABLE rules ENABLE ALWAYS TRIGGER rules_keep;
CREATE TRIGGER rules_keep_all BEFORE TRUNCATE ON rules FOR EACH STATEMENT EXECUTE FUNCTION tenet_keep('rule', 'rule_id');
ALTER TABLE rules ENABLE ALWAYS TRIGGER rules_keep_all;
CREATE CONSTRAINT TRIGGER rules_change AFTER INSERT OR UPDATE OF rule_id, category, title, description, severity, enforcement, examples, anti_patterns, violations_consequence, priority, status, active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version, batch_id ON rules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenet_change('rule');
ALTER TABLE rules ENABLE ALWAYS TRIGGER rules_change;
CREATE TRIGGER rules_index AFTER INSERT OR DELETE OR UPDATE OF rule_id, category, title, description, severity, enforcement, examples, anti_patterns, violations_consequence, priority, status, active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version, batch_id ON rules FOR EACH ROW EXECUTE FUNCTION tenet_index('rule', 'rule_id');
ALTER TABLE rules ENABLE ALWAYS TRIGGER rules_index;

CREATE TRIGGER practices_stamp BEFORE INSERT OR UPDATE OF practice_id, category, title, description, benefits, implementation_guide, anti_patterns, "references", examples, effectiveness_score, adoption_rate, is_required, is_active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version, batch_id ON practices FOR EACH ROW EXECUTE FUNCTION tenet_stamp('practice', 'practice_id');
ALTER TABLE practices ENABLE ALWAYS TRIGGER practices_stamp;
CREATE TRIGGER practices_keep BEFORE DELETE ON practices FOR EACH ROW EXECUTE FUNCTION tenet_keep('practice', 'practice_id');
ALTER TABLE practices ENABLE ALWAYS TRIGGER practices_keep;
CREATE TRIGGER practices_keep_all BEFORE TRUNCATE ON practices FOR EACH STATEMENT EXECUTE FUNCTION tenet_keep('practice', 'practice_id');
ALTER TABLE practices ENABLE ALWAYS TRIGGER practices_keep_all;
CREATE CONSTRAINT TRIGGER practices_change AFTER INSERT OR UPDATE OF practice_id, category, title, description, benefits, implementation_guide, anti_patterns, "references", examples, effectiveness_score, adoption_rate, is_required, is_active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version, batch_id ON practices DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenet_change('practice');
ALTER TABLE practices ENABLE ALWAYS TRIGGER practices_change;
CREATE TRIGGER practices_index AFTER INSERT OR DELETE OR UPDATE OF practice_id, category, title, description, benefits, implementation_guide, anti_patterns, "references", examples, effectiveness_score, adoption_rate, is_required, is_active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version, batch_id ON practices FOR EACH ROW EXECUTE FUNCTION tenet_index('practice', 'practice_id');
ALTER TABLE practices ENABLE ALWAYS TRIGGER practices_index;

CREATE TRIGGER templates_stamp BEFORE INSERT OR UPDATE OF template_id, category, name, description, template_content, variables, is_active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version, batch_id ON templates FOR EACH ROW EXECUTE FUNCTION tenet_stamp('template', 'template_id');
ALTER TABLE templates ENABLE ALWAYS TRIGGER templates_stamp;
CREATE TRIGGER templates_keep BEFORE DELETE ON templates FOR EACH ROW EXECUTE FUNCTION tenet_keep('template', 'template_id');
ALTER TABLE templates ENABLE ALWAYS TRIGGER templates_keep;
CREATE TRIGGER templates_keep_all BEFORE TRUNCATE ON templates FOR EACH STATEMENT EXECUTE FUNCTION tenet_keep('template', 'template_id');
ALTER TABLE templates ENABLE ALWAYS TRIGGER templates_keep_all;
CREATE CONSTRAINT TRIGGER templates_change AFTER INSERT OR UPDATE OF template_id, category, name, description, template_content, variables, is_active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version, batch_id ON templates DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenet_change('template');
ALTER TABLE templates ENABLE ALWAYS TRIGGER templates_change;
CREATE TRIGGER templates_index AFTER INSERT OR DELETE OR UPDATE OF template_id, category, name, description, template_content, variables, is_active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version, batch_id ON templates FOR EACH ROW EXECUTE FUNCTION tenet_index('template', 'template_id');
ALTER TABLE templates ENABLE ALWAYS TRIGGER templates_index;

CREATE TRIGGER violations_stamp BEFORE INSERT OR UPDATE OF violation_id, rule_id, source, repository, path, line, message, severity, status, waiver_reason, waiver_expiry, reported_by, reported_at, resolved_at, resolved_by, is_active, created_by, created_at, updated_by, updated_at, version, batch_id ON violations FOR EACH ROW EXECUTE FUNCTION tenet_stamp('violation', 'violation_id');
ALTER TABLE violations ENABLE ALWAYS TRIGGER violations_stamp;
CREATE TRIGGER violations_keep BEFORE DELETE ON violations FOR EACH ROW EXECUTE FUNCTION tenet_keep('violation', 'violation_id');
ALTER TABLE violations ENABLE ALWAYS TRIGGER violations_keep;
CREATE TRIGGER violations_keep_all BEFORE TRUNCATE ON violations FOR EACH STATEMENT EXECUTE FUNCTION tenet_keep('violation', 'violation_id');
ALTER TABLE violations ENABLE ALWAYS TRIGGER violations_keep_all;
CREATE CONSTRAINT TRIGGER violations_change AFTER INSERT OR UPDATE OF violation_id, rule_id, source, repository, path, line, message, severity, status, waiver_reason, waiver_expiry, reported_by, reported_at, resolved_at, resolved_by, is_active, created_by, created_at, updated_by, updated_at, version, batch_id ON violations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenet_change('violation');
ALTER TABLE violations ENABLE ALWAYS TRIGGER violations_change;

CREATE CONSTRAINT TRIGGER purges_change AFTER INSERT ON purges DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenet_purged();
ALTER TABLE purges ENABLE ALWAYS TRIGGER purges_change;

-- +goose StatementBegin
-- tenet_refuse ends a batch with what the program needs to tell its writer.
CREATE FUNCTION tenet_refuse(p_code text, p_op integer, p_want bigint, p_got bigint, p_field text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'batch refused' USING ERRCODE = p_code,
    DETAIL = json_build_object('op', p_op, 'want', p_want, 'got', coalesce(p_got, 0), 'field', p_field)::text;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_put_category(p_op integer, p_id text, p_if bigint, p_doc jsonb, p_batch uuid, p_actor text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF p_if <> -1 THEN
    UPDATE categories t SET (name, description, is_active, batch_id, updated_by, updated_at) =
      (d.name, d.description, d.is_active, p_batch, p_actor, p_at)
      FROM jsonb_populate_record(NULL::categories, p_doc) d WHERE t.category_id = p_id AND (p_if = 0 OR t.version = p_if);
    IF FOUND THEN
      RETURN;
    END IF;
    IF p_if > 0 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM categories t WHERE t.category_id = p_id), '');
    END IF;
  END IF;
  INSERT INTO categories (category_id, name, description, is_active, batch_id, created_by, created_at, updated_by, updated_at)
    SELECT p_id, d.name, d.description, d.is_active, p_batch, p_actor, p_at, p_actor, p_at FROM jsonb_populate_record(NULL::categories, p_doc) d
    ON CONFLICT (category_id) DO NOTHING;
  IF NOT FOUND THEN
    IF p_if = -1 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM categories t WHERE t.category_id = p_id), '');
    END IF;
    RAISE EXCEPTION 'another writer came between' USING ERRCODE = '40001';
  END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_put_principal(p_op integer, p_id text, p_if bigint, p_doc jsonb, p_batch uuid, p_actor text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF p_if <> -1 THEN
    UPDATE principals t SET (name, role, token_hash, token_prefix, expiry, disabled, batch_id, updated_by, updated_at) =
      (d.name, d.role, d.token_hash, d.token_prefix, d.expiry, d.disabled, p_batch, p_actor, p_at)
      FROM jsonb_populate_record(NULL::principals, p_doc) d WHERE t.principal_id = p_id AND (p_if = 0 OR t.version = p_if);
    IF FOUND THEN
      RETURN;
    END IF;
    IF p_if > 0 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM principals t WHERE t.principal_id = p_id), '');
    END IF;
  END IF;
  INSERT INTO principals (principal_id, name, role, token_hash, token_prefix, expiry, disabled, batch_id, created_by, created_at, updated_by, updated_at)
    SELECT p_id, d.name, d.role, d.token_hash, d.token_prefix, d.expiry, d.disabled, p_batch, p_actor, p_at, p_actor, p_at FROM jsonb_populate_record(NULL::principals, p_doc) d
    ON CONFLICT (principal_id) DO NOTHING;
  IF NOT FOUND THEN
    IF p_if = -1 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM principals t WHERE t.principal_id = p_id), '');
    END IF;
    RAISE EXCEPTION 'another writer came between' USING ERRCODE = '40001';
  END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_put_rule(p_op integer, p_id text, p_if bigint, p_doc jsonb, p_batch uuid, p_actor text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM categories c WHERE c.category_id = p_doc ->> 'category') THEN
    PERFORM tenet_refuse('TN003', p_op, 0, 0, 'category');
  END IF;
  IF p_if <> -1 THEN
    UPDATE rules t SET (category, title, description, severity, enforcement, examples, anti_patterns, violations_consequence, priority, status, active, tags, scope, extra, batch_id, updated_by, updated_at) =
      (d.category, d.title, d.description, d.severity, d.enforcement, d.examples, d.anti_patterns, d.violations_consequence, d.priority, d.status, d.active, d.tags, d.scope, d.extra, p_batch, p_actor, p_at)
      FROM jsonb_populate_record(NULL::rules, p_doc) d WHERE t.rule_id = p_id AND (p_if = 0 OR t.version = p_if);
    IF FOUND THEN
      RETURN;
    END IF;
    IF p_if > 0 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM rules t WHERE t.rule_id = p_id), '');
    END IF;
  END IF;
  INSERT INTO rules (rule_id, category, title, description, severity, enforcement, examples, anti_patterns, violations_consequence, priority, status, active, tags, scope, extra, batch_id, created_by, created_at, updated_by, updated_at)
    SELECT p_id, d.category, d.title, d.description, d.severity, d.enforcement, d.examples, d.anti_patterns, d.violations_consequence, d.priority, d.status, d.active, d.tags, d.scope, d.extra, p_batch, p_actor, p_at, p_actor, p_at FROM jsonb_populate_record(NULL::rules, p_doc) d
    ON CONFLICT (rule_id) DO NOTHING;
  IF NOT FOUND THEN
    IF p_if = -1 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM rules t WHERE t.rule_id = p_id), '');
    END IF;
    RAISE EXCEPTION 'another writer came between' USING ERRCODE = '40001';
  END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_put_practice(p_op integer, p_id text, p_if bigint, p_doc jsonb, p_batch uuid, p_actor text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM categories c WHERE c.category_id = p_doc ->> 'category') THEN
    PERFORM tenet_refuse('TN003', p_op, 0, 0, 'category');
  END IF;
  IF p_if <> -1 THEN
    UPDATE practices t SET (category, title, description, benefits, implementation_guide, anti_patterns, "references", examples, effectiveness_score, adoption_rate, is_required, is_active, tags, scope, extra, batch_id, updated_by, updated_at) =
      (d.category, d.title, d.description, d.benefits, d.implementation_guide, d.anti_patterns, d."references", d.examples, d.effectiveness_score, d.adoption_rate, d.is_required, d.is_active, d.tags, d.scope, d.extra, p_batch, p_actor, p_at)
      FROM jsonb_populate_record(NULL::practices, p_doc) d WHERE t.practice_id = p_id AND (p_if = 0 OR t.version = p_if);
    IF FOUND THEN
      RETURN;
    END IF;
    IF p_if > 0 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM practices t WHERE t.practice_id = p_id), '');
    END IF;
  END IF;
  INSERT INTO practices (practice_id, category, title, description, benefits, implementation_guide, anti_patterns, "references", examples, effectiveness_score, adoption_rate, is_required, is_active, tags, scope, extra, batch_id, created_by, created_at, updated_by, updated_at)
    SELECT p_id, d.category, d.title, d.description, d.benefits, d.implementation_guide, d.anti_patterns, d."references", d.examples, d.effectiveness_score, d.adoption_rate, d.is_required, d.is_active, d.tags, d.scope, d.extra, p_batch, p_actor, p_at, p_actor, p_at FROM jsonb_populate_record(NULL::practices, p_doc) d
    ON CONFLICT (practice_id) DO NOTHING;
  IF NOT FOUND THEN
    IF p_if = -1 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM practices t WHERE t.practice_id = p_id), '');
    END IF;
    RAISE EXCEPTION 'another writer came between' USING ERRCODE = '40001';
  END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_put_template(p_op integer, p_id text, p_if bigint, p_doc jsonb, p_batch uuid, p_actor text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM categories c WHERE c.category_id = p_doc ->> 'category') THEN
    PERFORM tenet_refuse('TN003', p_op, 0, 0, 'category');
  END IF;
  IF p_if <> -1 THEN
    UPDATE templates t SET (category, name, description, template_content, variables, is_active, tags, scope, extra, batch_id, updated_by, updated_at) =
      (d.category, d.name, d.description, d.template_content, d.variables, d.is_active, d.tags, d.scope, d.extra, p_batch, p_actor, p_at)
      FROM jsonb_populate_record(NULL::templates, p_doc) d WHERE t.template_id = p_id AND (p_if = 0 OR t.version = p_if);
    IF FOUND THEN
      RETURN;
    END IF;
    IF p_if > 0 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM templates t WHERE t.template_id = p_id), '');
    END IF;
  END IF;
  INSERT INTO templates (template_id, category, name, description, template_content, variables, is_active, tags, scope, extra, batch_id, created_by, created_at, updated_by, updated_at)
    SELECT p_id, d.category, d.name, d.description, d.template_content, d.variables, d.is_active, d.tags, d.scope, d.extra, p_batch, p_actor, p_at, p_actor, p_at FROM jsonb_populate_record(NULL::templates, p_doc) d
    ON CONFLICT (template_id) DO NOTHING;
  IF NOT FOUND THEN
    IF p_if = -1 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM templates t WHERE t.template_id = p_id), '');
    END IF;
    RAISE EXCEPTION 'another writer came between' USING ERRCODE = '40001';
  END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_put_violation(p_op integer, p_id text, p_if bigint, p_doc jsonb, p_batch uuid, p_actor text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM rules r WHERE r.rule_id = p_doc ->> 'rule_id') THEN
    PERFORM tenet_refuse('TN003', p_op, 0, 0, 'rule_id');
  END IF;
  IF p_if <> -1 THEN
    UPDATE violations t SET (rule_id, source, repository, path, line, message, severity, status, waiver_reason, waiver_expiry, reported_by, reported_at, resolved_at, resolved_by, is_active, batch_id, updated_by, updated_at) =
      (d.rule_id, d.source, d.repository, d.path, d.line, d.message, d.severity, d.status, d.waiver_reason, d.waiver_expiry, d.reported_by, coalesce(d.reported_at, t.created_at), d.resolved_at, d.resolved_by, d.is_active, p_batch, p_actor, p_at)
      FROM jsonb_populate_record(NULL::violations, p_doc) d WHERE t.violation_id = p_id AND (p_if = 0 OR t.version = p_if);
    IF FOUND THEN
      RETURN;
    END IF;
    IF p_if > 0 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM violations t WHERE t.violation_id = p_id), '');
    END IF;
  END IF;
  INSERT INTO violations (violation_id, rule_id, source, repository, path, line, message, severity, status, waiver_reason, waiver_expiry, reported_by, reported_at, resolved_at, resolved_by, is_active, batch_id, created_by, created_at, updated_by, updated_at)
    SELECT p_id, d.rule_id, d.source, d.repository, d.path, d.line, d.message, d.severity, d.status, d.waiver_reason, d.waiver_expiry, d.reported_by, coalesce(d.reported_at, p_at), d.resolved_at, d.resolved_by, d.is_active, p_batch, p_actor, p_at, p_actor, p_at FROM jsonb_populate_record(NULL::violations, p_doc) d
    ON CONFLICT (violation_id) DO NOTHING;
  IF NOT FOUND THEN
    IF p_if = -1 THEN
      PERFORM tenet_refuse('TN001', p_op, p_if, (SELECT t.version FROM violations t WHERE t.violation_id = p_id), '');
    END IF;
    RAISE EXCEPTION 'another writer came between' USING ERRCODE = '40001';
  END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_version(p_kind text, p_id text) RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF p_kind = 'category' THEN
      RETURN (SELECT t.version FROM categories t WHERE t.category_id = p_id);
    ELSIF p_kind = 'principal' THEN
      RETURN (SELECT t.version FROM principals t WHERE t.principal_id = p_id);
    ELSIF p_kind = 'rule' THEN
      RETURN (SELECT t.version FROM rules t WHERE t.rule_id = p_id);
    ELSIF p_kind = 'practice' THEN
      RETURN (SELECT t.version FROM practices t WHERE t.practice_id = p_id);
    ELSIF p_kind = 'template' THEN
      RETURN (SELECT t.version FROM templates t WHERE t.template_id = p_id);
    ELSIF p_kind = 'violation' THEN
      RETURN (SELECT t.version FROM violations t WHERE t.violation_id = p_id);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_set_active(p_op integer, p_kind text, p_id text, p_if bigint, p_active boolean, p_batch uuid, p_actor text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  got bigint;
BEGIN
    IF p_kind = 'category' THEN
      UPDATE categories t SET is_active = p_active, batch_id = p_batch, updated_by = p_actor, updated_at = p_at WHERE t.category_id = p_id AND (p_if = 0 OR t.version = p_if);
    ELSIF p_kind = 'principal' THEN
      UPDATE principals t SET disabled = NOT p_active, batch_id = p_batch, updated_by = p_actor, updated_at = p_at WHERE t.principal_id = p_id AND (p_if = 0 OR t.version = p_if);
    ELSIF p_kind = 'rule' THEN
      UPDATE rules t SET active = p_active, batch_id = p_batch, updated_by = p_actor, updated_at = p_at WHERE t.rule_id = p_id AND (p_if = 0 OR t.version = p_if);
    ELSIF p_kind = 'practice' THEN
      UPDATE practices t SET is_active = p_active, batch_id = p_batch, updated_by = p_actor, updated_at = p_at WHERE t.practice_id = p_id AND (p_if = 0 OR t.version = p_if);
    ELSIF p_kind = 'template' THEN
      UPDATE templates t SET is_active = p_active, batch_id = p_batch, updated_by = p_actor, updated_at = p_at WHERE t.template_id = p_id AND (p_if = 0 OR t.version = p_if);
    ELSIF p_kind = 'violation' THEN
      UPDATE violations t SET is_active = p_active, batch_id = p_batch, updated_by = p_actor, updated_at = p_at WHERE t.violation_id = p_id AND (p_if = 0 OR t.version = p_if);
    END IF;
  IF NOT FOUND THEN
    got := tenet_version(p_kind, p_id);
    PERFORM tenet_refuse(CASE WHEN got IS NULL AND p_if = 0 THEN 'TN002' ELSE 'TN001' END, p_op, p_if, got, '');
  END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tenet_remove deletes a document and empties its texts in the log; a change without a document stays.
CREATE FUNCTION tenet_remove(p_op integer, p_kind text, p_id text, p_if bigint, p_batch uuid, p_actor text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  got bigint;
BEGIN
    IF p_kind = 'category' THEN
      SELECT t.version INTO got FROM categories t WHERE t.category_id = p_id FOR UPDATE;
    ELSIF p_kind = 'principal' THEN
      SELECT t.version INTO got FROM principals t WHERE t.principal_id = p_id FOR UPDATE;
    ELSIF p_kind = 'rule' THEN
      SELECT t.version INTO got FROM rules t WHERE t.rule_id = p_id FOR UPDATE;
    ELSIF p_kind = 'practice' THEN
      SELECT t.version INTO got FROM practices t WHERE t.practice_id = p_id FOR UPDATE;
    ELSIF p_kind = 'template' THEN
      SELECT t.version INTO got FROM templates t WHERE t.template_id = p_id FOR UPDATE;
    ELSIF p_kind = 'violation' THEN
      SELECT t.version INTO got FROM violations t WHERE t.violation_id = p_id FOR UPDATE;
    END IF;
  IF got IS NULL AND p_if = 0 THEN
    PERFORM tenet_refuse('TN002', p_op, p_if, got, '');
  ELSIF got IS NULL OR p_if > 0 AND p_if <> got THEN
    PERFORM tenet_refuse('TN001', p_op, p_if, got, '');
  END IF;
  INSERT INTO purges (kind, id, version, batch_id, actor, at) VALUES (p_kind, p_id, got + 1, p_batch, p_actor, p_at);
  BEGIN
    IF p_kind = 'category' THEN
      DELETE FROM categories t WHERE t.category_id = p_id;
    ELSIF p_kind = 'principal' THEN
      DELETE FROM principals t WHERE t.principal_id = p_id;
    ELSIF p_kind = 'rule' THEN
      DELETE FROM rules t WHERE t.rule_id = p_id;
    ELSIF p_kind = 'practice' THEN
      DELETE FROM practices t WHERE t.practice_id = p_id;
    ELSIF p_kind = 'template' THEN
      DELETE FROM templates t WHERE t.template_id = p_id;
    ELSIF p_kind = 'violation' THEN
      DELETE FROM violations t WHERE t.violation_id = p_id;
    END IF;
  EXCEPTION WHEN foreign_key_violation THEN
    PERFORM tenet_refuse('TN004', p_op, p_if, got, '');
  END;
  UPDATE changes c SET document = NULL WHERE c.kind = p_kind AND c.id = p_id;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tenet_purge is the purge for a person at a prompt.
CREATE FUNCTION tenet_purge(p_kind text, p_id text) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
  SELECT tenet_remove(0, p_kind, p_id, 0, '00000000-0000-0000-0000-000000000000', session_user::text, clock_timestamp())
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tenet_lock takes the rows of a batch in one order, so that two batches over the same documents never wait for each other.
CREATE FUNCTION tenet_lock(p_ops jsonb) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM FROM categories t WHERE t.category_id = ANY (ARRAY(SELECT e ->> 'id' FROM jsonb_array_elements(p_ops) e WHERE e ->> 'kind' = 'category')) ORDER BY t.category_id FOR NO KEY UPDATE;
  PERFORM FROM principals t WHERE t.principal_id = ANY (ARRAY(SELECT e ->> 'id' FROM jsonb_array_elements(p_ops) e WHERE e ->> 'kind' = 'principal')) ORDER BY t.principal_id FOR NO KEY UPDATE;
  PERFORM FROM rules t WHERE t.rule_id = ANY (ARRAY(SELECT e ->> 'id' FROM jsonb_array_elements(p_ops) e WHERE e ->> 'kind' = 'rule')) ORDER BY t.rule_id FOR NO KEY UPDATE;
  PERFORM FROM practices t WHERE t.practice_id = ANY (ARRAY(SELECT e ->> 'id' FROM jsonb_array_elements(p_ops) e WHERE e ->> 'kind' = 'practice')) ORDER BY t.practice_id FOR NO KEY UPDATE;
  PERFORM FROM templates t WHERE t.template_id = ANY (ARRAY(SELECT e ->> 'id' FROM jsonb_array_elements(p_ops) e WHERE e ->> 'kind' = 'template')) ORDER BY t.template_id FOR NO KEY UPDATE;
  PERFORM FROM violations t WHERE t.violation_id = ANY (ARRAY(SELECT e ->> 'id' FROM jsonb_array_elements(p_ops) e WHERE e ->> 'kind' = 'violation')) ORDER BY t.violation_id FOR NO KEY UPDATE;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tenet_apply does a batch, or nothing, and reports whether it was done now; false means that it was done before. It is called
-- by itself, outside of a transaction block, so that the log's lock is never held while the server waits for the program.
CREATE FUNCTION tenet_apply(p_batch uuid, p_fingerprint bytea, p_actor text, p_at timestamptz, p_ops jsonb)
RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  now_at timestamptz := coalesce(p_at, clock_timestamp());
  op jsonb;
  n integer := 0;
  kind text;
  id text;
  verb text;
  want bigint;
BEGIN
  INSERT INTO batches (id, fingerprint, actor) VALUES (p_batch, p_fingerprint, p_actor) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    IF (SELECT b.fingerprint FROM batches b WHERE b.id = p_batch) <> p_fingerprint THEN
      PERFORM tenet_refuse('TN005', 0, 0, 0, '');
    END IF;
    RETURN false;
  END IF;
  IF jsonb_array_length(p_ops) > 1 THEN
    PERFORM tenet_lock(p_ops);
  END IF;
  FOR op IN SELECT e FROM jsonb_array_elements(p_ops) e LOOP
    kind := op ->> 'kind';
    id := op ->> 'id';
    verb := op ->> 'verb';
    want := (op ->> 'if_version')::bigint;
    IF verb = 'put' THEN
      IF kind = 'category' THEN PERFORM tenet_put_category(n, id, want, op -> 'document', p_batch, p_actor, now_at);
      ELSIF kind = 'principal' THEN PERFORM tenet_put_principal(n, id, want, op -> 'document', p_batch, p_actor, now_at);
      ELSIF kind = 'rule' THEN PERFORM tenet_put_rule(n, id, want, op -> 'document', p_batch, p_actor, now_at);
      ELSIF kind = 'practice' THEN PERFORM tenet_put_practice(n, id, want, op -> 'document', p_batch, p_actor, now_at);
      ELSIF kind = 'template' THEN PERFORM tenet_put_template(n, id, want, op -> 'document', p_batch, p_actor, now_at);
      ELSIF kind = 'violation' THEN PERFORM tenet_put_violation(n, id, want, op -> 'document', p_batch, p_actor, now_at);
      END IF;
    ELSIF verb = 'purge' THEN
      PERFORM tenet_remove(n, kind, id, want, p_batch, p_actor, now_at);
    ELSE
      PERFORM tenet_set_active(n, kind, id, want, verb = 'restore', p_batch, p_actor, now_at);
    END IF;
    n := n + 1;
  END LOOP;
  RETURN true;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE search, facets, purges, batches, changes, violations, templates, practices, rules, principals, categories;
DROP FUNCTION tenet_apply(uuid, bytea, text, timestamptz, jsonb);
DROP FUNCTION tenet_lock(jsonb);
DROP FUNCTION tenet_purge(text, text);
DROP FUNCTION tenet_remove(integer, text, text, bigint, uuid, text, timestamptz);
DROP FUNCTION tenet_set_active(integer, text, text, bigint, boolean, uuid, text, timestamptz);
DROP FUNCTION tenet_version(text, text);
DROP FUNCTION tenet_put_category(integer, text, bigint, jsonb, uuid, text, timestamptz);
DROP FUNCTION tenet_put_principal(integer, text, bigint, jsonb, uuid, text, timestamptz);
DROP FUNCTION tenet_put_rule(integer, text, bigint, jsonb, uuid, text, timestamptz);
DROP FUNCTION tenet_put_practice(integer, text, bigint, jsonb, uuid, text, timestamptz);
DROP FUNCTION tenet_put_template(integer, text, bigint, jsonb, uuid, text, timestamptz);
DROP FUNCTION tenet_put_violation(integer, text, bigint, jsonb, uuid, text, timestamptz);
DROP FUNCTION tenet_refuse(text, integer, bigint, bigint, text);
DROP FUNCTION tenet_index();
DROP FUNCTION tenet_reindex(text, text, bigint, text, text, jsonb, jsonb, text, text);
DROP FUNCTION tenet_keep();
DROP FUNCTION tenet_purged();
DROP FUNCTION tenet_change();
DROP FUNCTION tenet_log(text, text, bigint, text, uuid, text, timestamptz, jsonb);
DROP FUNCTION tenet_stamp();
DROP FUNCTION tenet_strings(jsonb);
DROP FUNCTION tenet_example_text(jsonb);
DROP FUNCTION tenet_words(text);
DROP FUNCTION tenet_lower(text);
DROP TEXT SEARCH CONFIGURATION tenet;
DROP TEXT SEARCH DICTIONARY tenet_stem;
