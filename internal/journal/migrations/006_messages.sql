-- What the writer of a batch says of it.

-- +goose Up
ALTER TABLE entries ADD COLUMN message TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE entries DROP COLUMN message;
