-- What became of documents, by day, and what a night's work made of it.

-- +goose Up
CREATE TABLE effect_days (
  key TEXT NOT NULL,
  day TEXT NOT NULL,
  served INTEGER NOT NULL,
  followed INTEGER NOT NULL,
  violated INTEGER NOT NULL,
  exempted INTEGER NOT NULL,
  PRIMARY KEY (key, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX effect_days_by_day ON effect_days (day);
CREATE TABLE effects (
  key TEXT NOT NULL PRIMARY KEY,
  verdict TEXT NOT NULL,
  effect TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX effects_by_verdict ON effects (verdict, key);

-- +goose Down
DROP TABLE effects;
DROP TABLE effect_days;
