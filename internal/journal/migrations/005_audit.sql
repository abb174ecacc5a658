-- Entries of the audit that could not be added at the primary.

-- +goose Up
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  entry TEXT NOT NULL
) STRICT;

-- +goose Down
DROP TABLE audit;
