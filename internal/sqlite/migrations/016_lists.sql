-- +goose Up
-- The lists of words leave their index. In a table WITHOUT ROWID a look-up reads the whole of each row that it compares itself with, and the
-- lists of common words are long: to find one short list, SQLite read several long ones.

CREATE TABLE lists (
  chunk INTEGER NOT NULL,
  term TEXT NOT NULL,
  documents BLOB NOT NULL,
  places BLOB NOT NULL,
  UNIQUE (chunk, term)
) STRICT;
INSERT INTO lists (chunk, term, documents, places) SELECT chunk, term, documents, places FROM search_words ORDER BY chunk, term;
DROP TABLE search_words;
ALTER TABLE lists RENAME TO search_words;

-- +goose Down
CREATE TABLE lists (
  chunk INTEGER NOT NULL,
  term TEXT NOT NULL,
  documents BLOB NOT NULL,
  places BLOB NOT NULL,
  PRIMARY KEY (chunk, term)
) STRICT, WITHOUT ROWID;
INSERT INTO lists (chunk, term, documents, places) SELECT chunk, term, documents, places FROM search_words ORDER BY chunk, term;
DROP TABLE search_words;
ALTER TABLE lists RENAME TO search_words;
