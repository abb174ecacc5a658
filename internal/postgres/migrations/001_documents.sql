-- The documents, their log, and what keeps both true. DESIGN.md beside this folder tells why it is built as it is.
--
-- Functions have the search path of the migration, or were bound to what they name when they were made (RETURN): nobody's own
-- path decides what they touch. They run with the rights of their caller: the program's role needs SELECT, INSERT, UPDATE and
-- DELETE on the tables and nothing more.

-- +goose Up

-- Words are reduced to their stems by the algorithm that the local engine uses too; there are no stop words.
CREATE TEXT SEARCH DICTIONARY tenet_porter (TEMPLATE = pg_catalog.snowball, LANGUAGE = porter);
CREATE TEXT SEARCH CONFIGURATION tenet (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION tenet ALTER MAPPING FOR asciiword WITH tenet_porter;

-- tenet_lower puts letters of any script in lower case, whatever the locale of the database knows of them.
-- +goose StatementBegin
DO $$
DECLARE
  letters text := '';
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collname = 'und-x-icu' AND collnamespace = 'pg_catalog'::regnamespace) THEN
    letters := ' COLLATE pg_catalog."und-x-icu"';
  END IF;
  EXECUTE 'CREATE FUNCTION tenet_lower(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN pg_catalog.lower(words' || letters || ')';
END
$$;
-- +goose StatementEnd

-- tenet_plain makes a text fall into the words that it has everywhere in tenet: runs of letters, digits and marks. Of ASCII only
-- the characters go from which PostgreSQL's parser would make hosts, paths, numbers, tags and entities. Beyond ASCII accents go,
-- and everything that belongs to no word: a locale that knows no letters takes it all for letters.
-- +goose StatementBegin
CREATE FUNCTION tenet_plain(words text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
  IF octet_length(words) <> char_length(words) THEN
    words := regexp_replace(normalize(tenet_lower(words), NFD), '[\u0300-\u036f]+', '', 'g');
    words := regexp_replace(words, '[\u0080-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u02c2-\u02c5\u02d2-\u02df'
      '\u02e5-\u02eb\u02ed\u02ef-\u02ff\u0375\u037e\u0384\u0385\u0387\u03f6\u0482\u055a-\u055f\u0589-\u058f\u05be\u05c0\u05c3\u05c6'
      '\u05f3-\u060f\u061b-\u061f\u066a-\u066d\u06d4\u06dd\u06de\u06e9\u06fd\u06fe\u0700-\u070f\u0964\u0965\u0970\u0df4\u0e3f\u0e4f'
      '\u0e5a\u0e5b\u0f01-\u0f17\u104a-\u104f\u10fb\u1360-\u137c\u1400\u166d\u166e\u1680\u16eb-\u16f0\u17d4-\u17d6\u17d8-\u17db'
      '\u1800-\u180a\u180e\u2000-\u2070\u2074-\u207e\u2080-\u208e\u20a0-\u20cf\u2100\u2101\u2103-\u2106\u2108\u2109\u2114'
      '\u2116-\u2118\u211e-\u2123\u2125\u2127\u2129\u212e\u213a\u213b\u2140-\u2144\u214a-\u214d\u214f-\u2182\u2185-\u2bff\u2e00-\u2e2e'
      '\u2e30-\u3004\u3007-\u3029\u3030\u3036-\u303a\u303d-\u303f\u309b\u309c\u30a0\u30fb\u3190-\u319f\u31c0-\u31e3\u3200-\u33ff'
      '\u4dc0-\u4dff\ua490-\ua4c6\ufd3e-\ufd4f\ufdfc-\ufdff\ufe10-\ufe19\ufe30-\ufe6b\ufeff-\uff0f\uff1a-\uff20\uff3b-\uff40'
      '\uff5b-\uff65\uffe0-\uffff\U0001f000-\U0001fbca\U000e0000-\U000e007f]+', ' ', 'g');
  END IF;
  -- One by one: translate() looks through its whole list for every character.
  RETURN replace(replace(replace(replace(replace(replace(replace(words, '-', ' '), '.', ' '), '/', ' '), '<', ' '), '&', ' '), '+', ' '), '~', ' ');
END
$$;
-- +goose StatementEnd

-- tenet_query returns the full-text query of a parsed search: [[{"w": [words], "p": prefix, "n": not, "t": title}]]. All
-- groups must match, of a group one term. Nothing of a word can be read as an operator.
-- It is IMMUTABLE, so that the planner computes it, once: called for each row it took 10 s to look at 100,000.
-- +goose StatementBegin
CREATE FUNCTION tenet_query(search jsonb) RETURNS tsquery LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
  alternatives jsonb;
  term jsonb;
  word text;
  beginning text;
  weight text;
  one tsquery;
  together tsquery;
  any_of tsquery;
  all_of tsquery;
BEGIN
  FOR alternatives IN SELECT jsonb_array_elements(search) LOOP
    any_of := NULL;
    FOR term IN SELECT jsonb_array_elements(alternatives) LOOP
      together := NULL;
      weight := CASE WHEN (term ->> 't')::boolean THEN ':A' ELSE '' END;
      beginning := CASE WHEN (term ->> 'p')::boolean THEN tenet_plain(term -> 'w' ->> -1) END;
      FOR word IN SELECT tenet_plain(w) FROM jsonb_array_elements_text((term -> 'w') - CASE WHEN beginning IS NULL THEN 9999 ELSE -1 END) AS w LOOP
        IF word = '' THEN
          RETURN NULL; -- nothing but marks: no document has such a word
        END IF;
        one := to_tsquery('tenet', quote_literal(word) || weight);
        together := CASE WHEN together IS NULL THEN one ELSE tsquery_phrase(together, one) END;
      END LOOP;
      IF beginning IS NOT NULL THEN
        -- The stem of a word may be shorter than its beginning that is asked for: those of its likely forms count too.
        one := (quote_literal(beginning) || CASE WHEN weight = '' THEN ':*' ELSE ':*A' END)::tsquery;
        FOR word IN
          SELECT DISTINCT (ts_lexize('tenet_porter', beginning || ending))[1]
          FROM unnest('{"",e,g,ng,ing,d,ed,s,es,n,on,ion,y,ty,ity}'::text[]) AS ending
        LOOP
          IF NOT starts_with(word, beginning) THEN
            one := one || (quote_literal(word) || weight)::tsquery;
          END IF;
        END LOOP;
        together := CASE WHEN together IS NULL THEN one ELSE tsquery_phrase(together, one) END;
      END IF;
      any_of := CASE WHEN any_of IS NULL THEN together ELSE any_of || together END;
    END LOOP;
    IF (alternatives -> 0 ->> 'n')::boolean THEN
      any_of := !! any_of;
    END IF;
    all_of := CASE WHEN all_of IS NULL THEN any_of ELSE all_of && any_of END;
  END LOOP;
  RETURN all_of;
END
$$;
-- +goose StatementEnd

-- The shapes of ids, times and JSON. The program checks more; these keep a hand edit from storing what it couldn't read again.
CREATE FUNCTION tenet_is_id(id text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN id COLLATE "C" ~ '^[A-Za-z0-9._-]{1,128}$' AND id NOT IN ('.', '..');

CREATE FUNCTION tenet_is_time(at timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN at >= '0001-01-01 00:00:00+00' AND at <= '9999-12-31 23:59:59.999999+00';

CREATE FUNCTION tenet_is_texts(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(list) = 'array' AND NOT coalesce(jsonb_path_exists(list, 'strict $[*] ? (@.type() != "string")', '{}', true), false);

CREATE FUNCTION tenet_is_examples(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(list) = 'array' AND NOT coalesce(jsonb_path_exists(list, 'strict $[*] ? (@.type() != "object"
      || exists(@.title ? (@.type() != "string"))
      || exists(@.language ? (@.type() != "string"))
      || exists(@.code ? (@.type() != "string"))
      || exists(@.note ? (@.type() != "string")))', '{}', true), false);

CREATE FUNCTION tenet_is_references(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(list) = 'array' AND NOT coalesce(jsonb_path_exists(list, 'strict $[*] ? (@.type() != "object"
      || exists(@.title ? (@.type() != "string"))
      || exists(@.url ? (@.type() != "string")))', '{}', true), false);

CREATE FUNCTION tenet_is_variables(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(list) = 'array' AND NOT coalesce(jsonb_path_exists(list, 'strict $[*] ? (@.type() != "object"
      || exists(@.name ? (@.type() != "string"))
      || exists(@.title ? (@.type() != "string"))
      || exists(@.type ? (@.type() != "string"))
      || exists(@.description ? (@.type() != "string"))
      || exists(@.pattern ? (@.type() != "string"))
      || exists(@.required ? (@.type() != "boolean")) || exists(@.options ? (@.type() != "array" || exists(@[*] ? (@.type() != "string")))))', '{}', true), false);

CREATE FUNCTION tenet_is_scope(scope jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN jsonb_typeof(scope) = 'object' AND NOT coalesce(jsonb_path_exists(scope, 'strict $ ? (exists(@.activation ? (@.type() != "string"))
      || exists(@.globs ? (@.type() != "array" || exists(@[*] ? (@.type() != "string"))))
      || exists(@.languages ? (@.type() != "array" || exists(@[*] ? (@.type() != "string"))))
      || exists(@.targets ? (@.type() != "array" || exists(@[*] ? (@.type() != "string")))))', '{}', true), false);

-- Rank is house order, smallest first: a tier times 2^32, plus 2^31, less a weight.
CREATE TABLE categories (
  category_id text COLLATE "C" PRIMARY KEY CHECK (tenet_is_id(category_id)),
  name varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL DEFAULT '',
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

CREATE TABLE principals (
  principal_id text COLLATE "C" PRIMARY KEY CHECK (tenet_is_id(principal_id)),
  name varchar(255) COLLATE "C" NOT NULL,
  role text NOT NULL DEFAULT 'viewer' CHECK (role IN ('viewer', 'contributor', 'maintainer', 'admin')),
  token_hash text NOT NULL CHECK (token_hash ~ '^[0-9a-f]{64}$'),
  token_prefix text NOT NULL DEFAULT '',
  expiry timestamptz CHECK (tenet_is_time(expiry)),
  disabled boolean NOT NULL DEFAULT false,
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(created_at)),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(updated_at)),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    3 * 4294967296 + 2147483648) STORED
);

CREATE TABLE rules (
  rule_id text COLLATE "C" PRIMARY KEY CHECK (tenet_is_id(rule_id)),
  category text COLLATE "C" NOT NULL REFERENCES categories (category_id),
  title varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL,
  severity text NOT NULL DEFAULT 'WARNING' CHECK (severity IN ('CRITICAL', 'ERROR', 'WARNING', 'INFO')),
  enforcement text COLLATE "C" NOT NULL DEFAULT 'recommended' CHECK (enforcement IN ('mandatory', 'recommended', 'optional')),
  examples jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_examples(examples)),
  anti_patterns jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_examples(anti_patterns)),
  violations_consequence text NOT NULL DEFAULT '',
  priority integer NOT NULL DEFAULT 0 CHECK (priority BETWEEN -1000000 AND 1000000),
  status text COLLATE "C" NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('DRAFT', 'ACTIVE', 'DEPRECATED')),
  active boolean NOT NULL DEFAULT true,
  tags jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_texts(tags)),
  scope jsonb NOT NULL DEFAULT '{}' CHECK (tenet_is_scope(scope)),
  extra jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(extra) = 'object'),
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(created_at)),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(updated_at)),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    (CASE severity WHEN 'CRITICAL' THEN 0 WHEN 'ERROR' THEN 1 WHEN 'WARNING' THEN 2 ELSE 3 END)::bigint * 4294967296 + 2147483648 - priority) STORED
);

CREATE TABLE practices (
  practice_id text COLLATE "C" PRIMARY KEY CHECK (tenet_is_id(practice_id)),
  category text COLLATE "C" NOT NULL REFERENCES categories (category_id),
  title varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL,
  benefits jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_texts(benefits)),
  implementation_guide text NOT NULL DEFAULT '',
  anti_patterns jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_examples(anti_patterns)),
  "references" jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_references("references")),
  examples jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_examples(examples)),
  effectiveness_score numeric(3,2) CHECK (effectiveness_score BETWEEN 0 AND 1),
  adoption_rate numeric(3,2) CHECK (adoption_rate BETWEEN 0 AND 1),
  is_required boolean NOT NULL DEFAULT false,
  is_active boolean NOT NULL DEFAULT true,
  tags jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_texts(tags)),
  scope jsonb NOT NULL DEFAULT '{}' CHECK (tenet_is_scope(scope)),
  extra jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(extra) = 'object'),
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(created_at)),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(updated_at)),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    (CASE WHEN is_required THEN 1 ELSE 2 END)::bigint * 4294967296 + 2147483648 - (coalesce(effectiveness_score, 0) * 100)::bigint) STORED
);

CREATE TABLE templates (
  template_id text COLLATE "C" PRIMARY KEY CHECK (tenet_is_id(template_id)),
  name varchar(255) COLLATE "C" NOT NULL,
  description text NOT NULL DEFAULT '',
  category text COLLATE "C" NOT NULL REFERENCES categories (category_id),
  template_content text NOT NULL,
  variables jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_variables(variables)),
  usage_count bigint NOT NULL DEFAULT 0 CHECK (usage_count >= 0),
  is_active boolean NOT NULL DEFAULT true,
  tags jsonb NOT NULL DEFAULT '[]' CHECK (tenet_is_texts(tags)),
  scope jsonb NOT NULL DEFAULT '{}' CHECK (tenet_is_scope(scope)),
  extra jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(extra) = 'object'),
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(created_at)),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(updated_at)),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    2 * 4294967296 + 2147483648) STORED
);

CREATE TABLE violations (
  violation_id uuid PRIMARY KEY,
  rule_id text COLLATE "C" NOT NULL REFERENCES rules (rule_id),
  source text NOT NULL DEFAULT '',
  repository text COLLATE "C" NOT NULL DEFAULT '' CHECK (char_length(repository) <= 255),
  path text NOT NULL DEFAULT '',
  line integer NOT NULL DEFAULT 0 CHECK (line >= 0),
  message text NOT NULL,
  severity text COLLATE "C" NOT NULL DEFAULT 'WARNING' CHECK (severity IN ('CRITICAL', 'ERROR', 'WARNING', 'INFO')),
  status text COLLATE "C" NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved', 'waived')),
  waiver_reason text NOT NULL DEFAULT '',
  waiver_expiry timestamptz CHECK (tenet_is_time(waiver_expiry)),
  reported_by text NOT NULL DEFAULT '',
  reported_at timestamptz NOT NULL CHECK (tenet_is_time(reported_at)),
  resolved_at timestamptz CHECK (tenet_is_time(resolved_at)),
  resolved_by text NOT NULL DEFAULT '',
  is_active boolean NOT NULL DEFAULT true,
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(created_at)),
  updated_by text NOT NULL DEFAULT 'system',
  updated_at timestamptz NOT NULL DEFAULT now() CHECK (tenet_is_time(updated_at)),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  batch_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  rank bigint NOT NULL GENERATED ALWAYS AS (
    17179869184 - least(greatest(floor(extract(epoch FROM reported_at AT TIME ZONE 'UTC')), 0), 17179869184)::bigint) STORED
);

-- Every list is a walk along one of these, in one direction: equal columns first, then the order, then the id. What is in use and
-- what is retired stand apart in each, so that either is a range, and both together are two ranges that are merged.
CREATE INDEX categories_by_house ON categories (is_active, rank, category_id);
CREATE INDEX categories_by_updated ON categories (is_active, updated_at, category_id);
CREATE INDEX categories_by_title ON categories (is_active, name, category_id);
CREATE INDEX principals_by_house ON principals (disabled, rank, principal_id);
CREATE INDEX principals_by_updated ON principals (disabled, updated_at, principal_id);
CREATE INDEX principals_by_title ON principals (disabled, name, principal_id);
CREATE INDEX rules_by_house ON rules (active, rank, rule_id);
CREATE INDEX rules_by_updated ON rules (active, updated_at, rule_id);
CREATE INDEX rules_by_title ON rules (active, title, rule_id);
CREATE INDEX rules_by_category_house ON rules (category, active, rank, rule_id);
CREATE INDEX rules_by_category_updated ON rules (category, active, updated_at, rule_id);
CREATE INDEX rules_by_category_title ON rules (category, active, title, rule_id);
CREATE INDEX rules_by_category_id ON rules (category, active, rule_id);
CREATE INDEX rules_by_enforcement ON rules (enforcement, active, rank, rule_id);
CREATE INDEX rules_by_status ON rules (status, active, rank, rule_id);
CREATE INDEX practices_by_house ON practices (is_active, rank, practice_id);
CREATE INDEX practices_by_updated ON practices (is_active, updated_at, practice_id);
CREATE INDEX practices_by_title ON practices (is_active, title, practice_id);
CREATE INDEX practices_by_category_house ON practices (category, is_active, rank, practice_id);
CREATE INDEX practices_by_category_updated ON practices (category, is_active, updated_at, practice_id);
CREATE INDEX practices_by_category_title ON practices (category, is_active, title, practice_id);
CREATE INDEX practices_by_category_id ON practices (category, is_active, practice_id);
CREATE INDEX templates_by_house ON templates (is_active, rank, template_id);
CREATE INDEX templates_by_updated ON templates (is_active, updated_at, template_id);
CREATE INDEX templates_by_title ON templates (is_active, name, template_id);
CREATE INDEX templates_by_category_house ON templates (category, is_active, rank, template_id);
CREATE INDEX templates_by_category_updated ON templates (category, is_active, updated_at, template_id);
CREATE INDEX templates_by_category_title ON templates (category, is_active, name, template_id);
CREATE INDEX templates_by_category_id ON templates (category, is_active, template_id);
CREATE INDEX violations_by_house ON violations (is_active, rank, violation_id);
CREATE INDEX violations_by_updated ON violations (is_active, updated_at, violation_id);
CREATE INDEX violations_by_title ON violations (is_active, ("left"(message, 255) COLLATE "C"), violation_id);
CREATE INDEX violations_by_rule ON violations (rule_id, is_active, rank, violation_id);
CREATE INDEX violations_by_repository ON violations (repository, is_active, rank, violation_id);
CREATE INDEX violations_by_status ON violations (status, is_active, rank, violation_id);
CREATE INDEX violations_by_severity ON violations (severity, is_active, rank, violation_id);

-- Values of documents in use that have several of them. The second index is the order of a list by tag or language.
CREATE TABLE facets (
  kind text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  facet text COLLATE "C" NOT NULL CHECK (facet IN ('tag', 'language')),
  value text COLLATE "C" NOT NULL,
  rank bigint NOT NULL,
  PRIMARY KEY (kind, id, facet, value)
);
CREATE INDEX facets_by_value ON facets (kind, facet, value, rank, id);

-- The documents that search finds, with their words. The texts themselves are not kept twice.
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
ALTER TABLE search ALTER COLUMN vector SET STORAGE MAIN; -- beside its row: a walk in house order looks at each vector
CREATE INDEX search_by_words ON search USING gin (vector);
CREATE INDEX search_by_house ON search (rank, id, kind);
CREATE INDEX search_by_kind ON search (kind, rank, id);
CREATE INDEX search_by_category ON search (category, rank, id, kind);

-- The log: what was done, in the order in which it became visible. A row that a purge has emptied keeps its document's hash.
CREATE TABLE changes (
  seq bigint PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  verb text COLLATE "C" NOT NULL CHECK (verb IN ('put', 'retire', 'restore', 'purge')),
  batch_id uuid NOT NULL,
  actor text NOT NULL,
  at timestamptz NOT NULL,
  document jsonb,
  document_hash bytea NOT NULL CHECK (octet_length(document_hash) = 32),
  chain bytea NOT NULL CHECK (octet_length(chain) = 32),
  txid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint
);
CREATE UNIQUE INDEX changes_by_key ON changes (kind, id, version);
CREATE INDEX changes_by_batch ON changes (batch_id, seq);
CREATE INDEX changes_by_kind ON changes (kind, seq);

-- The ledger: an id stands here once, whatever is retried.
CREATE TABLE batches (
  id uuid PRIMARY KEY,
  fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
  actor text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);

-- Who purged what: it lets a document's row go, tells the log of it, and keeps the last version for a document of the same id.
CREATE TABLE purges (
  kind text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  batch_id uuid NOT NULL,
  actor text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (kind, id, version)
);

-- Long values are compressed by LZ4 where the server was built with it: a third of the time, writing and reading.
-- +goose StatementBegin
DO $$
DECLARE
  c record;
BEGIN
  FOR c IN SELECT a.attrelid::regclass AS tab, a.attname FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
    WHERE r.relnamespace = current_schema::regnamespace AND r.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attstorage IN ('x', 'm') AND r.relname IN ('categories', 'rules', 'practices', 'templates', 'violations', 'search', 'changes') LOOP
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION lz4', c.tab, c.attname);
  END LOOP;
EXCEPTION WHEN feature_not_supported THEN
  NULL;
END
$$;
-- +goose StatementEnd

-- tenet_stamp writes on a row what only the database may say: its version, who made it and when. A row comes from a batch when
-- it carries a batch id that it did not carry before; everything else is a hand edit, by whoever opened the session.
-- +goose StatementBegin
CREATE FUNCTION tenet_stamp() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  nobody CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
  key text;
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF TG_ARGV[0] = 'rule' THEN key := NEW.rule_id;
    ELSIF TG_ARGV[0] = 'practice' THEN key := NEW.practice_id;
    ELSIF TG_ARGV[0] = 'template' THEN key := NEW.template_id;
    ELSIF TG_ARGV[0] = 'category' THEN key := NEW.category_id;
    ELSIF TG_ARGV[0] = 'violation' THEN key := NEW.violation_id;
    ELSE key := NEW.principal_id;
    END IF;
    NEW.version := 1 + coalesce((
      SELECT p.version FROM purges p WHERE p.kind = TG_ARGV[0] AND p.id = key ORDER BY p.version DESC LIMIT 1), 0);
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
  IF TG_ARGV[0] = 'violation' THEN
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

-- tenet_used lets a count of uses pass without making a version of it.
-- +goose StatementBegin
CREATE FUNCTION tenet_used() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  rest templates := NEW;
BEGIN
  rest.usage_count := OLD.usage_count;
  rest.rank := OLD.rank; -- not computed yet
  IF rest IS DISTINCT FROM OLD THEN
    RAISE EXCEPTION 'uses of template % are counted in a statement of their own', OLD.template_id USING ERRCODE = 'TN007',
      HINT = 'Leave usage_count as it is when you change a template.';
  END IF;
  RETURN NEW;
END
$$;
-- +goose StatementEnd

-- tenet_same_id keeps a row's id for ever: another id is another document.
-- +goose StatementBegin
CREATE FUNCTION tenet_same_id() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  RAISE EXCEPTION 'the id of a % can''t change', TG_ARGV[0] USING ERRCODE = 'TN007',
    HINT = 'Insert a document with the new id and retire this one.';
END
$$;
-- +goose StatementEnd

-- tenet_keep refuses to let rows go in any way but by a purge, which leaves a change.
-- +goose StatementBegin
CREATE FUNCTION tenet_keep() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT FROM purges p WHERE p.kind = TG_ARGV[0] AND p.id = to_jsonb(OLD) ->> TG_ARGV[1] AND p.version = OLD.version + 1) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION '% of % is refused', lower(TG_OP), TG_TABLE_NAME USING ERRCODE = 'TN007',
    HINT = 'Retire documents: clear their active flag. To remove one with its history: SELECT tenet_purge(kind, id).';
END
$$;
-- +goose StatementEnd

-- tenet_log makes the row of the log while its transaction commits. Whoever holds the lock below commits next, so the order of
-- seq is the order of commits; it is taken nowhere else, and never while the server waits for a client.
-- +goose StatementBegin
CREATE FUNCTION tenet_log() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  c changes;
  before bytea;
  was boolean;
  is_now boolean;
BEGIN
  c.kind := TG_ARGV[0];
  IF TG_OP = 'DELETE' THEN
    c.id := to_jsonb(OLD) ->> TG_ARGV[1];
    c.verb := 'purge';
    SELECT p.version, p.batch_id, p.actor, p.at INTO STRICT c.version, c.batch_id, c.actor, c.at
      FROM purges p WHERE p.kind = c.kind AND p.id = c.id AND p.version = OLD.version + 1;
    c.document_hash := sha256('');
  ELSE
    c.document := to_jsonb(NEW) - '{rank,batch_id,usage_count}'::text[];
    c.id := c.document ->> TG_ARGV[1];
    c.version := NEW.version;
    c.batch_id := NEW.batch_id;
    c.actor := NEW.updated_by;
    c.at := NEW.updated_at;
    c.document_hash := sha256(convert_to(c.document::text, 'UTF8'));
    c.verb := 'put';
    IF TG_OP = 'UPDATE' THEN
      IF c.kind = 'rule' THEN was := OLD.active; is_now := NEW.active;
      ELSIF c.kind = 'principal' THEN was := NOT OLD.disabled; is_now := NOT NEW.disabled;
      ELSE was := OLD.is_active; is_now := NEW.is_active;
      END IF;
      IF was <> is_now THEN
        c.verb := CASE WHEN is_now THEN 'restore' ELSE 'retire' END;
      END IF;
    END IF;
  END IF;
  PERFORM pg_advisory_xact_lock(8387227955914040167); -- "tenetlog"
  SELECT l.seq, l.chain INTO c.seq, before FROM changes l ORDER BY l.seq DESC LIMIT 1;
  c.seq := coalesce(c.seq, 0) + 1;
  c.chain := sha256(coalesce(before, decode(repeat('00', 32), 'hex'))
    || convert_to(concat(c.seq, E'\n', c.kind, E'\n', c.id, E'\n', c.version, E'\n', c.verb, E'\n', c.batch_id, E'\n'), 'UTF8')
    || c.document_hash);
  INSERT INTO changes (seq, kind, id, version, verb, batch_id, actor, at, document, document_hash, chain)
    VALUES (c.seq, c.kind, c.id, c.version, c.verb, c.batch_id, c.actor, c.at, c.document, c.document_hash, c.chain);
  IF c.verb = 'purge' THEN
    UPDATE changes e SET document = NULL WHERE e.kind = c.kind AND e.id = c.id AND e.document IS NOT NULL;
  END IF;
  PERFORM pg_notify('tenet_changes', '');
  RETURN NULL;
END
$$;
-- +goose StatementEnd

-- tenet_vector makes the words of a document, weighted by where they stand. Very long texts are cut: the words of one document must
-- fit into a megabyte.
-- +goose StatementBegin
CREATE FUNCTION tenet_vector(title text, tags text, lead text, body text) RETURNS tsvector LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
  RETURN setweight(to_tsvector('tenet', tenet_plain(title)), 'A') || setweight(to_tsvector('tenet', tenet_plain("left"(tags, 8000))), 'B')
    || setweight(to_tsvector('tenet', tenet_plain("left"(lead, 80000))), 'C') || to_tsvector('tenet', tenet_plain("left"(body, 140000)));
END
$$;
-- +goose StatementEnd

-- tenet_words returns what a text is made of: the stems of its words, in their order. The program asks for the words of a batch, each
-- once, and makes the vectors of its documents of the answer: that costs a fifth of tenet_vector, and is the same.
-- +goose StatementBegin
CREATE FUNCTION tenet_words(words text[]) RETURNS TABLE (n bigint, stems text[]) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY SELECT w.n, ARRAY(
      SELECT v.lexeme FROM unnest(to_tsvector('tenet', tenet_plain(w.word))) AS v, unnest(v.positions) AS p ORDER BY p)
    FROM unnest(words) WITH ORDINALITY AS w (word, n);
END
$$;
-- +goose StatementEnd

-- tenet_texts returns some texts of a list of objects, one a line, in their order.
-- +goose StatementBegin
CREATE FUNCTION tenet_texts(list jsonb, VARIADIC texts text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF list = '[]' THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT string_agg(e.value ->> t.name, E'\n' ORDER BY e.n, t.n)
    FROM jsonb_array_elements(list) WITH ORDINALITY AS e (value, n), unnest(texts) WITH ORDINALITY AS t (name, n));
END
$$;
-- +goose StatementEnd

-- tenet_tags returns the short words of a document: its id, its category and its tags.
-- +goose StatementBegin
CREATE FUNCTION tenet_tags(id text, category text, tags jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  RETURN concat_ws(' ', id, nullif(category, ''), (SELECT string_agg(t, ' ') FROM jsonb_array_elements_text(tags) AS t));
END
$$;
-- +goose StatementEnd

-- tenet_facets returns the tags and languages of a document.
-- +goose StatementBegin
CREATE FUNCTION tenet_facets(tags jsonb, scope jsonb) RETURNS TABLE (facet text, value text) LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT 'tag', t FROM jsonb_array_elements_text(tags) AS t WHERE octet_length(t) <= 1024
  UNION
  SELECT 'language', l FROM jsonb_array_elements_text(coalesce(scope -> 'languages', '[]')) AS l WHERE octet_length(l) <= 1024;
END;
-- +goose StatementEnd

-- tenet_index keeps what lists by tag and language and what search look at, for documents of a kind that were written. Only
-- documents in use are there. The vectors, in the order of the ids, are those of the program; where there is none it is made here.
-- Replaced are the ids that may be there already. Plans are held to the indexes: one that was made while the tables were small
-- would otherwise read all of them for each batch of a long import. OFFSET keeps each row's lookup one by its key: joined, the table
-- would be walked by another index, and the ids be looked for in it.
-- +goose StatementBegin
CREATE FUNCTION tenet_index(doc_kind text, ids text[], vectors tsvector[], replaced text[]) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  gone text;
BEGIN
  FOREACH gone IN ARRAY coalesce(replaced, '{}') LOOP
    DELETE FROM facets f WHERE f.kind = doc_kind AND f.id = gone;
    DELETE FROM search s WHERE s.kind = doc_kind AND s.id = gone;
  END LOOP;
  CASE doc_kind
  WHEN 'rule' THEN
    INSERT INTO search (kind, id, category, rank, title, tags, vector)
    SELECT doc_kind, d.rule_id, d.category, d.rank, d.title, t.tags, coalesce(w.vector, tenet_vector(d.title, t.tags, d.description,
      concat_ws(E'\n', tenet_texts(d.examples, 'title', 'code', 'note'), tenet_texts(d.anti_patterns, 'title', 'code', 'note'),
        d.violations_consequence)))
    FROM unnest(ids, vectors) AS w (id, vector) CROSS JOIN LATERAL (SELECT * FROM rules r WHERE r.rule_id = w.id AND r.active OFFSET 0) AS d,
      LATERAL (SELECT tenet_tags(d.rule_id, d.category, d.tags)) AS t (tags);
    INSERT INTO facets (kind, id, facet, value, rank)
    SELECT doc_kind, d.rule_id, f.facet, f.value, d.rank
    FROM unnest(ids) AS w (id) CROSS JOIN LATERAL (SELECT * FROM rules r WHERE r.rule_id = w.id AND r.active OFFSET 0) AS d, tenet_facets(d.tags, d.scope) AS f;
  WHEN 'practice' THEN
    INSERT INTO search (kind, id, category, rank, title, tags, vector)
    SELECT doc_kind, d.practice_id, d.category, d.rank, d.title, t.tags, coalesce(w.vector, tenet_vector(d.title, t.tags, d.description,
      concat_ws(E'\n', d.implementation_guide, (SELECT string_agg(b, E'\n') FROM jsonb_array_elements_text(d.benefits) AS b),
        tenet_texts(d.examples, 'title', 'code', 'note'), tenet_texts(d.anti_patterns, 'title', 'code', 'note'),
        tenet_texts(d."references", 'title'))))
    FROM unnest(ids, vectors) AS w (id, vector) CROSS JOIN LATERAL (SELECT * FROM practices r WHERE r.practice_id = w.id AND r.is_active OFFSET 0) AS d,
      LATERAL (SELECT tenet_tags(d.practice_id, d.category, d.tags)) AS t (tags);
    INSERT INTO facets (kind, id, facet, value, rank)
    SELECT doc_kind, d.practice_id, f.facet, f.value, d.rank
    FROM unnest(ids) AS w (id) CROSS JOIN LATERAL (SELECT * FROM practices r WHERE r.practice_id = w.id AND r.is_active OFFSET 0) AS d, tenet_facets(d.tags, d.scope) AS f;
  WHEN 'template' THEN
    INSERT INTO search (kind, id, category, rank, title, tags, vector)
    SELECT doc_kind, d.template_id, d.category, d.rank, d.name, t.tags,
      coalesce(w.vector, tenet_vector(d.name, t.tags, d.description, d.template_content))
    FROM unnest(ids, vectors) AS w (id, vector) CROSS JOIN LATERAL (SELECT * FROM templates r WHERE r.template_id = w.id AND r.is_active OFFSET 0) AS d,
      LATERAL (SELECT tenet_tags(d.template_id, d.category, d.tags)) AS t (tags);
    INSERT INTO facets (kind, id, facet, value, rank)
    SELECT doc_kind, d.template_id, f.facet, f.value, d.rank
    FROM unnest(ids) AS w (id) CROSS JOIN LATERAL (SELECT * FROM templates r WHERE r.template_id = w.id AND r.is_active OFFSET 0) AS d, tenet_facets(d.tags, d.scope) AS f;
  WHEN 'category' THEN
    INSERT INTO search (kind, id, category, rank, title, tags, vector)
    SELECT doc_kind, d.category_id, '', d.rank, d.name, d.category_id, coalesce(w.vector, tenet_vector(d.name, d.category_id, d.description, ''))
    FROM unnest(ids, vectors) AS w (id, vector) CROSS JOIN LATERAL (SELECT * FROM categories r WHERE r.category_id = w.id AND r.is_active OFFSET 0) AS d;
  ELSE -- principals and violations are neither searched nor tagged
  END CASE;
END
$$;
-- +goose StatementEnd

-- tenet_index_by_hand does it for a row that was changed by hand; tenet_apply does it for its batch at once.
-- +goose StatementBegin
CREATE FUNCTION tenet_index_by_hand() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  key text := to_jsonb(NEW) ->> TG_ARGV[1];
BEGIN
  PERFORM tenet_index(TG_ARGV[0], ARRAY[key], NULL, ARRAY[key]);
  RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenet_unindex() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  key text := to_jsonb(OLD) ->> TG_ARGV[1];
BEGIN
  DELETE FROM facets f WHERE f.kind = TG_ARGV[0] AND f.id = key;
  DELETE FROM search s WHERE s.kind = TG_ARGV[0] AND s.id = key;
  RETURN NULL;
END
$$;
-- +goose StatementEnd

-- The triggers, the same on every table. They fire ALWAYS: not even a session that plays a replica's part gets round the log.
-- +goose StatementBegin
DO $$
DECLARE
  nobody CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
  t record;
  name text;
BEGIN
  FOR t IN SELECT * FROM (VALUES
    ('categories', 'category', 'category_id', 'is_active', '{name,description}'::text[]),
    ('principals', 'principal', 'principal_id', 'disabled', NULL),
    ('rules', 'rule', 'rule_id', 'active', '{category,title,description,examples,anti_patterns,violations_consequence,tags,scope}'),
    ('practices', 'practice', 'practice_id', 'is_active',
      '{category,title,description,benefits,implementation_guide,anti_patterns,references,examples,tags,scope}'),
    ('templates', 'template', 'template_id', 'is_active', '{category,name,description,template_content,tags,scope}'),
    ('violations', 'violation', 'violation_id', 'is_active', NULL)
  ) AS v (tab, kind, id, active, texts) LOOP
    EXECUTE format('CREATE TRIGGER tenet_insert BEFORE INSERT ON %I FOR EACH ROW EXECUTE FUNCTION tenet_stamp(%L)', t.tab, t.kind);
    IF t.kind = 'template' THEN
      EXECUTE 'CREATE TRIGGER tenet_update BEFORE UPDATE ON templates FOR EACH ROW WHEN (OLD.usage_count = NEW.usage_count)'
        ' EXECUTE FUNCTION tenet_stamp(''template'')';
      EXECUTE 'CREATE TRIGGER tenet_use BEFORE UPDATE ON templates FOR EACH ROW WHEN (OLD.usage_count <> NEW.usage_count)'
        ' EXECUTE FUNCTION tenet_used()';
    ELSE
      EXECUTE format('CREATE TRIGGER tenet_update BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION tenet_stamp(%L)', t.tab, t.kind);
    END IF;
    EXECUTE format('CREATE TRIGGER tenet_id BEFORE UPDATE OF %1$I ON %2$I FOR EACH ROW WHEN (OLD.%1$I <> NEW.%1$I)'
      ' EXECUTE FUNCTION tenet_same_id(%3$L)', t.id, t.tab, t.kind);
    EXECUTE format('CREATE TRIGGER tenet_delete BEFORE DELETE ON %I FOR EACH ROW EXECUTE FUNCTION tenet_keep(%L, %L)', t.tab, t.kind, t.id);
    EXECUTE format('CREATE TRIGGER tenet_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION tenet_keep()', t.tab);
    EXECUTE format('CREATE CONSTRAINT TRIGGER tenet_log_made AFTER INSERT OR DELETE ON %I DEFERRABLE INITIALLY DEFERRED'
      ' FOR EACH ROW EXECUTE FUNCTION tenet_log(%L, %L)', t.tab, t.kind, t.id);
    EXECUTE format('CREATE CONSTRAINT TRIGGER tenet_log_changed AFTER UPDATE ON %I DEFERRABLE INITIALLY DEFERRED'
      ' FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION tenet_log(%L, %L)', t.tab, t.kind, t.id);
    IF t.texts IS NOT NULL THEN
      EXECUTE format('CREATE TRIGGER tenet_index_made AFTER INSERT ON %I FOR EACH ROW WHEN (NEW.batch_id = %L) EXECUTE FUNCTION tenet_index_by_hand(%L, %L)',
        t.tab, nobody, t.kind, t.id);
      EXECUTE format('CREATE TRIGGER tenet_index_changed AFTER UPDATE ON %I FOR EACH ROW WHEN (NEW.batch_id = %L AND (%s))'
        ' EXECUTE FUNCTION tenet_index_by_hand(%L, %L)', t.tab, nobody,
        (SELECT string_agg(format('OLD.%1$I IS DISTINCT FROM NEW.%1$I', c), ' OR ') FROM unnest('{rank}'::text[] || t.active || t.texts) AS c), t.kind, t.id);
      EXECUTE format('CREATE TRIGGER tenet_index_gone AFTER DELETE ON %I FOR EACH ROW EXECUTE FUNCTION tenet_unindex(%L, %L)', t.tab, t.kind, t.id);
    END IF;
    FOR name IN SELECT g.tgname FROM pg_trigger g WHERE g.tgrelid = t.tab::regclass AND NOT g.tgisinternal LOOP
      EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', t.tab, name);
    END LOOP;
  END LOOP;
END
$$;
-- +goose StatementEnd

-- tenet_lock locks the documents of a kind that are there, in the order of their ids, and returns their versions by kind/id.
-- +goose StatementBegin
CREATE FUNCTION tenet_lock(kind text, ids text[]) RETURNS jsonb LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
  found jsonb;
BEGIN
  CASE kind
  WHEN 'category' THEN
    SELECT jsonb_object_agg('category/' || d.category_id, d.version) INTO found FROM (
      SELECT t.category_id, t.version FROM categories t WHERE t.category_id = ANY (ids) ORDER BY t.category_id FOR NO KEY UPDATE) AS d;
  WHEN 'principal' THEN
    SELECT jsonb_object_agg('principal/' || d.principal_id, d.version) INTO found FROM (
      SELECT t.principal_id, t.version FROM principals t WHERE t.principal_id = ANY (ids) ORDER BY t.principal_id FOR NO KEY UPDATE) AS d;
  WHEN 'rule' THEN
    SELECT jsonb_object_agg('rule/' || d.rule_id, d.version) INTO found FROM (
      SELECT t.rule_id, t.version FROM rules t WHERE t.rule_id = ANY (ids) ORDER BY t.rule_id FOR NO KEY UPDATE) AS d;
  WHEN 'practice' THEN
    SELECT jsonb_object_agg('practice/' || d.practice_id, d.version) INTO found FROM (
      SELECT t.practice_id, t.version FROM practices t WHERE t.practice_id = ANY (ids) ORDER BY t.practice_id FOR NO KEY UPDATE) AS d;
  WHEN 'template' THEN
    SELECT jsonb_object_agg('template/' || d.template_id, d.version) INTO found FROM (
      SELECT t.template_id, t.version FROM templates t WHERE t.template_id = ANY (ids) ORDER BY t.template_id FOR NO KEY UPDATE) AS d;
  WHEN 'violation' THEN
    SELECT jsonb_object_agg('violation/' || d.violation_id, d.version) INTO found FROM (
      SELECT t.violation_id, t.version FROM violations t WHERE t.violation_id = ANY (ids::uuid[]) ORDER BY t.violation_id FOR NO KEY UPDATE) AS d;
  END CASE;
  RETURN coalesce(found, '{}');
END
$$;
-- +goose StatementEnd

-- tenet_put writes the documents of a kind that a batch puts: those that are new in the order of the ops, then those that
-- replace another. Versions holds what is there, by kind/id.
-- +goose StatementBegin
CREATE FUNCTION tenet_put(doc_kind text, ops jsonb, versions jsonb, batch uuid, actor text, moment timestamptz) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  CASE doc_kind
  WHEN 'category' THEN
    INSERT INTO categories (category_id, name, description, is_active, created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.category_id, d.name, d.description, d.is_active, actor, moment, actor, moment, batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::categories, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE categories t SET name = d.name, description = d.description, is_active = d.is_active, updated_by = actor, updated_at =
      moment, batch_id = batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::categories, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.category_id = d.category_id;
  WHEN 'principal' THEN
    INSERT INTO principals (principal_id, name, role, token_hash, token_prefix, expiry, disabled, created_by, created_at,
      updated_by, updated_at, batch_id)
    SELECT d.principal_id, d.name, d.role, d.token_hash, d.token_prefix, d.expiry, d.disabled, actor, moment, actor, moment, batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::principals, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE principals t SET name = d.name, role = d.role, token_hash = d.token_hash, token_prefix = d.token_prefix, expiry =
      d.expiry, disabled = d.disabled, updated_by = actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::principals, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.principal_id = d.principal_id;
  WHEN 'rule' THEN
    INSERT INTO rules (rule_id, category, title, description, severity, enforcement, examples, anti_patterns,
      violations_consequence, priority, status, active, tags, scope, extra, created_by, created_at, updated_by, updated_at,
      batch_id)
    SELECT d.rule_id, d.category, d.title, d.description, d.severity, d.enforcement, d.examples, d.anti_patterns,
      d.violations_consequence, d.priority, d.status, d.active, d.tags, d.scope, d.extra, actor, moment, actor, moment, batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::rules, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE rules t SET category = d.category, title = d.title, description = d.description, severity = d.severity, enforcement =
      d.enforcement, examples = d.examples, anti_patterns = d.anti_patterns, violations_consequence = d.violations_consequence,
      priority = d.priority, status = d.status, active = d.active, tags = d.tags, scope = d.scope, extra = d.extra, updated_by =
      actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::rules, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.rule_id = d.rule_id;
  WHEN 'practice' THEN
    INSERT INTO practices (practice_id, category, title, description, benefits, implementation_guide, anti_patterns, "references",
      examples, effectiveness_score, adoption_rate, is_required, is_active, tags, scope, extra, created_by, created_at,
      updated_by, updated_at, batch_id)
    SELECT d.practice_id, d.category, d.title, d.description, d.benefits, d.implementation_guide, d.anti_patterns, d."references",
      d.examples, d.effectiveness_score, d.adoption_rate, d.is_required, d.is_active, d.tags, d.scope, d.extra, actor, moment,
      actor, moment, batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::practices, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE practices t SET category = d.category, title = d.title, description = d.description, benefits = d.benefits,
      implementation_guide = d.implementation_guide, anti_patterns = d.anti_patterns, "references" = d."references", examples =
      d.examples, effectiveness_score = d.effectiveness_score, adoption_rate = d.adoption_rate, is_required = d.is_required,
      is_active = d.is_active, tags = d.tags, scope = d.scope, extra = d.extra, updated_by = actor, updated_at = moment, batch_id
      = batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::practices, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.practice_id = d.practice_id;
  WHEN 'template' THEN
    INSERT INTO templates (template_id, name, description, category, template_content, variables, is_active, tags, scope, extra,
      created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.template_id, d.name, d.description, d.category, d.template_content, d.variables, d.is_active, d.tags, d.scope,
      d.extra, actor, moment, actor, moment, batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::templates, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE templates t SET name = d.name, description = d.description, category = d.category, template_content =
      d.template_content, variables = d.variables, is_active = d.is_active, tags = d.tags, scope = d.scope, extra = d.extra,
      updated_by = actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::templates, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.template_id = d.template_id;
  WHEN 'violation' THEN
    INSERT INTO violations (violation_id, rule_id, source, repository, path, line, message, severity, status, waiver_reason,
      waiver_expiry, reported_by, reported_at, resolved_at, resolved_by, is_active, created_by, created_at, updated_by,
      updated_at, batch_id)
    SELECT d.violation_id, d.rule_id, d.source, d.repository, d.path, d.line, d.message, d.severity, d.status, d.waiver_reason,
      d.waiver_expiry, d.reported_by, d.reported_at, d.resolved_at, d.resolved_by, d.is_active, actor, moment, actor, moment,
      batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::violations, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND NOT jsonb_exists(versions, o.kind || '/' || o.id) ORDER BY o.n;
    UPDATE violations t SET rule_id = d.rule_id, source = d.source, repository = d.repository, path = d.path, line = d.line,
      message = d.message, severity = d.severity, status = d.status, waiver_reason = d.waiver_reason, waiver_expiry =
      d.waiver_expiry, reported_by = d.reported_by, reported_at = d.reported_at, resolved_at = d.resolved_at, resolved_by =
      d.resolved_by, is_active = d.is_active, updated_by = actor, updated_at = moment, batch_id = batch
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, document jsonb), jsonb_populate_record(NULL::violations, o.document) AS d
    WHERE o.kind = doc_kind AND o.verb = 'put' AND jsonb_exists(versions, o.kind || '/' || o.id) AND t.violation_id = d.violation_id;
  END CASE;
END
$$;
-- +goose StatementEnd

-- tenet_set retires or restores a document, or removes it.
-- +goose StatementBegin
CREATE FUNCTION tenet_set(doc_kind text, verb text, id text, batch uuid, actor text, moment timestamptz) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF verb = 'purge' THEN
    CASE doc_kind
    WHEN 'category' THEN DELETE FROM categories t WHERE t.category_id = id;
    WHEN 'principal' THEN DELETE FROM principals t WHERE t.principal_id = id;
    WHEN 'rule' THEN DELETE FROM rules t WHERE t.rule_id = id;
    WHEN 'practice' THEN DELETE FROM practices t WHERE t.practice_id = id;
    WHEN 'template' THEN DELETE FROM templates t WHERE t.template_id = id;
    WHEN 'violation' THEN DELETE FROM violations t WHERE t.violation_id = id::uuid;
    END CASE;
    RETURN;
  END IF;
  CASE doc_kind
  WHEN 'category' THEN
    UPDATE categories t SET is_active = (verb = 'restore'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.category_id = id;
  WHEN 'principal' THEN
    UPDATE principals t SET disabled = (verb = 'retire'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.principal_id = id;
  WHEN 'rule' THEN
    UPDATE rules t SET active = (verb = 'restore'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.rule_id = id;
  WHEN 'practice' THEN
    UPDATE practices t SET is_active = (verb = 'restore'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.practice_id = id;
  WHEN 'template' THEN
    UPDATE templates t SET is_active = (verb = 'restore'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.template_id = id;
  WHEN 'violation' THEN
    UPDATE violations t SET is_active = (verb = 'restore'), updated_by = actor, updated_at = moment, batch_id = batch WHERE t.violation_id = id::uuid;
  END CASE;
END
$$;
-- +goose StatementEnd

-- tenet_broken returns what a batch refers to and is not there, and what it purges and others refer to, as a list of
-- {"op", "field", "id"}; the field is empty for a purge. It looks at the documents as they were before the batch.
-- +goose StatementBegin
CREATE FUNCTION tenet_broken(ops jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
  list jsonb;
BEGIN
  WITH o AS (
    SELECT x.*, x.document ->> 'category' AS category, x.document ->> 'rule_id' AS rule
    FROM jsonb_to_recordset(ops) AS x (n integer, verb text, kind text, id text, document jsonb)
  ), children AS (
    SELECT 'category' AS kind, r.category AS id, 'rule' AS child_kind, r.rule_id AS child FROM rules r
      WHERE r.category IN (SELECT p.id FROM o p WHERE p.verb = 'purge' AND p.kind = 'category')
    UNION ALL SELECT 'category', r.category, 'practice', r.practice_id FROM practices r
      WHERE r.category IN (SELECT p.id FROM o p WHERE p.verb = 'purge' AND p.kind = 'category')
    UNION ALL SELECT 'category', r.category, 'template', r.template_id FROM templates r
      WHERE r.category IN (SELECT p.id FROM o p WHERE p.verb = 'purge' AND p.kind = 'category')
    UNION ALL SELECT 'rule', v.rule_id, 'violation', v.violation_id::text FROM violations v
      WHERE v.rule_id IN (SELECT p.id FROM o p WHERE p.verb = 'purge' AND p.kind = 'rule')
  ), referring AS (
    SELECT c.kind, c.id FROM children c WHERE NOT EXISTS (
      SELECT FROM o w WHERE w.kind = c.child_kind AND w.id = c.child AND w.verb IN ('put', 'purge'))
    UNION ALL SELECT 'category', w.category FROM o w WHERE w.verb = 'put' AND w.kind IN ('rule', 'practice', 'template')
    UNION ALL SELECT 'rule', w.rule FROM o w WHERE w.verb = 'put' AND w.kind = 'violation'
  ), broken AS (
    SELECT w.n, 'category' AS field, w.category AS id FROM o w
      WHERE w.verb = 'put' AND w.kind IN ('rule', 'practice', 'template')
        AND NOT EXISTS (SELECT FROM categories c WHERE c.category_id = w.category)
        AND NOT EXISTS (SELECT FROM o c WHERE c.kind = 'category' AND c.verb = 'put' AND c.id = w.category)
    UNION ALL
    SELECT w.n, 'rule_id', w.rule FROM o w
      WHERE w.verb = 'put' AND w.kind = 'violation'
        AND NOT EXISTS (SELECT FROM rules r WHERE r.rule_id = w.rule)
        AND NOT EXISTS (SELECT FROM o r WHERE r.kind = 'rule' AND r.verb = 'put' AND r.id = w.rule)
    UNION ALL
    SELECT p.n, '', p.id FROM o p WHERE p.verb = 'purge' AND EXISTS (SELECT FROM referring f WHERE f.kind = p.kind AND f.id = p.id)
  )
  SELECT jsonb_agg(jsonb_build_object('op', b.n, 'field', b.field, 'id', b.id) ORDER BY b.n, b.field) INTO list FROM broken b;
  RETURN list;
END
$$;
-- +goose StatementEnd

-- tenet_apply does every op of a batch or none, exactly once: {"n", "verb", "kind", "id", "if_version", "document"}. Parents are
-- written before their children and purged after them. The vectors are those of the documents that ops put, in the order of the ops:
-- NULL where the program has made none. It returns whether the batch was done before. It is called outside of a transaction block, so that the log's lock is never held while the server waits
-- for the program. Errors: TN001 a version does not hold, TN002 a document is not there, TN003 the id was used for other
-- content, TN004 a reference is broken; what is wrong stands in the detail, as JSON.
-- +goose StatementBegin
CREATE FUNCTION tenet_apply(batch uuid, fingerprint bytea, actor text, at timestamptz, ops jsonb, vectors tsvector[] DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT SET work_mem = '64MB' AS $$
DECLARE
  known bytea;
  part record;
  op record;
  moment timestamptz;
  versions jsonb := '{}';
  broken jsonb;
BEGIN
  INSERT INTO batches AS b (id, fingerprint, actor) VALUES (batch, tenet_apply.fingerprint, tenet_apply.actor) ON CONFLICT (id) DO NOTHING;
  IF NOT FOUND THEN
    SELECT b.fingerprint INTO known FROM batches b WHERE b.id = batch;
    IF known IS DISTINCT FROM tenet_apply.fingerprint THEN
      RAISE EXCEPTION 'batch % was used before for other content', batch USING ERRCODE = 'TN003';
    END IF;
    RETURN true;
  END IF;

  FOR part IN
    SELECT o.kind, array_agg(o.id) AS ids FROM jsonb_to_recordset(ops) AS o (kind text, id text) GROUP BY o.kind ORDER BY o.kind
  LOOP
    versions := versions || tenet_lock(part.kind, part.ids);
  END LOOP;

  SELECT o.n, o.verb, o.kind, o.id, o.if_version, v.version INTO op
    FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text, if_version bigint),
      LATERAL (SELECT (versions ->> (o.kind || '/' || o.id))::bigint AS version) AS v
    WHERE NOT CASE
      WHEN o.verb <> 'put' AND v.version IS NULL THEN false
      WHEN o.if_version = 0 THEN true
      WHEN o.if_version < 0 THEN v.version IS NULL
      ELSE coalesce(v.version = o.if_version, false)
    END
    ORDER BY o.n LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'op % of batch % does not fit: %/% is at version %', op.n, batch, op.kind, op.id, coalesce(op.version, 0)
      USING ERRCODE = CASE WHEN op.verb <> 'put' AND op.version IS NULL THEN 'TN002' ELSE 'TN001' END,
        DETAIL = jsonb_build_object('op', op.n, 'want', op.if_version, 'got', coalesce(op.version, 0));
  END IF;

  moment := coalesce(tenet_apply.at, clock_timestamp()); -- with the rows locked: a later version has a later time
  BEGIN
    FOR part IN
      SELECT o.kind, array_agg(o.id ORDER BY o.n) FILTER (WHERE o.verb <> 'purge') AS ids,
        array_agg(vectors[o.n + 1] ORDER BY o.n) FILTER (WHERE o.verb <> 'purge') AS vectors,
        array_agg(o.id) FILTER (WHERE o.verb <> 'purge' AND jsonb_exists(versions, o.kind || '/' || o.id)) AS replaced, bool_or(o.verb = 'put') AS puts
      FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text)
      GROUP BY o.kind ORDER BY array_position('{category,principal,rule,practice,template,violation}', o.kind)
    LOOP
      IF part.puts THEN
        PERFORM tenet_put(part.kind, ops, versions, batch, tenet_apply.actor, moment);
      END IF;
      FOR op IN
        SELECT o.* FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text)
        WHERE o.kind = part.kind AND o.verb IN ('retire', 'restore') ORDER BY o.n
      LOOP
        PERFORM tenet_set(op.kind, op.verb, op.id, batch, tenet_apply.actor, moment);
      END LOOP;
      IF part.ids IS NOT NULL THEN
        PERFORM tenet_index(part.kind, part.ids, part.vectors, part.replaced);
      END IF;
    END LOOP;
    FOR op IN
      SELECT o.*, (versions ->> (o.kind || '/' || o.id))::bigint AS version FROM jsonb_to_recordset(ops) AS o (n integer, verb text, kind text, id text)
      WHERE o.verb = 'purge' ORDER BY array_position('{violation,template,practice,rule,principal,category}', o.kind), o.n
    LOOP
      INSERT INTO purges (kind, id, version, batch_id, actor, at) VALUES (op.kind, op.id, op.version + 1, batch, tenet_apply.actor, moment);
      PERFORM tenet_set(op.kind, 'purge', op.id, batch, tenet_apply.actor, moment);
    END LOOP;
  EXCEPTION WHEN foreign_key_violation THEN
    broken := tenet_broken(ops);
    IF broken IS NULL THEN -- somebody else has mended it meanwhile
      RAISE EXCEPTION 'a reference of batch % changed while it was applied', batch USING ERRCODE = '40001';
    END IF;
    RAISE EXCEPTION 'batch % breaks a reference', batch USING ERRCODE = 'TN004', DETAIL = broken;
  END;
  RETURN false;
END
$$;
-- +goose StatementEnd

-- tenet_purge removes a document and its texts from the log, for a person at a prompt.
-- +goose StatementBegin
CREATE FUNCTION tenet_purge(kind text, id text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  batch uuid := gen_random_uuid();
BEGIN
  PERFORM tenet_apply(batch, sha256(convert_to(batch::text, 'UTF8')), session_user::text, NULL,
    jsonb_build_array(jsonb_build_object('n', 0, 'verb', 'purge', 'kind', kind, 'id', id, 'if_version', 0)));
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION tenet_purge, tenet_apply, tenet_broken, tenet_set, tenet_put, tenet_lock;
DROP TABLE purges, batches, changes, search, facets, violations, templates, practices, rules, principals, categories;
DROP FUNCTION tenet_unindex, tenet_index_by_hand, tenet_index, tenet_facets, tenet_tags, tenet_texts, tenet_words, tenet_vector, tenet_log, tenet_keep, tenet_same_id, tenet_used, tenet_stamp, tenet_is_scope, tenet_is_variables,
  tenet_is_references, tenet_is_examples, tenet_is_texts, tenet_is_time, tenet_is_id, tenet_query, tenet_plain, tenet_lower;
DROP TEXT SEARCH CONFIGURATION tenet;
DROP TEXT SEARCH DICTIONARY tenet_porter;
