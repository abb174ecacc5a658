-- When somebody has last written, at least once a minute: what a standby, or a backup, has of it says how old it is, also where nobody
-- writes anything else.

-- +goose Up
CREATE TABLE heartbeat (
  one boolean PRIMARY KEY CHECK (one),
  at timestamptz NOT NULL
);
INSERT INTO heartbeat (one, at) VALUES (true, clock_timestamp());

-- +goose Down
DROP TABLE heartbeat;
