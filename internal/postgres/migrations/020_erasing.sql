-- An erasure writes a pseudonym into reviews and exemptions of rows that somebody has written by hand, and leaves all else in them as it is: an
-- old fault beside the name, which a hand would be refused, does not keep a person from being erased.

-- +goose Up
-- +goose StatementBegin
DO $do$
DECLARE
  body CONSTANT text := pg_get_functiondef('tenet_by_hand'::regproc);
  place CONSTANT text := '    IF fault IS NOT NULL THEN';
  erasing CONSTANT text := $$    -- An erasure has switched off the trigger that makes versions.
    IF fault IS NOT NULL AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = TG_RELID AND t.tgname = 'tenet_update' AND t.tgenabled = 'D') THEN$$;
BEGIN
  IF strpos(body, place) = 0 THEN
    RAISE EXCEPTION 'the function tenet_by_hand is not the one that the migrations make';
  END IF;
  EXECUTE replace(body, place, erasing);
END
$do$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $do$
DECLARE
  body CONSTANT text := pg_get_functiondef('tenet_by_hand'::regproc);
  place CONSTANT text := '    IF fault IS NOT NULL THEN';
  erasing CONSTANT text := $$    -- An erasure has switched off the trigger that makes versions.
    IF fault IS NOT NULL AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = TG_RELID AND t.tgname = 'tenet_update' AND t.tgenabled = 'D') THEN$$;
BEGIN
  IF strpos(body, erasing) = 0 THEN
    RAISE EXCEPTION 'the function tenet_by_hand is not the one that the migrations make';
  END IF;
  EXECUTE replace(body, erasing, place);
END
$do$;
-- +goose StatementEnd
