-- The archive: what was retired long ago stands beside the last versions of what was purged, with its text. The log has a verb for it. A
-- condition of a table is changed as SQLite describes it, since to make the log anew would copy all of it.

-- +goose Up
ALTER TABLE purged ADD COLUMN at INTEGER;
ALTER TABLE purged ADD COLUMN document TEXT CHECK (document IS NULL OR at IS NOT NULL);
CREATE INDEX purged_archived ON purged (kind, id) WHERE document IS NOT NULL;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''restore'', ''purge'')', '''restore'', ''archive'', ''purge'')') WHERE type = 'table' AND name = 'changes';
PRAGMA writable_schema = RESET;

-- +goose Down
-- The program before can't read what the log tells of the archive.
CREATE TABLE archives (
  changes INTEGER NOT NULL,
  CONSTRAINT "documents were archived, which the program before can't read: restore the backup made before the migration" CHECK (changes = 0)
) STRICT;
INSERT INTO archives (changes) SELECT count(*) FROM changes WHERE verb = 'archive';
DROP TABLE archives;

PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''restore'', ''archive'', ''purge'')', '''restore'', ''purge'')') WHERE type = 'table' AND name = 'changes';
PRAGMA writable_schema = RESET;
DROP INDEX purged_archived;
ALTER TABLE purged DROP COLUMN document;
ALTER TABLE purged DROP COLUMN at;
