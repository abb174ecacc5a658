-- How repositories stand to what they take. A page of one state is a part of one index.

-- +goose Up
CREATE TABLE standings (
  repository text COLLATE "C" NOT NULL PRIMARY KEY,
  state text NOT NULL,
  since timestamptz NOT NULL,
  at timestamptz NOT NULL,
  touched timestamptz NOT NULL,
  standing text NOT NULL
);
CREATE INDEX standings_by_state ON standings (state, repository);
CREATE INDEX standings_by_since ON standings (state, since);
CREATE INDEX standings_by_touched ON standings (touched);

-- +goose Down
DROP TABLE standings;
