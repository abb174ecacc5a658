-- +goose Up
-- The program makes the words of search itself from now on, and its questions have no need of the functions that it asked for them before.
-- Those stay for the programs of the schemas before this one, which may run beside it.

COMMENT ON COLUMN search.vector IS 'The words as the program cuts them; of a row that was changed by hand, as tenet_vector does';

-- +goose Down
COMMENT ON COLUMN search.vector IS NULL;
