-- Where a refused call came from.

-- +goose Up
ALTER TABLE refusals ADD COLUMN peer TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE refusals DROP COLUMN peer;
