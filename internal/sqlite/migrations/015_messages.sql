-- What the writer of a batch says of it, beside each of its changes. The chain does not hold it.

-- +goose Up
ALTER TABLE changes ADD COLUMN message TEXT;

-- +goose Down
ALTER TABLE changes DROP COLUMN message;
