-- Calls that were refused: who wanted what. What was done stands in the log of changes.

-- +goose Up
CREATE TABLE refusals (
  refusal_id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  key TEXT NOT NULL,
  reason TEXT NOT NULL,
  request_id TEXT NOT NULL
) STRICT;
CREATE INDEX refusals_by_at ON refusals (at);

-- +goose Down
DROP TABLE refusals;
