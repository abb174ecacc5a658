-- Jobs: who has claimed which run, and how it ended. The claim is the primary key, so that a run is done once.

-- +goose Up
CREATE TABLE job_runs (
  job TEXT NOT NULL,
  due INTEGER NOT NULL,
  instance TEXT NOT NULL,
  by TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'lost')),
  attempt INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  beat_at INTEGER NOT NULL,
  ended_at INTEGER,
  done INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0,
  changed TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (job, due)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_runs_by_started_at ON job_runs (started_at);
CREATE TABLE job_pauses (
  job TEXT NOT NULL PRIMARY KEY,
  by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE job_pauses;
DROP TABLE job_runs;
