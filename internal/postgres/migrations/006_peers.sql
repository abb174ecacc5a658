-- Where a refused call came from; and a purge, which leaves no document whose hash would hold its actor and time, has a hash over those.

-- +goose Up
ALTER TABLE refusals ADD COLUMN peer text NOT NULL DEFAULT '';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_log() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  c changes;
  before bytea;
  was boolean;
  is_now boolean;
BEGIN
  c.kind := TG_ARGV[0];
  IF TG_OP = 'DELETE' THEN
    c.id := to_jsonb(OLD) ->> TG_ARGV[1];
    c.verb := 'purge';
    SELECT p.version, p.batch_id, p.actor, p.at INTO STRICT c.version, c.batch_id, c.actor, c.at
      FROM purges p WHERE p.kind = c.kind AND p.id = c.id AND p.version = OLD.version + 1;
    c.document_hash := sha256(convert_to(concat('purge', E'\n', c.actor, E'\n', (extract(epoch FROM c.at) * 1000000)::bigint), 'UTF8'));
  ELSE
    c.document := to_jsonb(NEW) - '{rank,batch_id,usage_count}'::text[];
    c.id := c.document ->> TG_ARGV[1];
    c.version := NEW.version;
    c.batch_id := NEW.batch_id;
    c.actor := NEW.updated_by;
    c.at := NEW.updated_at;
    c.document_hash := sha256(convert_to(c.document::text, 'UTF8'));
    c.verb := 'put';
    IF TG_OP = 'UPDATE' THEN
      IF c.kind = 'rule' THEN was := OLD.active; is_now := NEW.active;
      ELSIF c.kind = 'principal' THEN was := NOT OLD.disabled; is_now := NOT NEW.disabled;
      ELSE was := OLD.is_active; is_now := NEW.is_active;
      END IF;
      IF was <> is_now THEN
        c.verb := CASE WHEN is_now THEN 'restore' ELSE 'retire' END;
      END IF;
    END IF;
  END IF;
  PERFORM pg_advisory_xact_lock(8387227955914040167); -- "tenetlog"
  SELECT l.seq, l.chain INTO c.seq, before FROM changes l ORDER BY l.seq DESC LIMIT 1;
  c.seq := coalesce(c.seq, 0) + 1;
  c.chain := sha256(coalesce(before, decode(repeat('00', 32), 'hex'))
    || convert_to(concat(c.seq, E'\n', c.kind, E'\n', c.id, E'\n', c.version, E'\n', c.verb, E'\n', c.batch_id, E'\n'), 'UTF8')
    || c.document_hash);
  INSERT INTO changes (seq, kind, id, version, verb, batch_id, actor, at, document, document_hash, chain)
    VALUES (c.seq, c.kind, c.id, c.version, c.verb, c.batch_id, c.actor, c.at, c.document, c.document_hash, c.chain);
  IF c.verb = 'purge' THEN
    UPDATE changes e SET document = NULL WHERE e.kind = c.kind AND e.id = c.id AND e.document IS NOT NULL;
  END IF;
  PERFORM pg_notify('tenet_changes', '');
  RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE refusals DROP COLUMN peer;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_log() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  c changes;
  before bytea;
  was boolean;
  is_now boolean;
BEGIN
  c.kind := TG_ARGV[0];
  IF TG_OP = 'DELETE' THEN
    c.id := to_jsonb(OLD) ->> TG_ARGV[1];
    c.verb := 'purge';
    SELECT p.version, p.batch_id, p.actor, p.at INTO STRICT c.version, c.batch_id, c.actor, c.at
      FROM purges p WHERE p.kind = c.kind AND p.id = c.id AND p.version = OLD.version + 1;
    c.document_hash := sha256('');
  ELSE
    c.document := to_jsonb(NEW) - '{rank,batch_id,usage_count}'::text[];
    c.id := c.document ->> TG_ARGV[1];
    c.version := NEW.version;
    c.batch_id := NEW.batch_id;
    c.actor := NEW.updated_by;
    c.at := NEW.updated_at;
    c.document_hash := sha256(convert_to(c.document::text, 'UTF8'));
    c.verb := 'put';
    IF TG_OP = 'UPDATE' THEN
      IF c.kind = 'rule' THEN was := OLD.active; is_now := NEW.active;
      ELSIF c.kind = 'principal' THEN was := NOT OLD.disabled; is_now := NOT NEW.disabled;
      ELSE was := OLD.is_active; is_now := NEW.is_active;
      END IF;
      IF was <> is_now THEN
        c.verb := CASE WHEN is_now THEN 'restore' ELSE 'retire' END;
      END IF;
    END IF;
  END IF;
  PERFORM pg_advisory_xact_lock(8387227955914040167); -- "tenetlog"
  SELECT l.seq, l.chain INTO c.seq, before FROM changes l ORDER BY l.seq DESC LIMIT 1;
  c.seq := coalesce(c.seq, 0) + 1;
  c.chain := sha256(coalesce(before, decode(repeat('00', 32), 'hex'))
    || convert_to(concat(c.seq, E'\n', c.kind, E'\n', c.id, E'\n', c.version, E'\n', c.verb, E'\n', c.batch_id, E'\n'), 'UTF8')
    || c.document_hash);
  INSERT INTO changes (seq, kind, id, version, verb, batch_id, actor, at, document, document_hash, chain)
    VALUES (c.seq, c.kind, c.id, c.version, c.verb, c.batch_id, c.actor, c.at, c.document, c.document_hash, c.chain);
  IF c.verb = 'purge' THEN
    UPDATE changes e SET document = NULL WHERE e.kind = c.kind AND e.id = c.id AND e.document IS NOT NULL;
  END IF;
  PERFORM pg_notify('tenet_changes', '');
  RETURN NULL;
END
$$;
-- +goose StatementEnd
