-- Who has handed in a change under another's name or time, and when.

-- +goose Up
ALTER TABLE changes ADD COLUMN entered_by TEXT;
ALTER TABLE changes ADD COLUMN entered_at INTEGER CHECK ((entered_at IS NULL) = (entered_by IS NULL));

-- +goose Down
-- The program before can't check the chain of a log that tells it.
CREATE TABLE entered (
  changes INTEGER NOT NULL,
  CONSTRAINT "the log tells who has entered changes for others, which the program before can't check: restore the backup made before the migration" CHECK (changes = 0)
) STRICT;
INSERT INTO entered (changes) SELECT count(*) FROM changes WHERE entered_by IS NOT NULL;
DROP TABLE entered;

ALTER TABLE changes DROP COLUMN entered_at;
ALTER TABLE changes DROP COLUMN entered_by;
