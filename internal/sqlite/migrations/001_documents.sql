-- The documents, each as its canonical JSON; the other columns are read out of it by the database, so that they can't differ
-- from it. Rank is written beside it, and in a mirror pending: the batch that left the document behind and still waits for the primary.
-- Times are microseconds since 1970, UTC. A column that an index holds is stored.

-- +goose Up
CREATE TABLE meta (
  key TEXT NOT NULL PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE categories (
  category_id TEXT NOT NULL PRIMARY KEY CHECK (category_id = document ->> '$.category_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  is_active INTEGER GENERATED ALWAYS AS (document ->> '$.is_active') STORED NOT NULL CHECK (is_active IN (0, 1)),
  name TEXT GENERATED ALWAYS AS (document ->> '$.name') STORED NOT NULL,
  description TEXT GENERATED ALWAYS AS (document ->> '$.description') VIRTUAL NOT NULL,
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE TABLE principals (
  principal_id TEXT NOT NULL PRIMARY KEY CHECK (principal_id = document ->> '$.principal_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  is_active INTEGER GENERATED ALWAYS AS (NOT (document ->> '$.disabled')) STORED NOT NULL,
  name TEXT GENERATED ALWAYS AS (document ->> '$.name') STORED NOT NULL,
  role TEXT GENERATED ALWAYS AS (document ->> '$.role') VIRTUAL NOT NULL,
  token_hash TEXT GENERATED ALWAYS AS (document ->> '$.token_hash') VIRTUAL NOT NULL,
  token_prefix TEXT GENERATED ALWAYS AS (document ->> '$.token_prefix') VIRTUAL NOT NULL,
  expiry INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.expiry') * 1000000 + CAST(substr(document ->> '$.expiry', 21, 6) AS INTEGER)) VIRTUAL,
  disabled INTEGER GENERATED ALWAYS AS (document ->> '$.disabled') VIRTUAL NOT NULL CHECK (disabled IN (0, 1)),
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE TABLE rules (
  rule_id TEXT NOT NULL PRIMARY KEY CHECK (rule_id = document ->> '$.rule_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  category TEXT GENERATED ALWAYS AS (document ->> '$.category') STORED NOT NULL REFERENCES categories (category_id),
  active INTEGER GENERATED ALWAYS AS (document ->> '$.active') STORED NOT NULL CHECK (active IN (0, 1)),
  title TEXT GENERATED ALWAYS AS (document ->> '$.title') STORED NOT NULL,
  severity TEXT GENERATED ALWAYS AS (document ->> '$.severity') STORED NOT NULL,
  enforcement TEXT GENERATED ALWAYS AS (document ->> '$.enforcement') STORED NOT NULL,
  status TEXT GENERATED ALWAYS AS (document ->> '$.status') STORED NOT NULL,
  priority INTEGER GENERATED ALWAYS AS (document ->> '$.priority') VIRTUAL NOT NULL,
  description TEXT GENERATED ALWAYS AS (document ->> '$.description') VIRTUAL NOT NULL,
  examples TEXT GENERATED ALWAYS AS (document ->> '$.examples') VIRTUAL NOT NULL,
  anti_patterns TEXT GENERATED ALWAYS AS (document ->> '$.anti_patterns') VIRTUAL NOT NULL,
  violations_consequence TEXT GENERATED ALWAYS AS (document ->> '$.violations_consequence') VIRTUAL NOT NULL,
  tags TEXT GENERATED ALWAYS AS (document ->> '$.tags') VIRTUAL,
  scope TEXT GENERATED ALWAYS AS (document ->> '$.scope') VIRTUAL,
  extra TEXT GENERATED ALWAYS AS (document ->> '$.extra') VIRTUAL,
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE TABLE practices (
  practice_id TEXT NOT NULL PRIMARY KEY CHECK (practice_id = document ->> '$.practice_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  category TEXT GENERATED ALWAYS AS (document ->> '$.category') STORED NOT NULL REFERENCES categories (category_id),
  is_active INTEGER GENERATED ALWAYS AS (document ->> '$.is_active') STORED NOT NULL CHECK (is_active IN (0, 1)),
  title TEXT GENERATED ALWAYS AS (document ->> '$.title') STORED NOT NULL,
  description TEXT GENERATED ALWAYS AS (document ->> '$.description') VIRTUAL NOT NULL,
  benefits TEXT GENERATED ALWAYS AS (document ->> '$.benefits') VIRTUAL NOT NULL,
  implementation_guide TEXT GENERATED ALWAYS AS (document ->> '$.implementation_guide') VIRTUAL NOT NULL,
  anti_patterns TEXT GENERATED ALWAYS AS (document ->> '$.anti_patterns') VIRTUAL NOT NULL,
  "references" TEXT GENERATED ALWAYS AS (document ->> '$.references') VIRTUAL NOT NULL,
  examples TEXT GENERATED ALWAYS AS (document ->> '$.examples') VIRTUAL NOT NULL,
  effectiveness_score REAL GENERATED ALWAYS AS (document ->> '$.effectiveness_score') VIRTUAL,
  adoption_rate REAL GENERATED ALWAYS AS (document ->> '$.adoption_rate') VIRTUAL,
  is_required INTEGER GENERATED ALWAYS AS (document ->> '$.is_required') VIRTUAL NOT NULL CHECK (is_required IN (0, 1)),
  tags TEXT GENERATED ALWAYS AS (document ->> '$.tags') VIRTUAL,
  scope TEXT GENERATED ALWAYS AS (document ->> '$.scope') VIRTUAL,
  extra TEXT GENERATED ALWAYS AS (document ->> '$.extra') VIRTUAL,
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE TABLE templates (
  template_id TEXT NOT NULL PRIMARY KEY CHECK (template_id = document ->> '$.template_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  category TEXT GENERATED ALWAYS AS (document ->> '$.category') STORED NOT NULL REFERENCES categories (category_id),
  is_active INTEGER GENERATED ALWAYS AS (document ->> '$.is_active') STORED NOT NULL CHECK (is_active IN (0, 1)),
  name TEXT GENERATED ALWAYS AS (document ->> '$.name') STORED NOT NULL,
  description TEXT GENERATED ALWAYS AS (document ->> '$.description') VIRTUAL NOT NULL,
  template_content TEXT GENERATED ALWAYS AS (document ->> '$.template_content') VIRTUAL NOT NULL,
  variables TEXT GENERATED ALWAYS AS (document ->> '$.variables') VIRTUAL NOT NULL,
  tags TEXT GENERATED ALWAYS AS (document ->> '$.tags') VIRTUAL,
  scope TEXT GENERATED ALWAYS AS (document ->> '$.scope') VIRTUAL,
  extra TEXT GENERATED ALWAYS AS (document ->> '$.extra') VIRTUAL,
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  usage_count INTEGER NOT NULL DEFAULT 0,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE TABLE violations (
  violation_id TEXT NOT NULL PRIMARY KEY CHECK (violation_id = document ->> '$.violation_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  is_active INTEGER GENERATED ALWAYS AS (document ->> '$.is_active') STORED NOT NULL CHECK (is_active IN (0, 1)),
  rule_id TEXT GENERATED ALWAYS AS (document ->> '$.rule_id') STORED NOT NULL REFERENCES rules (rule_id),
  repository TEXT GENERATED ALWAYS AS (document ->> '$.repository') STORED NOT NULL,
  severity TEXT GENERATED ALWAYS AS (document ->> '$.severity') STORED NOT NULL,
  status TEXT GENERATED ALWAYS AS (document ->> '$.status') STORED NOT NULL,
  headline TEXT GENERATED ALWAYS AS (substr(document ->> '$.message', 1, 255)) STORED NOT NULL,
  source TEXT GENERATED ALWAYS AS (document ->> '$.source') VIRTUAL NOT NULL,
  path TEXT GENERATED ALWAYS AS (document ->> '$.path') VIRTUAL NOT NULL,
  line INTEGER GENERATED ALWAYS AS (document ->> '$.line') VIRTUAL NOT NULL,
  message TEXT GENERATED ALWAYS AS (document ->> '$.message') VIRTUAL NOT NULL,
  waiver_reason TEXT GENERATED ALWAYS AS (document ->> '$.waiver_reason') VIRTUAL NOT NULL,
  waiver_expiry INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.waiver_expiry') * 1000000 + CAST(substr(document ->> '$.waiver_expiry', 21, 6) AS INTEGER)) VIRTUAL,
  reported_by TEXT GENERATED ALWAYS AS (document ->> '$.reported_by') VIRTUAL NOT NULL,
  reported_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.reported_at') * 1000000 + CAST(substr(document ->> '$.reported_at', 21, 6) AS INTEGER)) VIRTUAL,
  resolved_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.resolved_at') * 1000000 + CAST(substr(document ->> '$.resolved_at', 21, 6) AS INTEGER)) VIRTUAL,
  resolved_by TEXT GENERATED ALWAYS AS (document ->> '$.resolved_by') VIRTUAL NOT NULL,
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE INDEX categories_by_house ON categories (is_active, rank, category_id);
CREATE INDEX categories_by_updated ON categories (is_active, updated_at, category_id);
CREATE INDEX categories_by_title ON categories (is_active, name, category_id);
CREATE INDEX categories_by_id ON categories (is_active, category_id);
CREATE INDEX principals_by_house ON principals (is_active, rank, principal_id);
CREATE INDEX principals_by_updated ON principals (is_active, updated_at, principal_id);
CREATE INDEX principals_by_title ON principals (is_active, name, principal_id);
CREATE INDEX principals_by_id ON principals (is_active, principal_id);
CREATE INDEX rules_by_house ON rules (active, rank, rule_id, severity, enforcement, status);
CREATE INDEX rules_by_updated ON rules (active, updated_at, rule_id, severity, enforcement, status);
CREATE INDEX rules_by_title ON rules (active, title, rule_id, severity, enforcement, status);
CREATE INDEX rules_by_id ON rules (active, rule_id, severity, enforcement, status);
CREATE INDEX rules_by_category_house ON rules (category, active, rank, rule_id, severity, enforcement, status);
CREATE INDEX rules_by_category_updated ON rules (category, active, updated_at, rule_id, severity, enforcement, status);
CREATE INDEX rules_by_category_title ON rules (category, active, title, rule_id, severity, enforcement, status);
CREATE INDEX rules_by_category_id ON rules (category, active, rule_id, severity, enforcement, status);
CREATE INDEX rules_by_enforcement ON rules (enforcement, active, rank, rule_id);
CREATE INDEX rules_by_status ON rules (status, active, rank, rule_id);
CREATE INDEX practices_by_house ON practices (is_active, rank, practice_id);
CREATE INDEX practices_by_updated ON practices (is_active, updated_at, practice_id);
CREATE INDEX practices_by_title ON practices (is_active, title, practice_id);
CREATE INDEX practices_by_id ON practices (is_active, practice_id);
CREATE INDEX practices_by_category_house ON practices (category, is_active, rank, practice_id);
CREATE INDEX practices_by_category_updated ON practices (category, is_active, updated_at, practice_id);
CREATE INDEX practices_by_category_title ON practices (category, is_active, title, practice_id);
CREATE INDEX practices_by_category_id ON practices (category, is_active, practice_id);
CREATE INDEX templates_by_house ON templates (is_active, rank, template_id);
CREATE INDEX templates_by_updated ON templates (is_active, updated_at, template_id);
CREATE INDEX templates_by_title ON templates (is_active, name, template_id);
CREATE INDEX templates_by_id ON templates (is_active, template_id);
CREATE INDEX templates_by_category_house ON templates (category, is_active, rank, template_id);
CREATE INDEX templates_by_category_updated ON templates (category, is_active, updated_at, template_id);
CREATE INDEX templates_by_category_title ON templates (category, is_active, name, template_id);
CREATE INDEX templates_by_category_id ON templates (category, is_active, template_id);
CREATE INDEX violations_by_house ON violations (is_active, rank, violation_id, severity, status);
CREATE INDEX violations_by_updated ON violations (is_active, updated_at, violation_id, severity, status);
CREATE INDEX violations_by_title ON violations (is_active, headline, violation_id, severity, status);
CREATE INDEX violations_by_id ON violations (is_active, violation_id, severity, status);
CREATE INDEX violations_by_rule_house ON violations (rule_id, is_active, rank, violation_id);
CREATE INDEX violations_by_rule_updated ON violations (rule_id, is_active, updated_at, violation_id);
CREATE INDEX violations_by_repository_house ON violations (repository, is_active, rank, violation_id);
CREATE INDEX violations_by_repository_updated ON violations (repository, is_active, updated_at, violation_id);
CREATE INDEX violations_by_status_house ON violations (status, is_active, rank, violation_id);
CREATE INDEX violations_by_status_updated ON violations (status, is_active, updated_at, violation_id);

-- Values of documents that have several of them. Its key is the order of a list by tag or language.
CREATE TABLE facets (
  kind TEXT NOT NULL,
  facet TEXT NOT NULL CHECK (facet IN ('tag', 'language')),
  value TEXT NOT NULL,
  active INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  id TEXT NOT NULL,
  category TEXT NOT NULL,
  PRIMARY KEY (kind, facet, value, active, rank, id)
) STRICT, WITHOUT ROWID;

-- The documents that search finds. The number of a row is its place in house order; see DESIGN.md.
CREATE TABLE search (
  place INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  category TEXT NOT NULL,
  rank INTEGER NOT NULL,
  title TEXT NOT NULL,
  tags TEXT NOT NULL,
  UNIQUE (kind, id)
) STRICT;

-- Their words, stemmed by the program; forms holds the words that stemming has changed. The texts themselves are not kept twice.
CREATE VIRTUAL TABLE search_words USING fts5 (
  title, tags, lead, body, title_forms, forms, facets,
  content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
);

-- The words that stand there; it takes no room of its own.
CREATE VIRTUAL TABLE search_terms USING fts5vocab (search_words, instance);

-- The log. The columns after more repeat what a record shows besides its JSON.
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  verb TEXT NOT NULL CHECK (verb IN ('put', 'retire', 'restore', 'purge')),
  batch_id BLOB NOT NULL,
  actor TEXT NOT NULL,
  at INTEGER NOT NULL,
  document_hash BLOB NOT NULL CHECK (length(document_hash) = 32),
  chain BLOB NOT NULL CHECK (length(chain) = 32),
  more INTEGER NOT NULL CHECK (more IN (0, 1)),
  category TEXT,
  active INTEGER,
  rank INTEGER,
  updated_at INTEGER,
  document TEXT
) STRICT;
CREATE INDEX changes_by_key ON changes (kind, id);
CREATE INDEX changes_by_kind ON changes (kind);
CREATE INDEX changes_by_batch ON changes (batch_id);

-- Every batch that was applied: an id stands here once, whatever is retried.
CREATE TABLE batches (
  id BLOB NOT NULL PRIMARY KEY,
  fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
  actor TEXT NOT NULL,
  at INTEGER NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX batches_by_seq ON batches (seq);

-- The last version of what was purged: a document of the same key that is made later goes on from there.
CREATE TABLE purged (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- In a mirror, what batches that wait for the primary leave behind, the latest of a key with the greatest layer. The tables
-- above hold what is on top; below holds what the primary has, a null for nothing.
CREATE TABLE overlays (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  layer INTEGER NOT NULL,
  batch_id BLOB NOT NULL,
  document TEXT,
  PRIMARY KEY (kind, id, layer)
) STRICT, WITHOUT ROWID;
CREATE INDEX overlays_by_batch ON overlays (batch_id);
CREATE TABLE below (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  document TEXT,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE below;
DROP TABLE overlays;
DROP TABLE purged;
DROP TABLE batches;
DROP TABLE changes;
DROP TABLE search_terms;
DROP TABLE search_words;
DROP TABLE search;
DROP TABLE facets;
DROP TABLE violations;
DROP TABLE templates;
DROP TABLE practices;
DROP TABLE rules;
DROP TABLE principals;
DROP TABLE categories;
DROP TABLE meta;
