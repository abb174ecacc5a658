-- What is subscribed to (packs), by whom (repositories), as of when (labels), and what waits for a person (proposals). They are laid out as
-- the other documents are. A principal may be marked as an agent.

-- +goose Up
CREATE TABLE packs (
  pack_id TEXT NOT NULL PRIMARY KEY CHECK (pack_id = document ->> '$.pack_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  is_active INTEGER GENERATED ALWAYS AS (document ->> '$.is_active') STORED NOT NULL CHECK (is_active IN (0, 1)),
  name TEXT GENERATED ALWAYS AS (document ->> '$.name') STORED NOT NULL,
  description TEXT GENERATED ALWAYS AS (document ->> '$.description') VIRTUAL NOT NULL,
  "select" TEXT GENERATED ALWAYS AS (document ->> '$.select') VIRTUAL NOT NULL,
  extends TEXT GENERATED ALWAYS AS (document ->> '$.extends') VIRTUAL NOT NULL,
  raise TEXT GENERATED ALWAYS AS (document ->> '$.raise') VIRTUAL NOT NULL,
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE TABLE repositories (
  repository_id TEXT NOT NULL PRIMARY KEY CHECK (repository_id = document ->> '$.repository_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  is_active INTEGER GENERATED ALWAYS AS (document ->> '$.is_active') STORED NOT NULL CHECK (is_active IN (0, 1)),
  name TEXT GENERATED ALWAYS AS (document ->> '$.name') STORED NOT NULL,
  url TEXT GENERATED ALWAYS AS (document ->> '$.url') VIRTUAL NOT NULL,
  packs TEXT GENERATED ALWAYS AS (document ->> '$.packs') VIRTUAL NOT NULL,
  targets TEXT GENERATED ALWAYS AS (document ->> '$.targets') VIRTUAL NOT NULL,
  label TEXT GENERATED ALWAYS AS (document ->> '$.label') VIRTUAL NOT NULL,
  owner TEXT GENERATED ALWAYS AS (document ->> '$.owner') VIRTUAL NOT NULL,
  exemptions TEXT GENERATED ALWAYS AS (document ->> '$.exemptions') VIRTUAL NOT NULL,
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE TABLE labels (
  label_id TEXT NOT NULL PRIMARY KEY CHECK (label_id = document ->> '$.label_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  is_active INTEGER GENERATED ALWAYS AS (document ->> '$.is_active') STORED NOT NULL CHECK (is_active IN (0, 1)),
  name TEXT GENERATED ALWAYS AS (document ->> '$.name') STORED NOT NULL,
  description TEXT GENERATED ALWAYS AS (document ->> '$.description') VIRTUAL NOT NULL,
  seq INTEGER GENERATED ALWAYS AS (document ->> '$.seq') VIRTUAL NOT NULL,
  holds TEXT GENERATED ALWAYS AS (document ->> '$.holds') VIRTUAL NOT NULL,
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE TABLE proposals (
  proposal_id TEXT NOT NULL PRIMARY KEY CHECK (proposal_id = document ->> '$.proposal_id'),
  rank INTEGER NOT NULL CHECK (rank >= 0),
  version INTEGER GENERATED ALWAYS AS (document ->> '$.version') STORED NOT NULL CHECK (version > 0),
  is_active INTEGER GENERATED ALWAYS AS (document ->> '$.is_active') STORED NOT NULL CHECK (is_active IN (0, 1)),
  title TEXT GENERATED ALWAYS AS (document ->> '$.title') STORED NOT NULL,
  state TEXT GENERATED ALWAYS AS (document ->> '$.state') STORED NOT NULL,
  why TEXT GENERATED ALWAYS AS (document ->> '$.why') VIRTUAL NOT NULL,
  ops TEXT GENERATED ALWAYS AS (document ->> '$.ops') VIRTUAL NOT NULL,
  ops_digest TEXT GENERATED ALWAYS AS (document ->> '$.ops_digest') VIRTUAL NOT NULL,
  reviews TEXT GENERATED ALWAYS AS (document ->> '$.reviews') VIRTUAL NOT NULL,
  created_by TEXT GENERATED ALWAYS AS (document ->> '$.created_by') VIRTUAL NOT NULL,
  created_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.created_at') * 1000000 + CAST(substr(document ->> '$.created_at', 21, 6) AS INTEGER)) VIRTUAL NOT NULL,
  updated_by TEXT GENERATED ALWAYS AS (document ->> '$.updated_by') VIRTUAL NOT NULL,
  updated_at INTEGER GENERATED ALWAYS AS (unixepoch(document ->> '$.updated_at') * 1000000 + CAST(substr(document ->> '$.updated_at', 21, 6) AS INTEGER)) STORED NOT NULL,
  pending BLOB,
  document TEXT NOT NULL
) STRICT;

CREATE INDEX packs_by_house ON packs (is_active, rank, pack_id);
CREATE INDEX packs_by_updated ON packs (is_active, updated_at, pack_id);
CREATE INDEX packs_by_title ON packs (is_active, name, pack_id);
CREATE INDEX packs_by_id ON packs (is_active, pack_id);
CREATE INDEX repositories_by_house ON repositories (is_active, rank, repository_id);
CREATE INDEX repositories_by_updated ON repositories (is_active, updated_at, repository_id);
CREATE INDEX repositories_by_title ON repositories (is_active, name, repository_id);
CREATE INDEX repositories_by_id ON repositories (is_active, repository_id);
CREATE INDEX labels_by_house ON labels (is_active, rank, label_id);
CREATE INDEX labels_by_updated ON labels (is_active, updated_at, label_id);
CREATE INDEX labels_by_title ON labels (is_active, name, label_id);
CREATE INDEX labels_by_id ON labels (is_active, label_id);
CREATE INDEX proposals_by_house ON proposals (is_active, rank, proposal_id, state);
CREATE INDEX proposals_by_updated ON proposals (is_active, updated_at, proposal_id, state);
CREATE INDEX proposals_by_title ON proposals (is_active, title, proposal_id, state);
CREATE INDEX proposals_by_id ON proposals (is_active, proposal_id, state);
CREATE INDEX proposals_by_status ON proposals (state, is_active, rank, proposal_id);

ALTER TABLE principals ADD COLUMN agent INTEGER GENERATED ALWAYS AS (coalesce(document ->> '$.agent', 0)) VIRTUAL;

-- +goose Down
-- The program before can't read a log that tells of these kinds.
CREATE TABLE unknown_kinds (
  changes INTEGER NOT NULL,
  CONSTRAINT "the log tells of packs, repositories, labels or proposals, which the program before can't read: restore the backup made before the migration" CHECK (changes = 0)
) STRICT;
INSERT INTO unknown_kinds (changes) SELECT count(*) FROM changes WHERE kind IN ('pack', 'repository', 'label', 'proposal');
DROP TABLE unknown_kinds;

ALTER TABLE principals DROP COLUMN agent;
DROP TABLE proposals;
DROP TABLE labels;
DROP TABLE repositories;
DROP TABLE packs;
