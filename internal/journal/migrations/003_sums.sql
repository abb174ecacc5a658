-- A batch that waits may wait for long, and a bit may flip meanwhile: each is kept with the checksum of its row. Those of before have none.

-- +goose Up
ALTER TABLE entries ADD COLUMN sum BLOB;

-- +goose Down
ALTER TABLE entries DROP COLUMN sum;
