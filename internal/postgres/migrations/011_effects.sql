-- What became of documents, by day, and what a night's work made of it.

-- +goose Up
CREATE TABLE effect_days (
  key text COLLATE "C" NOT NULL,
  day text COLLATE "C" NOT NULL,
  served bigint NOT NULL,
  followed bigint NOT NULL,
  violated bigint NOT NULL,
  exempted bigint NOT NULL,
  PRIMARY KEY (key, day)
);
CREATE INDEX effect_days_by_day ON effect_days (day);
CREATE TABLE effects (
  key text COLLATE "C" NOT NULL PRIMARY KEY,
  verdict text COLLATE "C" NOT NULL,
  effect text NOT NULL
);
CREATE INDEX effects_by_verdict ON effects (verdict, key);

-- +goose Down
DROP TABLE effects;
DROP TABLE effect_days;
