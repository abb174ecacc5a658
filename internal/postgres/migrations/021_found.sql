-- A batch that changes nothing has its row in the ledger too, with the changes that it found in force: sent again, to any instance and after
-- any restart, it is answered with them, and is not done over what others have written since.

-- +goose Up
ALTER TABLE batches ADD COLUMN found bigint[]; -- for each op the seq of the change that left its document so, 0 where the log has it no more
CREATE INDEX batches_found ON batches (at) WHERE found IS NOT NULL;

-- The log knows nothing of such batches: tenet_retain goes by their time, and is otherwise as before.
-- +goose StatementBegin
DO $do$
DECLARE
  body CONSTANT text := pg_get_functiondef('tenet_retain'::regproc);
  place CONSTANT text := '    DELETE FROM batches b USING old WHERE b.id = old.batch_id RETURNING b.id';
  wider CONSTANT text := $$    DELETE FROM batches b WHERE b.id IN (SELECT o.batch_id FROM old o UNION ALL
      (SELECT f.id FROM batches f WHERE f.found IS NOT NULL AND f.at < before ORDER BY f.at LIMIT step)) RETURNING b.id$$;
BEGIN
  IF strpos(body, place) = 0 THEN
    RAISE EXCEPTION 'the function tenet_retain is not the one that the migrations make';
  END IF;
  EXECUTE replace(body, place, wider);
END
$do$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $do$
DECLARE
  body CONSTANT text := pg_get_functiondef('tenet_retain'::regproc);
  place CONSTANT text := '    DELETE FROM batches b USING old WHERE b.id = old.batch_id RETURNING b.id';
  wider CONSTANT text := $$    DELETE FROM batches b WHERE b.id IN (SELECT o.batch_id FROM old o UNION ALL
      (SELECT f.id FROM batches f WHERE f.found IS NOT NULL AND f.at < before ORDER BY f.at LIMIT step)) RETURNING b.id$$;
BEGIN
  IF strpos(body, wider) = 0 THEN
    RAISE EXCEPTION 'the function tenet_retain is not the one that the migrations make';
  END IF;
  EXECUTE replace(body, wider, place);
END
$do$;
-- +goose StatementEnd
ALTER TABLE batches DROP COLUMN found; -- an id of a batch that changed nothing stays taken
