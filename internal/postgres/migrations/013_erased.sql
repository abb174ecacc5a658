-- People who were erased: which changes of the log were rewritten, and what each was made into. The old hash stays in the change, since
-- the chain is made of it. The names themselves are in no statement and no table: people are found by hashes.

-- +goose Up
ALTER TABLE changes ADD COLUMN erased text COLLATE "C";
ALTER TABLE principals ADD COLUMN erasure jsonb CHECK (jsonb_typeof(erasure) = 'object');
CREATE TABLE erased (
  erasure text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  document_hash bytea NOT NULL CHECK (octet_length(document_hash) = 32),
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  PRIMARY KEY (erasure, seq)
);

-- tenet_people returns who is named in a document.
-- +goose StatementBegin
CREATE FUNCTION tenet_people(document jsonb) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT document ->> f FROM unnest('{created_by,updated_by,reported_by,resolved_by,owner,principal_id}'::text[]) AS f
  UNION ALL
  SELECT m ->> 'by' FROM unnest('{reviews,exemptions}'::text[]) AS l,
    jsonb_array_elements(CASE WHEN jsonb_typeof(document -> l) = 'array' THEN document -> l ELSE '[]' END) AS m;
END;
-- +goose StatementEnd

-- tenet_redact replaces a person in every field of a document that names people. Of a principal that is the person nothing stays but its role.
-- +goose StatementBegin
CREATE FUNCTION tenet_redact(document jsonb, names text[], ident text, pseudonym text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  place text;
BEGIN
  FOREACH place IN ARRAY '{created_by,updated_by,reported_by,resolved_by,owner}'::text[] LOOP
    IF document ->> place = ANY (names) THEN
      document := jsonb_set(document, ARRAY[place], to_jsonb(pseudonym));
    END IF;
  END LOOP;
  FOREACH place IN ARRAY '{reviews,exemptions}'::text[] LOOP
    IF jsonb_typeof(document -> place) = 'array' AND document -> place <> '[]' THEN
      document := jsonb_set(document, ARRAY[place], (
        SELECT jsonb_agg(CASE WHEN e.m ->> 'by' = ANY (names) THEN jsonb_set(e.m, '{by}', to_jsonb(pseudonym)) ELSE e.m END ORDER BY e.n)
        FROM jsonb_array_elements(document -> place) WITH ORDINALITY AS e (m, n)));
    END IF;
  END LOOP;
  IF document ->> 'principal_id' = ident THEN
    document := document || jsonb_build_object('principal_id', pseudonym, 'name', pseudonym, 'token_hash', repeat('0', 64), 'token_prefix', '');
  END IF;
  RETURN document;
END
$$;
-- +goose StatementEnd

-- tenet_erase replaces a person by a pseudonym in everything, and makes the change that tells of it. Person holds hashes alone. Writers wait
-- meanwhile: the triggers that would make a version of each document are off in this transaction, and nobody else may write in it. What it
-- returns is how many rows of each table were rewritten; the person is in the log even if there were none.
-- +goose StatementBegin
CREATE FUNCTION tenet_erase(pseudonym text, person jsonb, batch uuid, actor text) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  documents CONSTANT text[] := '{categories,principals,rules,practices,templates,violations,packs,repositories,labels,proposals}';
  hashes CONSTANT text[] := ARRAY[person ->> 'id'] || ARRAY(SELECT jsonb_array_elements_text(person -> 'names'));
  names text[];
  ident text;
  tab text;
  named text[];
  counts jsonb := '{}';
  n bigint;
  total bigint := 0;
  word text;
BEGIN
  LOCK TABLE batches, categories, principals, rules, practices, templates, violations, packs, repositories, labels, proposals, purges,
    changes, refusals, job_runs, job_pauses, standings IN SHARE ROW EXCLUSIVE MODE;

  FOREACH tab IN ARRAY documents LOOP
    EXECUTE format('SELECT array_agg(DISTINCT p) FROM %I t, tenet_people(to_jsonb(t)) AS p', tab) INTO named;
    names := names || named;
  END LOOP;
  SELECT array_agg(DISTINCT w) INTO names FROM (
    SELECT unnest(names) UNION SELECT c.actor FROM changes c UNION SELECT c.entered_by FROM changes c UNION SELECT c.id FROM changes c WHERE c.kind = 'principal'
    UNION SELECT p FROM changes c, tenet_people(c.document) AS p WHERE c.document IS NOT NULL
    UNION SELECT b.actor FROM batches b UNION SELECT b.entered_by FROM batches b UNION SELECT p.actor FROM purges p
    UNION SELECT p.id FROM purges p WHERE p.kind = 'principal' UNION SELECT r.actor FROM refusals r
    UNION SELECT substr(r.key, 11) FROM refusals r WHERE starts_with(r.key, 'principal/')
    UNION SELECT j.by FROM job_runs j UNION SELECT j.by FROM job_pauses j UNION SELECT s.standing::jsonb ->> 'by' FROM standings s
  ) AS who (w) WHERE w <> '' AND encode(sha256(decode(person ->> 'salt', 'hex') || convert_to(w, 'UTF8')), 'hex') = ANY (hashes);
  SELECT w INTO ident FROM unnest(names) AS w WHERE encode(sha256(decode(person ->> 'salt', 'hex') || convert_to(w, 'UTF8')), 'hex') = person ->> 'id';

  IF names IS NOT NULL THEN
    FOREACH tab IN ARRAY documents LOOP
      EXECUTE format('ALTER TABLE %I DISABLE TRIGGER tenet_update, DISABLE TRIGGER tenet_id', tab);
      n := 0;
      FOREACH word IN ARRAY '{created_by,updated_by,reported_by,resolved_by,owner}'::text[] LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = tab::regclass AND a.attname = word AND NOT a.attisdropped);
        EXECUTE format('UPDATE %1$I SET %2$I = $1 WHERE %2$I = ANY ($2)', tab, word) USING pseudonym, names;
        GET DIAGNOSTICS total = ROW_COUNT;
        n := n + total;
      END LOOP;
      IF tab = 'repositories' THEN
        UPDATE repositories t SET exemptions = tenet_redact(jsonb_build_object('exemptions', t.exemptions), names, ident, pseudonym) -> 'exemptions'
          WHERE EXISTS (SELECT FROM jsonb_array_elements(t.exemptions) m WHERE m ->> 'by' = ANY (names));
        GET DIAGNOSTICS total = ROW_COUNT;
        n := n + total;
      ELSIF tab = 'proposals' THEN
        UPDATE proposals t SET reviews = tenet_redact(jsonb_build_object('reviews', t.reviews), names, ident, pseudonym) -> 'reviews'
          WHERE EXISTS (SELECT FROM jsonb_array_elements(t.reviews) m WHERE m ->> 'by' = ANY (names));
        GET DIAGNOSTICS total = ROW_COUNT;
        n := n + total;
      ELSIF tab = 'principals' THEN
        UPDATE principals t SET principal_id = pseudonym, name = pseudonym, token_hash = repeat('0', 64), token_prefix = '' WHERE t.principal_id = ident;
        GET DIAGNOSTICS total = ROW_COUNT;
        n := n + total;
      END IF;
      EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER tenet_update, ENABLE ALWAYS TRIGGER tenet_id', tab);
      IF n > 0 THEN
        counts := counts || jsonb_build_object(tab, n);
      END IF;
    END LOOP;

    WITH touched AS (
      UPDATE changes c SET erased = pseudonym, document = tenet_redact(c.document, names, ident, pseudonym),
        actor = CASE WHEN c.actor = ANY (names) THEN pseudonym ELSE c.actor END,
        entered_by = CASE WHEN c.entered_by = ANY (names) THEN pseudonym ELSE c.entered_by END,
        id = CASE WHEN c.kind = 'principal' AND c.id = ident THEN pseudonym ELSE c.id END
      WHERE c.actor = ANY (names) OR c.entered_by = ANY (names) OR c.kind = 'principal' AND c.id = ident
        OR EXISTS (SELECT FROM tenet_people(c.document) AS p WHERE p = ANY (names))
      RETURNING c.*
    ), hashed AS (
      SELECT t.*, sha256(coalesce(convert_to(t.document::text, 'UTF8'), '')) AS new_hash FROM touched t
    ), noted AS (
      INSERT INTO erased (erasure, seq, document_hash, digest)
      SELECT pseudonym, h.seq, h.new_hash, sha256(convert_to(concat_ws(E'\n', 'erased', h.seq, h.kind, h.id, h.version, h.verb, h.batch_id, h.actor,
          (extract(epoch FROM h.at) * 1000000)::bigint, coalesce(h.entered_by, ''), coalesce((extract(epoch FROM h.entered_at) * 1000000)::bigint::text, '')) || E'\n', 'UTF8')
        || h.chain || h.document_hash || h.new_hash)
      FROM hashed h
      ON CONFLICT (erasure, seq) DO UPDATE SET document_hash = excluded.document_hash, digest = excluded.digest
      RETURNING 1
    ) SELECT count(*) INTO n FROM noted;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('changes', n) ELSE '{}' END;

    UPDATE batches b SET actor = CASE WHEN b.actor = ANY (names) THEN pseudonym ELSE b.actor END,
      entered_by = CASE WHEN b.entered_by = ANY (names) THEN pseudonym ELSE b.entered_by END WHERE b.actor = ANY (names) OR b.entered_by = ANY (names);
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('batches', n) ELSE '{}' END;
    UPDATE purges p SET actor = CASE WHEN p.actor = ANY (names) THEN pseudonym ELSE p.actor END,
      id = CASE WHEN p.kind = 'principal' AND p.id = ident THEN pseudonym ELSE p.id END WHERE p.actor = ANY (names) OR p.kind = 'principal' AND p.id = ident;
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('purges', n) ELSE '{}' END;
    UPDATE refusals r SET actor = CASE WHEN r.actor = ANY (names) THEN pseudonym ELSE r.actor END,
      key = CASE WHEN r.key = 'principal/' || ident THEN 'principal/' || pseudonym ELSE r.key END
      WHERE r.actor = ANY (names) OR r.key = 'principal/' || ident;
    GET DIAGNOSTICS n = ROW_COUNT;
    FOREACH word IN ARRAY names LOOP
      UPDATE refusals r SET reason = regexp_replace(r.reason, '(?<![[:alnum:]_])' || regexp_replace(word, '([][().*+?{}|^$\\/-])', '\\\1', 'g') || '(?![[:alnum:]_])',
        pseudonym, 'g') WHERE strpos(r.reason, word) > 0;
    END LOOP;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('refusals', n) ELSE '{}' END;
    UPDATE job_runs j SET by = pseudonym WHERE j.by = ANY (names);
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('job_runs', n) ELSE '{}' END;
    UPDATE job_pauses j SET by = pseudonym WHERE j.by = ANY (names);
    UPDATE standings s SET standing = jsonb_set(s.standing::jsonb, '{by}', to_jsonb(pseudonym))::text WHERE s.standing::jsonb ->> 'by' = ANY (names);
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('standings', n) ELSE '{}' END;
  END IF;

  person := person || (SELECT jsonb_build_object('rows', count(*), 'root',
      encode(sha256(coalesce(string_agg(convert_to(e.seq || E'\n', 'UTF8') || e.document_hash || e.digest, ''::bytea ORDER BY e.seq), '')), 'hex'))
    FROM erased e WHERE e.erasure = pseudonym);
  IF counts = '{}' AND EXISTS (SELECT FROM principals t WHERE t.principal_id = pseudonym AND t.erasure @> (person - '{rows,root}'::text[])) THEN
    RETURN counts;
  END IF;
  IF actor = ANY (names) THEN
    actor := pseudonym;
  END IF;
  INSERT INTO batches (id, fingerprint, actor) VALUES (batch, sha256(convert_to('erase ' || pseudonym, 'UTF8')), tenet_erase.actor);
  UPDATE principals t SET disabled = true, token_hash = repeat('0', 64), token_prefix = '', name = pseudonym, erasure = person,
    updated_by = tenet_erase.actor, updated_at = greatest(clock_timestamp(), t.updated_at), batch_id = batch WHERE t.principal_id = pseudonym;
  IF NOT FOUND THEN
    INSERT INTO principals (principal_id, name, role, token_hash, token_prefix, disabled, erasure, created_by, created_at, updated_by, updated_at, batch_id)
      VALUES (pseudonym, pseudonym, 'viewer', repeat('0', 64), '', true, person, tenet_erase.actor, clock_timestamp(), tenet_erase.actor, clock_timestamp(), batch);
  END IF;
  RETURN counts || jsonb_build_object('', 0); -- told in the log
END
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION tenet_erase(text, jsonb, uuid, text) FROM PUBLIC;

-- +goose Down
-- +goose StatementBegin
DO $$
BEGIN
  IF EXISTS (SELECT FROM changes WHERE erased IS NOT NULL) THEN
    RAISE EXCEPTION 'people were erased from the log, which the program before can''t check: restore the backup made before the migration' USING ERRCODE = 'TN007';
  END IF;
END
$$;
-- +goose StatementEnd
DROP FUNCTION tenet_erase, tenet_redact, tenet_people;
DROP TABLE erased;
ALTER TABLE principals DROP COLUMN erasure;
ALTER TABLE changes DROP COLUMN erased;
