-- Calls that were refused: who wanted what. What was done stands in the log of changes.

-- +goose Up
CREATE TABLE refusals (
  refusal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  key text NOT NULL,
  reason text NOT NULL,
  request_id text NOT NULL
);
CREATE INDEX refusals_by_at ON refusals (at);

-- +goose Down
DROP TABLE refusals;
