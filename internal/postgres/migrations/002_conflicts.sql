-- Batches that did not fit when they were replayed. A row keeps the whole payload until a person has decided, and after.

-- +goose Up
CREATE TABLE conflicts (
  id uuid PRIMARY KEY,
  actor text NOT NULL,
  payload jsonb NOT NULL,
  op integer NOT NULL,
  kind text COLLATE "C" NOT NULL,
  doc_id text COLLATE "C" NOT NULL,
  base_version bigint NOT NULL,
  found_version bigint NOT NULL,
  base jsonb,
  theirs jsonb,
  ours jsonb,
  why text NOT NULL,
  parked_at timestamptz NOT NULL,
  resolved_at timestamptz,
  resolved_by text,
  resolution text CHECK (resolution IN ('theirs', 'ours', 'merged'))
);
CREATE INDEX conflicts_open ON conflicts (parked_at) WHERE resolved_at IS NULL;

-- +goose Down
DROP TABLE conflicts;
