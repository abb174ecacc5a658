-- What became of a batch is kept with a checksum too: one that a hand has marked as settled would be lost, and was
-- acknowledged.

-- +goose Up
ALTER TABLE entries ADD COLUMN outcome_sum BLOB;

-- +goose Down
ALTER TABLE entries DROP COLUMN outcome_sum;
