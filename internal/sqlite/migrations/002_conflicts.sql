-- Batches that did not fit when they were replayed. A row keeps the whole payload until a person has decided, and after.

-- +goose Up
CREATE TABLE conflicts (
  id BLOB NOT NULL PRIMARY KEY,
  actor TEXT NOT NULL,
  payload TEXT NOT NULL,
  op INTEGER NOT NULL,
  kind TEXT NOT NULL,
  doc_id TEXT NOT NULL,
  base_version INTEGER NOT NULL,
  found_version INTEGER NOT NULL,
  base TEXT,
  theirs TEXT,
  ours TEXT,
  why TEXT NOT NULL,
  parked_at INTEGER NOT NULL,
  resolved_at INTEGER,
  resolved_by TEXT,
  resolution TEXT CHECK (resolution IN ('theirs', 'ours', 'merged'))
) STRICT, WITHOUT ROWID;
CREATE INDEX conflicts_open ON conflicts (parked_at) WHERE resolved_at IS NULL;

-- +goose Down
DROP TABLE conflicts;
