-- What the writer of a batch says of it, beside each of its changes. The chain does not hold it.

-- +goose Up
ALTER TABLE changes ADD COLUMN message text;

-- tenet_log makes the row of the log while its transaction commits, as before, now with the message of its batch: the writer hands those
-- over for the time of the transaction, in a setting. A purge takes it out of the document's changes too.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  c changes;
  before bytea;
  was boolean;
  is_now boolean;
BEGIN
  c.kind := TG_ARGV[0];
  IF TG_OP = 'DELETE' THEN
    c.id := to_jsonb(OLD) ->> TG_ARGV[1];
    SELECT CASE WHEN p.document IS NULL THEN 'purge' ELSE 'archive' END, p.version, p.batch_id, p.actor, p.at
      INTO STRICT c.verb, c.version, c.batch_id, c.actor, c.at
      FROM purges p WHERE p.kind = c.kind AND p.id = c.id AND p.version = OLD.version + 1;
    c.document_hash := sha256(convert_to(concat(c.verb, E'\n', c.actor, E'\n', (extract(epoch FROM c.at) * 1000000)::bigint), 'UTF8'));
  ELSE
    c.document := to_jsonb(NEW) - '{rank,batch_id,usage_count}'::text[];
    c.id := c.document ->> TG_ARGV[1];
    c.version := NEW.version;
    c.batch_id := NEW.batch_id;
    c.actor := NEW.updated_by;
    c.at := NEW.updated_at;
    c.document_hash := sha256(convert_to(c.document::text, 'UTF8'));
    c.verb := 'put';
    IF TG_OP = 'INSERT' THEN
      IF c.version > 1 THEN
        IF EXISTS (SELECT FROM purges p WHERE p.kind = c.kind AND p.id = c.id AND p.document ->> 'created_at' = c.document ->> 'created_at') THEN
          c.verb := 'restore';
        END IF;
        UPDATE purges p SET document = NULL WHERE p.kind = c.kind AND p.id = c.id AND p.document IS NOT NULL;
      END IF;
    ELSE
      IF c.kind = 'rule' THEN was := OLD.active; is_now := NEW.active;
      ELSIF c.kind = 'principal' THEN was := NOT OLD.disabled; is_now := NOT NEW.disabled;
      ELSE was := OLD.is_active; is_now := NEW.is_active;
      END IF;
      IF was <> is_now THEN
        c.verb := CASE WHEN is_now THEN 'restore' ELSE 'retire' END;
      END IF;
    END IF;
  END IF;
  SELECT b.entered_by, CASE WHEN b.entered_by IS NOT NULL THEN coalesce(b.entered_at, c.at) END INTO c.entered_by, c.entered_at
    FROM batches b WHERE b.id = c.batch_id;
  c.message := nullif(current_setting('tenet.messages', true), '')::jsonb ->> c.batch_id::text;
  PERFORM pg_advisory_xact_lock(8387227955914040167); -- "tenetlog"
  SELECT l.seq, l.chain INTO c.seq, before FROM changes l ORDER BY l.seq DESC LIMIT 1;
  c.seq := coalesce(c.seq, 0) + 1;
  c.chain := sha256(coalesce(before, decode(repeat('00', 32), 'hex'))
    || convert_to(concat(c.seq, E'\n', c.kind, E'\n', c.id, E'\n', c.version, E'\n', c.verb, E'\n', c.batch_id, E'\n'), 'UTF8')
    || CASE WHEN c.entered_by IS NULL THEN '' ELSE convert_to(concat(2, E'\n', c.actor, E'\n', (extract(epoch FROM c.at) * 1000000)::bigint, E'\n',
      c.entered_by, E'\n', (extract(epoch FROM c.entered_at) * 1000000)::bigint, E'\n'), 'UTF8') END
    || c.document_hash);
  INSERT INTO changes (seq, kind, id, version, verb, batch_id, actor, at, entered_by, entered_at, message, document, document_hash, chain)
    VALUES (c.seq, c.kind, c.id, c.version, c.verb, c.batch_id, c.actor, c.at, c.entered_by, c.entered_at, c.message, c.document, c.document_hash, c.chain);
  IF c.verb = 'purge' THEN
    UPDATE changes e SET document = NULL, message = CASE WHEN e.verb = 'purge' THEN e.message END
      WHERE e.kind = c.kind AND e.id = c.id AND (e.document IS NOT NULL OR e.message IS NOT NULL AND e.verb <> 'purge');
  END IF;
  PERFORM pg_notify('tenet_changes', '');
  RETURN NULL;
END
$$;
-- +goose StatementEnd

-- tenet_erase replaces a person in messages too, and is otherwise as before.
-- +goose StatementBegin
DO $do$
DECLARE
  body CONSTANT text := pg_get_functiondef('tenet_erase'::regproc);
  place CONSTANT text := '    UPDATE batches b SET actor';
  said CONSTANT text := $$    UPDATE changes c SET message = tenet_unnamed(c.message, names, pseudonym)
      WHERE tenet_unnamed(c.message, names, pseudonym) <> c.message;
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('messages', n) ELSE '{}' END;
$$;
BEGIN
  IF strpos(body, place) = 0 THEN
    RAISE EXCEPTION 'the function tenet_erase is not the one that the migrations make';
  END IF;
  EXECUTE replace(body, place, said || place);
END
$do$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  c changes;
  before bytea;
  was boolean;
  is_now boolean;
BEGIN
  c.kind := TG_ARGV[0];
  IF TG_OP = 'DELETE' THEN
    c.id := to_jsonb(OLD) ->> TG_ARGV[1];
    SELECT CASE WHEN p.document IS NULL THEN 'purge' ELSE 'archive' END, p.version, p.batch_id, p.actor, p.at
      INTO STRICT c.verb, c.version, c.batch_id, c.actor, c.at
      FROM purges p WHERE p.kind = c.kind AND p.id = c.id AND p.version = OLD.version + 1;
    c.document_hash := sha256(convert_to(concat(c.verb, E'\n', c.actor, E'\n', (extract(epoch FROM c.at) * 1000000)::bigint), 'UTF8'));
  ELSE
    c.document := to_jsonb(NEW) - '{rank,batch_id,usage_count}'::text[];
    c.id := c.document ->> TG_ARGV[1];
    c.version := NEW.version;
    c.batch_id := NEW.batch_id;
    c.actor := NEW.updated_by;
    c.at := NEW.updated_at;
    c.document_hash := sha256(convert_to(c.document::text, 'UTF8'));
    c.verb := 'put';
    IF TG_OP = 'INSERT' THEN
      IF c.version > 1 THEN
        IF EXISTS (SELECT FROM purges p WHERE p.kind = c.kind AND p.id = c.id AND p.document ->> 'created_at' = c.document ->> 'created_at') THEN
          c.verb := 'restore';
        END IF;
        UPDATE purges p SET document = NULL WHERE p.kind = c.kind AND p.id = c.id AND p.document IS NOT NULL;
      END IF;
    ELSE
      IF c.kind = 'rule' THEN was := OLD.active; is_now := NEW.active;
      ELSIF c.kind = 'principal' THEN was := NOT OLD.disabled; is_now := NOT NEW.disabled;
      ELSE was := OLD.is_active; is_now := NEW.is_active;
      END IF;
      IF was <> is_now THEN
        c.verb := CASE WHEN is_now THEN 'restore' ELSE 'retire' END;
      END IF;
    END IF;
  END IF;
  SELECT b.entered_by, CASE WHEN b.entered_by IS NOT NULL THEN coalesce(b.entered_at, c.at) END INTO c.entered_by, c.entered_at
    FROM batches b WHERE b.id = c.batch_id;
  PERFORM pg_advisory_xact_lock(8387227955914040167); -- "tenetlog"
  SELECT l.seq, l.chain INTO c.seq, before FROM changes l ORDER BY l.seq DESC LIMIT 1;
  c.seq := coalesce(c.seq, 0) + 1;
  c.chain := sha256(coalesce(before, decode(repeat('00', 32), 'hex'))
    || convert_to(concat(c.seq, E'\n', c.kind, E'\n', c.id, E'\n', c.version, E'\n', c.verb, E'\n', c.batch_id, E'\n'), 'UTF8')
    || CASE WHEN c.entered_by IS NULL THEN '' ELSE convert_to(concat(2, E'\n', c.actor, E'\n', (extract(epoch FROM c.at) * 1000000)::bigint, E'\n',
      c.entered_by, E'\n', (extract(epoch FROM c.entered_at) * 1000000)::bigint, E'\n'), 'UTF8') END
    || c.document_hash);
  INSERT INTO changes (seq, kind, id, version, verb, batch_id, actor, at, entered_by, entered_at, document, document_hash, chain)
    VALUES (c.seq, c.kind, c.id, c.version, c.verb, c.batch_id, c.actor, c.at, c.entered_by, c.entered_at, c.document, c.document_hash, c.chain);
  IF c.verb = 'purge' THEN
    UPDATE changes e SET document = NULL WHERE e.kind = c.kind AND e.id = c.id AND e.document IS NOT NULL;
  END IF;
  PERFORM pg_notify('tenet_changes', '');
  RETURN NULL;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $do$
DECLARE
  body CONSTANT text := pg_get_functiondef('tenet_erase'::regproc);
  place CONSTANT text := '    UPDATE batches b SET actor';
  said CONSTANT text := $$    UPDATE changes c SET message = tenet_unnamed(c.message, names, pseudonym)
      WHERE tenet_unnamed(c.message, names, pseudonym) <> c.message;
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('messages', n) ELSE '{}' END;
$$;
BEGIN
  IF strpos(body, said || place) = 0 THEN
    RAISE EXCEPTION 'the function tenet_erase is not the one that the migrations make';
  END IF;
  EXECUTE replace(body, said || place, place);
END
$do$;
-- +goose StatementEnd
ALTER TABLE changes DROP COLUMN message;
