-- Batches that were taken while the primary was away. Nothing here is removed before it was decided.

-- +goose Up
CREATE TABLE entries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE,
  fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
  state TEXT NOT NULL CHECK (state IN ('queued', 'applied', 'parked', 'resolved')),
  actor TEXT NOT NULL,
  caller TEXT NOT NULL,
  taken_at INTEGER NOT NULL,
  batch_at INTEGER,
  origin BLOB NOT NULL,
  unknown INTEGER NOT NULL CHECK (unknown IN (0, 1)),
  document_schema INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  ops TEXT NOT NULL,
  bases TEXT NOT NULL,
  left_behind TEXT NOT NULL,
  settled_at INTEGER,
  primary_seq INTEGER,
  versions TEXT,
  why TEXT
) STRICT;
CREATE INDEX entries_queued ON entries (seq) WHERE state = 'queued';
CREATE INDEX entries_settled ON entries (settled_at) WHERE settled_at IS NOT NULL;

-- The keys of the batches that wait.
CREATE TABLE waiting_keys (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  seq INTEGER NOT NULL REFERENCES entries (seq) ON DELETE CASCADE,
  PRIMARY KEY (kind, id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_keys_by_seq ON waiting_keys (seq);

-- What became of a batch that did not fit.
CREATE TABLE parked (
  seq INTEGER PRIMARY KEY REFERENCES entries (seq),
  op INTEGER NOT NULL,
  why TEXT NOT NULL,
  found INTEGER NOT NULL,
  base TEXT,
  theirs TEXT,
  ours TEXT,
  parked_at INTEGER NOT NULL,
  resolution TEXT NOT NULL DEFAULT '',
  resolved_by TEXT NOT NULL DEFAULT '',
  resolved_at INTEGER,
  resolved_as BLOB
) STRICT;

-- Uses of templates that could not be counted at the primary.
CREATE TABLE uses (
  template_id TEXT NOT NULL PRIMARY KEY,
  count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE uses;
DROP TABLE parked;
DROP TABLE waiting_keys;
DROP TABLE entries;
