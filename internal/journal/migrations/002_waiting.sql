-- What waits is counted, and cut into pages, without a look at the batches themselves. Nothing asks for the batches that wait for one
-- document: the program knows those.

-- +goose Up
DROP TABLE waiting_keys;
DROP INDEX entries_queued;
CREATE INDEX entries_queued ON entries (seq, bytes, taken_at) WHERE state = 'queued';

-- +goose Down
DROP INDEX entries_queued;
CREATE INDEX entries_queued ON entries (seq) WHERE state = 'queued';
CREATE TABLE waiting_keys (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  seq INTEGER NOT NULL REFERENCES entries (seq) ON DELETE CASCADE,
  PRIMARY KEY (kind, id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_keys_by_seq ON waiting_keys (seq);
INSERT INTO waiting_keys (kind, id, seq)
  SELECT DISTINCT o.value ->> 'kind', o.value ->> 'id', e.seq FROM entries e, json_each(e.ops) o WHERE e.state = 'queued';
