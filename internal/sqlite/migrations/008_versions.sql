-- A version of a document is found by its number, however many there are.

-- +goose Up
CREATE INDEX changes_by_version ON changes (kind, id, version);

-- +goose Down
DROP INDEX changes_by_version;
