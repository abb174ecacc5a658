-- How a program finds that a rule is broken.

-- +goose Up
ALTER TABLE rules ADD COLUMN checks TEXT GENERATED ALWAYS AS (document ->> '$.checks') VIRTUAL;

-- +goose Down
ALTER TABLE rules DROP COLUMN checks;
