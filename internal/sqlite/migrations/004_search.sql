-- +goose Up
-- The words of documents in lists that are read whole, in place of an FTS5 table: see DESIGN.md. The program fills them from the
-- documents when it next opens the file.

DROP TABLE search_terms;
DROP TABLE search_words;
DROP TABLE search;

-- The documents that search finds. A number is never given twice: what a list still says of one that is gone means nobody else.
CREATE TABLE search (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  UNIQUE (kind, id)
) STRICT;

-- Documents that wait to be entered in the lists, with what the lists will hold of them.
CREATE TABLE search_waiting (
  number INTEGER PRIMARY KEY,
  entry BLOB NOT NULL
) STRICT;

-- The lists: for 8,192 numbers and a term, the documents that hold it, and the places where it stands in each.
CREATE TABLE search_words (
  chunk INTEGER NOT NULL,
  term TEXT NOT NULL,
  documents BLOB NOT NULL,
  places BLOB NOT NULL,
  PRIMARY KEY (chunk, term)
) STRICT, WITHOUT ROWID;

-- What ranking knows of each document of a chunk besides.
CREATE TABLE search_chunks (
  chunk INTEGER PRIMARY KEY,
  documents INTEGER NOT NULL,
  shapes BLOB NOT NULL
) STRICT;

-- The documents of a chunk that are gone, one bit each.
CREATE TABLE search_gone (
  chunk INTEGER PRIMARY KEY,
  documents INTEGER NOT NULL,
  bits BLOB NOT NULL
) STRICT;

-- The words that lists have been made for, for beginnings and for typing errors.
CREATE TABLE search_terms (term TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- +goose Down
-- The program before had an FTS5 table. Here it gets the words as they stand; documents that are written again also get their stems.

DROP TABLE search_terms;
DROP TABLE search_gone;
DROP TABLE search_chunks;
DROP TABLE search_words;
DROP TABLE search_waiting;
DROP TABLE search;
DELETE FROM meta WHERE key = 'search_form';

CREATE TABLE search (
  place INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  category TEXT NOT NULL,
  rank INTEGER NOT NULL,
  title TEXT NOT NULL,
  tags TEXT NOT NULL,
  UNIQUE (kind, id)
) STRICT;
CREATE VIRTUAL TABLE search_words USING fts5 (
  title, tags, lead, body, title_forms, forms, facets,
  content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
);
CREATE VIRTUAL TABLE search_terms USING fts5vocab (search_words, instance);

INSERT INTO search (place, kind, id, category, rank, title, tags)
SELECT (min((rank >> 32) * 2000001 + min(max((rank & 4294967295) - 2147483648, -1000000), 1000000) + 1000000, 8388607) << 40) |
    row_number() OVER (ORDER BY rank, id, kind), kind, id, category, rank, title, concat_ws(' ', id, category, (SELECT group_concat(value, ' ') FROM json_each(tags)))
FROM (
  SELECT 'rule' AS kind, rule_id AS id, category, rank, title, tags FROM rules WHERE active = 1
  UNION ALL SELECT 'practice', practice_id, category, rank, title, tags FROM practices WHERE is_active = 1
  UNION ALL SELECT 'template', template_id, category, rank, name, tags FROM templates WHERE is_active = 1
  UNION ALL SELECT 'category', category_id, '', rank, name, '[]' FROM categories WHERE is_active = 1
);
INSERT INTO search_words (rowid, title, tags, lead, body, title_forms, forms, facets)
SELECT s.place, s.title, s.tags, d.description, d.document, '', '', 'kind' || s.kind
FROM search s JOIN (
  SELECT 'rule' AS kind, rule_id AS id, description, document FROM rules
  UNION ALL SELECT 'practice', practice_id, description, document FROM practices
  UNION ALL SELECT 'template', template_id, description, document FROM templates
  UNION ALL SELECT 'category', category_id, description, document FROM categories
) d ON d.kind = s.kind AND d.id = s.id
ORDER BY s.place;
