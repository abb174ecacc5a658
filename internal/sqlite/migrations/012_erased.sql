-- People who were erased: which changes of the log were rewritten, and what each was made into. The old hash stays in the change, since
-- the chain is made of it.

-- +goose Up
ALTER TABLE changes ADD COLUMN erased TEXT;
ALTER TABLE principals ADD COLUMN erasure TEXT GENERATED ALWAYS AS (document ->> '$.erasure') VIRTUAL;
CREATE TABLE erased (
  erasure TEXT NOT NULL,
  seq INTEGER NOT NULL,
  document_hash BLOB NOT NULL CHECK (length(document_hash) = 32),
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  PRIMARY KEY (erasure, seq)
) STRICT, WITHOUT ROWID;

-- +goose Down
-- The program before can't check the chain of a log from which people were erased.
CREATE TABLE people (
  erased INTEGER NOT NULL,
  CONSTRAINT "people were erased from the log, which the program before can't check: restore the backup made before the migration" CHECK (erased = 0)
) STRICT;
INSERT INTO people (erased) SELECT count(*) FROM changes WHERE erased IS NOT NULL;
DROP TABLE people;

DROP TABLE erased;
ALTER TABLE principals DROP COLUMN erasure;
ALTER TABLE changes DROP COLUMN erased;
