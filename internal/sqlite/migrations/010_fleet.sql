-- How repositories stand to what they take. A page of one state is a part of one index.

-- +goose Up
CREATE TABLE standings (
  repository TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL,
  since INTEGER NOT NULL,
  at INTEGER NOT NULL,
  touched INTEGER NOT NULL,
  standing TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX standings_by_state ON standings (state, repository);
CREATE INDEX standings_by_since ON standings (state, since);
CREATE INDEX standings_by_touched ON standings (touched);

-- +goose Down
DROP TABLE standings;
