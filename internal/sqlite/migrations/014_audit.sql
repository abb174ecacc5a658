-- Who was refused, and who read what, in one list, chained by hash. The chain is made of a hash in a column of its own, so that a person can be
-- erased from an entry; what an erasure has left is bound by an entry that tells of it, and what retention has removed by one, too.

-- +goose Up
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  actor TEXT NOT NULL,
  door TEXT NOT NULL,
  action TEXT NOT NULL,
  key TEXT NOT NULL,
  question TEXT NOT NULL,
  count INTEGER NOT NULL,
  reason TEXT NOT NULL,
  request_id TEXT NOT NULL,
  peer TEXT NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  chain BLOB NOT NULL CHECK (length(chain) = 32),
  erased TEXT
) STRICT;
CREATE INDEX audit_by_at ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_key ON audit (key, seq);
CREATE TABLE audit_head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seq INTEGER NOT NULL,
  chain BLOB NOT NULL CHECK (length(chain) = 32)
) STRICT;
CREATE TABLE audit_erased (
  erasure TEXT NOT NULL,
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (erasure, seq)
) STRICT, WITHOUT ROWID;

-- The functions are those of the program; see sqlite/audit_function.go.
WITH RECURSIVE was AS (
  SELECT row_number() OVER (ORDER BY refusal_id) AS seq, at, CASE WHEN action IN ('entered', 'overridden', 'counted') THEN action ELSE 'refused' END AS kind,
    actor, action, key, reason, request_id, peer FROM refusals
), hashed AS MATERIALIZED (
  SELECT *, tenet_audit_hash(at, kind, actor, '', action, key, '', 0, reason, request_id, peer) AS hash FROM was
), chained (seq, chain) AS (
  SELECT 0, zeroblob(32) UNION ALL
  SELECT h.seq, tenet_audit_chain(c.chain, h.seq, h.hash) FROM chained c JOIN hashed h ON h.seq = c.seq + 1
)
INSERT INTO audit (seq, at, kind, actor, door, action, key, question, count, reason, request_id, peer, hash, chain)
  SELECT h.seq, at, kind, actor, '', action, key, '', 0, reason, request_id, peer, hash, chain FROM hashed h JOIN chained c ON c.seq = h.seq;
INSERT INTO audit_head (one, seq, chain)
  SELECT 1, coalesce(max(seq), 0), coalesce((SELECT chain FROM audit ORDER BY seq DESC LIMIT 1), zeroblob(32)) FROM audit;
DROP TABLE refusals;

-- +goose Down
CREATE TABLE refusals (
  refusal_id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  key TEXT NOT NULL,
  reason TEXT NOT NULL,
  request_id TEXT NOT NULL,
  peer TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX refusals_by_at ON refusals (at);
INSERT INTO refusals (at, actor, action, key, reason, request_id, peer)
  SELECT at, actor, action, key, reason, request_id, peer FROM audit WHERE kind IN ('refused', 'entered', 'overridden', 'counted') ORDER BY seq;
DROP TABLE audit_erased;
DROP TABLE audit_head;
DROP TABLE audit;
