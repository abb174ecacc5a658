-- +goose Up
-- A list names its term by a number, and the term stands once: before, it stood in its list, in the index of the lists and among the
-- terms. The number of a list is its chunk times 2^32 plus that of its term. The program fills the tables when it next opens the file.

DROP TABLE search_words;
DROP TABLE search_terms;
CREATE TABLE search_terms (
  term TEXT PRIMARY KEY,
  number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE search_words (
  number INTEGER PRIMARY KEY,
  documents BLOB NOT NULL,
  places BLOB NOT NULL
) STRICT;
DELETE FROM meta WHERE key = 'search_form';

-- +goose Down
DROP TABLE search_words;
DROP TABLE search_terms;
CREATE TABLE search_terms (term TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE search_words (
  chunk INTEGER NOT NULL,
  term TEXT NOT NULL,
  documents BLOB NOT NULL,
  places BLOB NOT NULL,
  UNIQUE (chunk, term)
) STRICT;
DELETE FROM meta WHERE key = 'search_form';
