-- What a failover of the primary has lost is asked for by the batch that was acknowledged.

-- +goose Up
ALTER TABLE parked ADD COLUMN lost BLOB;
CREATE INDEX parked_by_lost ON parked (lost) WHERE lost IS NOT NULL;

-- +goose Down
DROP INDEX parked_by_lost;
ALTER TABLE parked DROP COLUMN lost;
