-- Jobs: who has claimed which run, and how it ended. The claim is the primary key, so that a run is done once, whatever the number of
-- instances.

-- +goose Up
CREATE TABLE job_runs (
  job text NOT NULL,
  due timestamptz NOT NULL,
  instance text NOT NULL,
  by text NOT NULL,
  state text NOT NULL CHECK (state IN ('running', 'done', 'failed', 'lost')),
  attempt integer NOT NULL,
  started_at timestamptz NOT NULL,
  beat_at timestamptz NOT NULL,
  ended_at timestamptz,
  done bigint NOT NULL DEFAULT 0,
  total bigint NOT NULL DEFAULT 0,
  changed text NOT NULL DEFAULT '',
  error text NOT NULL DEFAULT '',
  PRIMARY KEY (job, due)
);
CREATE INDEX job_runs_by_started_at ON job_runs (started_at);
CREATE TABLE job_pauses (
  job text NOT NULL PRIMARY KEY,
  by text NOT NULL
);

-- +goose Down
DROP TABLE job_pauses;
DROP TABLE job_runs;
