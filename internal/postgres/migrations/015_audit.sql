-- Who was refused, and who read what, in one list, chained by hash. The chain is made of a hash in a column of its own, so that a person can be
-- erased from an entry; what an erasure has left is bound by an entry that tells of it, and what retention has removed by one, too.

-- +goose Up
CREATE TABLE audit (
  seq bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  kind text NOT NULL,
  actor text NOT NULL,
  door text NOT NULL,
  action text NOT NULL,
  key text NOT NULL,
  question text NOT NULL,
  count bigint NOT NULL,
  reason text NOT NULL,
  request_id text NOT NULL,
  peer text NOT NULL,
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  chain bytea NOT NULL CHECK (octet_length(chain) = 32),
  erased text
);
CREATE INDEX audit_by_at ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_key ON audit (key, seq);
CREATE TABLE audit_head (
  one boolean PRIMARY KEY CHECK (one),
  seq bigint NOT NULL,
  chain bytea NOT NULL CHECK (octet_length(chain) = 32)
);
INSERT INTO audit_head (one, seq, chain) VALUES (true, 0, decode(repeat('00', 32), 'hex'));
CREATE TABLE audit_erased (
  erasure text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (erasure, seq)
);

-- tenet_audit_hash returns the hash of an entry's fields.
-- +goose StatementBegin
CREATE FUNCTION tenet_audit_hash(VARIADIC fields text[]) RETURNS bytea LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT sha256(string_agg(convert_to(octet_length(u.f) || ':' || u.f || ';', 'UTF8'), ''::bytea ORDER BY u.n)) FROM unnest(fields) WITH ORDINALITY AS u (f, n);
END;
-- +goose StatementEnd

-- tenet_audit numbers and chains an entry, whoever adds it. The head tells which one is the last: one that is missing behind it is missed.
-- +goose StatementBegin
CREATE FUNCTION tenet_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  head audit_head;
BEGIN
  SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
  NEW.seq := head.seq + 1;
  NEW.hash := tenet_audit_hash((extract(epoch FROM NEW.at) * 1000000)::bigint::text, NEW.kind, NEW.actor, NEW.door, NEW.action, NEW.key, NEW.question,
    NEW.count::text, NEW.reason, NEW.request_id, NEW.peer);
  NEW.chain := sha256(head.chain || convert_to(NEW.seq || E'\n', 'UTF8') || NEW.hash);
  NEW.erased := NULL;
  UPDATE audit_head SET seq = NEW.seq, chain = NEW.chain;
  RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER tenet_audit BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION tenet_audit();
ALTER TABLE audit ENABLE ALWAYS TRIGGER tenet_audit;

INSERT INTO audit (at, kind, actor, door, action, key, question, count, reason, request_id, peer)
  SELECT at, CASE WHEN action IN ('entered', 'overridden', 'counted') THEN action ELSE 'refused' END, actor, '', action, key, '', 0, reason, request_id, peer
  FROM refusals ORDER BY refusal_id;
DROP TABLE refusals;

-- tenet_retain_audit removes the entries at the beginning that are of before a time, and adds one that tells how far and how the chain stood
-- there. It returns how many went.
-- +goose StatementBegin
CREATE FUNCTION tenet_retain_audit(before timestamptz) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  last audit;
  gone bigint;
BEGIN
  IF before > now() - interval '30 days' AND NOT has_table_privilege(session_user, 'audit', 'DELETE') THEN
    RAISE EXCEPTION 'role % may not remove entries of the last 30 days from the audit', session_user USING ERRCODE = 'TN007',
      HINT = 'Keep the audit for longer, or shorten it as the owner of its table.';
  END IF;
  PERFORM FROM audit_head FOR UPDATE;
  SELECT * INTO last FROM audit a WHERE a.seq < coalesce((SELECT min(k.seq) FROM audit k WHERE k.at >= before), (SELECT h.seq + 1 FROM audit_head h))
    ORDER BY a.seq DESC LIMIT 1;
  IF last.seq IS NULL THEN
    RETURN 0;
  END IF;
  DELETE FROM audit a WHERE a.seq <= last.seq;
  GET DIAGNOSTICS gone = ROW_COUNT;
  DELETE FROM audit_erased e WHERE NOT EXISTS (SELECT FROM audit a WHERE a.kind = 'erased' AND a.key = 'principal/' || e.erasure);
  INSERT INTO audit (at, kind, actor, door, action, key, question, count, reason, request_id, peer)
    VALUES (clock_timestamp(), 'trimmed', '', '', 'trim', '', encode(last.chain, 'hex'), last.seq, '', '', '');
  RETURN gone;
END
$$;
-- +goose StatementEnd
DROP FUNCTION tenet_retain_refusals;
REVOKE EXECUTE ON FUNCTION tenet_retain_audit(timestamptz) FROM PUBLIC;

-- tenet_unnamed replaces names in a text by a pseudonym, where no letter, digit or _ stands beside them.
-- +goose StatementBegin
CREATE FUNCTION tenet_unnamed(words text, names text[], pseudonym text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY names LOOP
    IF strpos(words, name) > 0 THEN
      words := regexp_replace(words, '(?<![[:alnum:]_])' || regexp_replace(name, '([][().*+?{}|^$\\/-])', '\\\1', 'g') || '(?![[:alnum:]_])', pseudonym, 'g');
    END IF;
  END LOOP;
  RETURN words;
END
$$;
-- +goose StatementEnd

-- tenet_erase replaces a person by a pseudonym in everything, as before, and also in the archive and in what jobs have said.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_erase(pseudonym text, person jsonb, batch uuid, actor text) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
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
  place text; -- a pattern of the word with no letter beside it
BEGIN
  LOCK TABLE batches, categories, principals, rules, practices, templates, violations, packs, repositories, labels, proposals, purges,
    changes, audit, job_runs, job_pauses, standings IN SHARE ROW EXCLUSIVE MODE;

  FOREACH tab IN ARRAY documents LOOP
    EXECUTE format('SELECT array_agg(DISTINCT p) FROM %I t, tenet_people(to_jsonb(t)) AS p', tab) INTO named;
    names := names || named;
  END LOOP;
  SELECT array_agg(DISTINCT w) INTO names FROM (
    SELECT unnest(names) UNION SELECT c.actor FROM changes c UNION SELECT c.entered_by FROM changes c UNION SELECT c.id FROM changes c WHERE c.kind = 'principal'
    UNION SELECT p FROM changes c, tenet_people(c.document) AS p WHERE c.document IS NOT NULL
    UNION SELECT b.actor FROM batches b UNION SELECT b.entered_by FROM batches b UNION SELECT p.actor FROM purges p
    UNION SELECT p.id FROM purges p WHERE p.kind = 'principal' UNION SELECT w FROM purges p, tenet_people(p.document) AS w WHERE p.document IS NOT NULL
    UNION SELECT a.actor FROM audit a
    UNION SELECT substr(a.key, 11) FROM audit a WHERE starts_with(a.key, 'principal/')
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
    UPDATE purges p SET document = tenet_redact(p.document, names, ident, pseudonym)
      WHERE p.document IS NOT NULL AND EXISTS (SELECT FROM tenet_people(p.document) AS w WHERE w = ANY (names));
    GET DIAGNOSTICS total = ROW_COUNT;
    n := n + total;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('purges', n) ELSE '{}' END;
    WITH touched AS (
      UPDATE audit a SET erased = pseudonym, actor = CASE WHEN a.actor = ANY (names) THEN pseudonym ELSE a.actor END,
        key = CASE WHEN a.key = 'principal/' || ident THEN 'principal/' || pseudonym ELSE a.key END,
        reason = tenet_unnamed(a.reason, names, pseudonym), question = tenet_unnamed(a.question, names, pseudonym)
      WHERE a.actor = ANY (names) OR a.key = 'principal/' || ident
        OR tenet_unnamed(a.reason, names, pseudonym) <> a.reason OR tenet_unnamed(a.question, names, pseudonym) <> a.question
      RETURNING a.*
    ), noted AS (
      INSERT INTO audit_erased (erasure, seq, hash)
      SELECT pseudonym, t.seq, tenet_audit_hash((extract(epoch FROM t.at) * 1000000)::bigint::text, t.kind, t.actor, t.door, t.action, t.key, t.question,
        t.count::text, t.reason, t.request_id, t.peer) FROM touched t
      ON CONFLICT (erasure, seq) DO UPDATE SET hash = excluded.hash
      RETURNING 1
    ) SELECT count(*) INTO n FROM noted;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('audit', n) ELSE '{}' END;
    FOREACH word IN ARRAY names LOOP
      place := '(?<![[:alnum:]_])' || regexp_replace(word, '([][().*+?{}|^$\\/-])', '\\\1', 'g') || '(?![[:alnum:]_])';
      UPDATE job_runs j SET changed = regexp_replace(j.changed, place, pseudonym, 'g'), error = regexp_replace(j.error, place, pseudonym, 'g')
        WHERE strpos(j.changed, word) > 0 OR strpos(j.error, word) > 0;
    END LOOP;
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
  INSERT INTO audit (at, kind, actor, door, action, key, question, count, reason, request_id, peer)
    SELECT clock_timestamp(), 'erased', tenet_erase.actor, '', 'erase', 'principal/' || pseudonym,
      encode(sha256(coalesce(string_agg(convert_to(e.seq || E'\n', 'UTF8') || e.hash, ''::bytea ORDER BY e.seq), '')), 'hex'), count(*), '', '', ''
    FROM audit_erased e WHERE e.erasure = pseudonym;
  RETURN counts || jsonb_build_object('', 0); -- told in the log
END
$$;
-- +goose StatementEnd

-- +goose Down
CREATE TABLE refusals (
  refusal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  key text NOT NULL,
  reason text NOT NULL,
  request_id text NOT NULL,
  peer text NOT NULL DEFAULT ''
);
CREATE INDEX refusals_by_at ON refusals (at);
INSERT INTO refusals (at, actor, action, key, reason, request_id, peer)
  SELECT at, actor, action, key, reason, request_id, peer FROM audit WHERE kind IN ('refused', 'entered', 'overridden', 'counted') ORDER BY seq;

-- tenet_retain_refusals removes the refused calls before a time.
-- +goose StatementBegin
CREATE FUNCTION tenet_retain_refusals(before timestamptz) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  gone bigint;
BEGIN
  IF before > now() - interval '30 days' AND NOT has_table_privilege(session_user, 'refusals', 'DELETE') THEN
    RAISE EXCEPTION 'role % may not remove refusals of the last 30 days', session_user USING ERRCODE = 'TN007',
      HINT = 'Keep refusals for longer, or remove them as the owner of their table.';
  END IF;
  DELETE FROM refusals WHERE at < before;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION tenet_retain_refusals(timestamptz) FROM PUBLIC;

-- tenet_erase replaces a person by a pseudonym in everything, as before, and also in the archive and in what jobs have said.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_erase(pseudonym text, person jsonb, batch uuid, actor text) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
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
  place text; -- a pattern of the word with no letter beside it
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
    UNION SELECT p.id FROM purges p WHERE p.kind = 'principal' UNION SELECT w FROM purges p, tenet_people(p.document) AS w WHERE p.document IS NOT NULL
    UNION SELECT r.actor FROM refusals r
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
    UPDATE purges p SET document = tenet_redact(p.document, names, ident, pseudonym)
      WHERE p.document IS NOT NULL AND EXISTS (SELECT FROM tenet_people(p.document) AS w WHERE w = ANY (names));
    GET DIAGNOSTICS total = ROW_COUNT;
    n := n + total;
    counts := counts || CASE WHEN n > 0 THEN jsonb_build_object('purges', n) ELSE '{}' END;
    UPDATE refusals r SET actor = CASE WHEN r.actor = ANY (names) THEN pseudonym ELSE r.actor END,
      key = CASE WHEN r.key = 'principal/' || ident THEN 'principal/' || pseudonym ELSE r.key END
      WHERE r.actor = ANY (names) OR r.key = 'principal/' || ident;
    GET DIAGNOSTICS n = ROW_COUNT;
    FOREACH word IN ARRAY names LOOP
      place := '(?<![[:alnum:]_])' || regexp_replace(word, '([][().*+?{}|^$\\/-])', '\\\1', 'g') || '(?![[:alnum:]_])';
      UPDATE refusals r SET reason = regexp_replace(r.reason, place, pseudonym, 'g') WHERE strpos(r.reason, word) > 0;
      UPDATE job_runs j SET changed = regexp_replace(j.changed, place, pseudonym, 'g'), error = regexp_replace(j.error, place, pseudonym, 'g')
        WHERE strpos(j.changed, word) > 0 OR strpos(j.error, word) > 0;
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

DROP FUNCTION tenet_retain_audit, tenet_unnamed;
DROP TABLE audit, audit_head, audit_erased;
DROP FUNCTION tenet_audit, tenet_audit_hash;
