-- The archive: what was retired long ago stands beside what was purged, with its text, and the log has a verb for it. A restore makes its row anew.

-- +goose Up
ALTER TABLE purges ADD COLUMN document jsonb;
CREATE UNIQUE INDEX purges_archived ON purges (kind, id) WHERE document IS NOT NULL;
ALTER TABLE changes DROP CONSTRAINT changes_verb_check,
  ADD CONSTRAINT changes_verb_check CHECK (verb IN ('put', 'retire', 'restore', 'archive', 'purge'));

-- tenet_table returns the table of a kind.
-- +goose StatementBegin
CREATE FUNCTION tenet_table(kind text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT CASE WHEN kind LIKE '%y' THEN "left"(kind, -1) || 'ies' ELSE kind || 's' END;
END;
-- +goose StatementEnd

-- tenet_document returns a document as the log holds it.
-- +goose StatementBegin
CREATE FUNCTION tenet_document(kind text, id text) RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  document jsonb;
BEGIN
  EXECUTE format('SELECT to_jsonb(t) - ''{rank,batch_id,usage_count}''::text[] FROM %I t WHERE t.%I = %L', tenet_table(kind), kind || '_id', id) INTO document;
  RETURN document;
END
$$;
-- +goose StatementEnd

-- tenet_bring_back makes the row of an archived document anew, and active. Its version follows from that of the archive.
-- +goose StatementBegin
CREATE FUNCTION tenet_bring_back(doc_kind text, key text, batch uuid, actor text, moment timestamptz) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
DECLARE
  tab CONSTANT text := tenet_table(doc_kind);
  archived jsonb;
  names text;
BEGIN
  SELECT p.document || jsonb_build_object('batch_id', batch, 'updated_by', tenet_bring_back.actor, 'updated_at', moment,
      CASE doc_kind WHEN 'rule' THEN 'active' ELSE 'is_active' END, true)
    INTO archived FROM purges p WHERE p.kind = doc_kind AND p.id = key AND p.document IS NOT NULL;
  SELECT string_agg(quote_ident(a.attname), ', ') INTO names FROM pg_attribute a
    WHERE a.attrelid = tab::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND jsonb_exists(archived, a.attname);
  EXECUTE format('INSERT INTO %1$I (%2$s) SELECT %2$s FROM jsonb_populate_record(NULL::%1$I, $1)', tab, names) USING archived;
END
$$;
-- +goose StatementEnd

-- tenet_log makes the row of the log while its transaction commits, as before. What a purges row holds the text of was archived. Whoever
-- takes up the id of an archived document, be it that document, takes it out of the archive.
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

-- tenet_apply does every op of some batches or none, as before; an archive goes with the purges, and a restore finds what is archived.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_apply(ids uuid[], fingerprints bytea[], actors text[], ats timestamptz[], owners integer[], places integer[],
  verbs text[], kinds text[], keys text[], if_versions bigint[], documents jsonb[], vectors tsvector[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT SET work_mem = '64MB' SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  made uuid[];
  other integer;
  this text;
  op record;
  locked record;
  part record;
  held jsonb;
  versions bigint[];
  archived bigint[];
  moments timestamptz[];
  broken jsonb;
BEGIN
  WITH entered AS (
    INSERT INTO batches AS b (id, fingerprint, actor) SELECT * FROM unnest(ids, fingerprints, actors) ON CONFLICT (id) DO NOTHING RETURNING b.id
  ) SELECT array_agg(e.id) INTO made FROM entered e;
  IF made IS NULL OR cardinality(made) < cardinality(ids) THEN
    SELECT x.n INTO other FROM unnest(ids, fingerprints) WITH ORDINALITY AS x (id, fingerprint, n)
      WHERE EXISTS (SELECT FROM batches b WHERE b.id = x.id AND b.fingerprint <> x.fingerprint) ORDER BY x.n LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'batch % was used before for other content', ids[other] USING ERRCODE = 'TN003', DETAIL = jsonb_build_object('batch', other - 1);
    END IF;
    SELECT array_agg(o.owner), array_agg(o.place), array_agg(o.verb), array_agg(o.kind), array_agg(o.key), array_agg(o.if_version),
        array_agg(o.document), array_agg(o.vector)
      INTO owners, places, verbs, kinds, keys, if_versions, documents, vectors
      FROM unnest(owners, places, verbs, kinds, keys, if_versions, documents, vectors)
        AS o (owner, place, verb, kind, key, if_version, document, vector)
      WHERE ids[o.owner] = ANY (made);
    IF owners IS NULL THEN
      RETURN;
    END IF;
  END IF;

  IF cardinality(keys) = 1 THEN
    versions := ARRAY[(tenet_hold(kinds[1], keys) ->> keys[1])::bigint];
  ELSE
    versions := array_fill(NULL::bigint, ARRAY[cardinality(keys)]);
    FOR locked IN SELECT o.kind, array_agg(o.key) AS keys FROM unnest(kinds, keys) AS o (kind, key) GROUP BY o.kind ORDER BY o.kind LOOP
      held := tenet_hold(locked.kind, locked.keys);
      IF held <> '{}' THEN
        SELECT array_agg(CASE WHEN o.kind = locked.kind THEN (held ->> o.key)::bigint ELSE o.version END) INTO versions
          FROM unnest(kinds, keys, versions) AS o (kind, key, version);
      END IF;
    END LOOP;
  END IF;

  -- A restore brings back what is archived, at the version after that of the archive.
  archived := versions;
  IF 'restore' = ANY (verbs) THEN
    SELECT array_agg(CASE WHEN o.verb = 'restore' THEN coalesce(o.version,
        (SELECT p.version FROM purges p WHERE p.kind = o.kind AND p.id = o.key AND p.document IS NOT NULL)) ELSE o.version END) INTO archived
      FROM unnest(verbs, kinds, keys, versions) AS o (verb, kind, key, version);
  END IF;

  SELECT o.* INTO op FROM unnest(owners, places, verbs, kinds, keys, if_versions, archived) AS o (owner, place, verb, kind, key, if_version, version)
    WHERE NOT CASE
      WHEN o.verb <> 'put' AND o.version IS NULL THEN false
      WHEN o.if_version = 0 THEN true
      WHEN o.if_version < 0 THEN o.version IS NULL
      ELSE coalesce(o.version = o.if_version, false)
    END
    ORDER BY o.owner, o.place LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'op % of batch % does not fit: %/% is at version %', op.place, ids[op.owner], op.kind, op.key, coalesce(op.version, 0)
      USING ERRCODE = CASE WHEN op.verb <> 'put' AND op.version IS NULL THEN 'TN002' ELSE 'TN001' END,
        DETAIL = jsonb_build_object('batch', op.owner - 1, 'op', op.place, 'want', op.if_version, 'got', coalesce(op.version, 0));
  END IF;

  -- With the rows locked: a later version has a later time.
  SELECT array_agg(coalesce(x.at, clock_timestamp())) INTO moments FROM unnest(ats) AS x (at);
  BEGIN
    FOREACH this IN ARRAY '{category,principal,rule,practice,template,violation,pack,repository,label,proposal}'::text[] LOOP
      CONTINUE WHEN this <> ALL (kinds);
      SELECT array_agg(o.key) FILTER (WHERE o.verb NOT IN ('archive', 'purge')) AS keys,
          array_agg(o.vector) FILTER (WHERE o.verb NOT IN ('archive', 'purge')) AS vectors,
          array_agg(o.key) FILTER (WHERE o.verb NOT IN ('archive', 'purge') AND o.version IS NOT NULL) AS replaced,
          bool_or(o.verb IN ('retire', 'restore')) AS sets,
          array_agg(o.document) FILTER (WHERE o.verb = 'put' AND o.version IS NULL) AS new_documents,
          array_agg(ids[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NULL) AS new_ids,
          array_agg(actors[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NULL) AS new_actors,
          array_agg(moments[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NULL) AS new_moments,
          array_agg(o.document) FILTER (WHERE o.verb = 'put' AND o.version IS NOT NULL) AS documents,
          array_agg(ids[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NOT NULL) AS ids,
          array_agg(actors[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NOT NULL) AS actors,
          array_agg(moments[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NOT NULL) AS moments
        INTO part FROM unnest(owners, verbs, kinds, keys, documents, vectors, versions) AS o (owner, verb, kind, key, document, vector, version)
        WHERE o.kind = this;
      IF part.new_documents IS NOT NULL THEN
        PERFORM tenet_put_new(this, part.new_documents, part.new_ids, part.new_actors, part.new_moments);
      END IF;
      IF part.documents IS NOT NULL THEN
        PERFORM tenet_put_old(this, part.documents, part.ids, part.actors, part.moments);
      END IF;
      IF part.sets THEN
        FOR op IN SELECT o.* FROM unnest(owners, verbs, kinds, keys, versions) AS o (owner, verb, kind, key, version)
          WHERE o.kind = this AND o.verb IN ('retire', 'restore')
        LOOP
          IF op.version IS NULL THEN
            PERFORM tenet_bring_back(this, op.key, ids[op.owner], actors[op.owner], moments[op.owner]);
            CONTINUE;
          END IF;
          PERFORM tenet_set(this, op.verb, op.key, ids[op.owner], actors[op.owner], moments[op.owner]);
        END LOOP;
      END IF;
      IF part.keys IS NOT NULL THEN
        PERFORM tenet_index(this, part.keys, part.vectors, part.replaced);
      END IF;
    END LOOP;
    IF verbs && '{archive,purge}' THEN
      FOR op IN
        SELECT o.* FROM unnest(owners, places, verbs, kinds, keys, versions) AS o (owner, place, verb, kind, key, version) WHERE o.verb IN ('archive', 'purge')
        ORDER BY array_position('{proposal,label,repository,pack,violation,template,practice,rule,principal,category}', o.kind), o.owner, o.place
      LOOP
        INSERT INTO purges (kind, id, version, batch_id, actor, at, document)
          VALUES (op.kind, op.key, op.version + 1, ids[op.owner], actors[op.owner], moments[op.owner],
            CASE WHEN op.verb = 'archive' THEN tenet_document(op.kind, op.key) END);
        PERFORM tenet_set(op.kind, 'purge', op.key, ids[op.owner], actors[op.owner], moments[op.owner]);
      END LOOP;
    END IF;
  EXCEPTION WHEN foreign_key_violation THEN
    broken := tenet_broken((SELECT jsonb_agg(jsonb_build_object('n', o.n, 'kind', o.kind, 'id', o.key,
        'verb', CASE WHEN o.verb = 'archive' THEN 'purge' WHEN o.verb = 'restore' AND o.version IS NULL THEN 'put' ELSE o.verb END,
        'document', coalesce(o.document, (SELECT p.document FROM purges p WHERE p.kind = o.kind AND p.id = o.key AND p.document IS NOT NULL))))
      FROM unnest(verbs, kinds, keys, documents, versions) WITH ORDINALITY AS o (verb, kind, key, document, version, n)));
    IF broken IS NULL THEN -- somebody else has mended it meanwhile
      RAISE EXCEPTION 'a reference changed while it was looked at' USING ERRCODE = '40001';
    END IF;
    SELECT jsonb_agg(e.value || jsonb_build_object('batch', owners[x.n] - 1, 'op', places[x.n]) ORDER BY owners[x.n], places[x.n]) INTO broken
      FROM jsonb_array_elements(broken) AS e, LATERAL (SELECT (e.value ->> 'op')::integer) AS x (n);
    RAISE EXCEPTION 'a batch breaks a reference' USING ERRCODE = 'TN004', DETAIL = broken;
  END;
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

-- +goose Down
-- +goose StatementBegin
DO $$
BEGIN
  IF EXISTS (SELECT FROM changes WHERE verb = 'archive') OR EXISTS (SELECT FROM purges WHERE document IS NOT NULL) THEN
    RAISE EXCEPTION 'documents were archived, which the program before can''t read: restore the backup made before the migration' USING ERRCODE = 'TN007';
  END IF;
END
$$;
-- +goose StatementEnd
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
CREATE OR REPLACE FUNCTION tenet_apply(ids uuid[], fingerprints bytea[], actors text[], ats timestamptz[], owners integer[], places integer[],
  verbs text[], kinds text[], keys text[], if_versions bigint[], documents jsonb[], vectors tsvector[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT SET work_mem = '64MB' SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  made uuid[];
  other integer;
  this text;
  op record;
  locked record;
  part record;
  held jsonb;
  versions bigint[];
  moments timestamptz[];
  broken jsonb;
BEGIN
  WITH entered AS (
    INSERT INTO batches AS b (id, fingerprint, actor) SELECT * FROM unnest(ids, fingerprints, actors) ON CONFLICT (id) DO NOTHING RETURNING b.id
  ) SELECT array_agg(e.id) INTO made FROM entered e;
  IF made IS NULL OR cardinality(made) < cardinality(ids) THEN
    SELECT x.n INTO other FROM unnest(ids, fingerprints) WITH ORDINALITY AS x (id, fingerprint, n)
      WHERE EXISTS (SELECT FROM batches b WHERE b.id = x.id AND b.fingerprint <> x.fingerprint) ORDER BY x.n LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'batch % was used before for other content', ids[other] USING ERRCODE = 'TN003', DETAIL = jsonb_build_object('batch', other - 1);
    END IF;
    SELECT array_agg(o.owner), array_agg(o.place), array_agg(o.verb), array_agg(o.kind), array_agg(o.key), array_agg(o.if_version),
        array_agg(o.document), array_agg(o.vector)
      INTO owners, places, verbs, kinds, keys, if_versions, documents, vectors
      FROM unnest(owners, places, verbs, kinds, keys, if_versions, documents, vectors)
        AS o (owner, place, verb, kind, key, if_version, document, vector)
      WHERE ids[o.owner] = ANY (made);
    IF owners IS NULL THEN
      RETURN;
    END IF;
  END IF;

  IF cardinality(keys) = 1 THEN
    versions := ARRAY[(tenet_hold(kinds[1], keys) ->> keys[1])::bigint];
  ELSE
    versions := array_fill(NULL::bigint, ARRAY[cardinality(keys)]);
    FOR locked IN SELECT o.kind, array_agg(o.key) AS keys FROM unnest(kinds, keys) AS o (kind, key) GROUP BY o.kind ORDER BY o.kind LOOP
      held := tenet_hold(locked.kind, locked.keys);
      IF held <> '{}' THEN
        SELECT array_agg(CASE WHEN o.kind = locked.kind THEN (held ->> o.key)::bigint ELSE o.version END) INTO versions
          FROM unnest(kinds, keys, versions) AS o (kind, key, version);
      END IF;
    END LOOP;
  END IF;

  SELECT o.* INTO op FROM unnest(owners, places, verbs, kinds, keys, if_versions, versions) AS o (owner, place, verb, kind, key, if_version, version)
    WHERE NOT CASE
      WHEN o.verb <> 'put' AND o.version IS NULL THEN false
      WHEN o.if_version = 0 THEN true
      WHEN o.if_version < 0 THEN o.version IS NULL
      ELSE coalesce(o.version = o.if_version, false)
    END
    ORDER BY o.owner, o.place LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'op % of batch % does not fit: %/% is at version %', op.place, ids[op.owner], op.kind, op.key, coalesce(op.version, 0)
      USING ERRCODE = CASE WHEN op.verb <> 'put' AND op.version IS NULL THEN 'TN002' ELSE 'TN001' END,
        DETAIL = jsonb_build_object('batch', op.owner - 1, 'op', op.place, 'want', op.if_version, 'got', coalesce(op.version, 0));
  END IF;

  -- With the rows locked: a later version has a later time.
  SELECT array_agg(coalesce(x.at, clock_timestamp())) INTO moments FROM unnest(ats) AS x (at);
  BEGIN
    FOREACH this IN ARRAY '{category,principal,rule,practice,template,violation,pack,repository,label,proposal}'::text[] LOOP
      CONTINUE WHEN this <> ALL (kinds);
      SELECT array_agg(o.key) FILTER (WHERE o.verb <> 'purge') AS keys,
          array_agg(o.vector) FILTER (WHERE o.verb <> 'purge') AS vectors,
          array_agg(o.key) FILTER (WHERE o.verb <> 'purge' AND o.version IS NOT NULL) AS replaced,
          bool_or(o.verb IN ('retire', 'restore')) AS sets,
          array_agg(o.document) FILTER (WHERE o.verb = 'put' AND o.version IS NULL) AS new_documents,
          array_agg(ids[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NULL) AS new_ids,
          array_agg(actors[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NULL) AS new_actors,
          array_agg(moments[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NULL) AS new_moments,
          array_agg(o.document) FILTER (WHERE o.verb = 'put' AND o.version IS NOT NULL) AS documents,
          array_agg(ids[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NOT NULL) AS ids,
          array_agg(actors[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NOT NULL) AS actors,
          array_agg(moments[o.owner]) FILTER (WHERE o.verb = 'put' AND o.version IS NOT NULL) AS moments
        INTO part FROM unnest(owners, verbs, kinds, keys, documents, vectors, versions) AS o (owner, verb, kind, key, document, vector, version)
        WHERE o.kind = this;
      IF part.new_documents IS NOT NULL THEN
        PERFORM tenet_put_new(this, part.new_documents, part.new_ids, part.new_actors, part.new_moments);
      END IF;
      IF part.documents IS NOT NULL THEN
        PERFORM tenet_put_old(this, part.documents, part.ids, part.actors, part.moments);
      END IF;
      IF part.sets THEN
        FOR op IN SELECT o.* FROM unnest(owners, verbs, kinds, keys) AS o (owner, verb, kind, key) WHERE o.kind = this AND o.verb IN ('retire', 'restore') LOOP
          PERFORM tenet_set(this, op.verb, op.key, ids[op.owner], actors[op.owner], moments[op.owner]);
        END LOOP;
      END IF;
      IF part.keys IS NOT NULL THEN
        PERFORM tenet_index(this, part.keys, part.vectors, part.replaced);
      END IF;
    END LOOP;
    IF 'purge' = ANY (verbs) THEN
      FOR op IN
        SELECT o.* FROM unnest(owners, places, verbs, kinds, keys, versions) AS o (owner, place, verb, kind, key, version) WHERE o.verb = 'purge'
        ORDER BY array_position('{proposal,label,repository,pack,violation,template,practice,rule,principal,category}', o.kind), o.owner, o.place
      LOOP
        INSERT INTO purges (kind, id, version, batch_id, actor, at)
          VALUES (op.kind, op.key, op.version + 1, ids[op.owner], actors[op.owner], moments[op.owner]);
        PERFORM tenet_set(op.kind, 'purge', op.key, ids[op.owner], actors[op.owner], moments[op.owner]);
      END LOOP;
    END IF;
  EXCEPTION WHEN foreign_key_violation THEN
    broken := tenet_broken((SELECT jsonb_agg(jsonb_build_object('n', o.n, 'verb', o.verb, 'kind', o.kind, 'id', o.key, 'document', o.document))
      FROM unnest(verbs, kinds, keys, documents) WITH ORDINALITY AS o (verb, kind, key, document, n)));
    IF broken IS NULL THEN -- somebody else has mended it meanwhile
      RAISE EXCEPTION 'a reference changed while it was looked at' USING ERRCODE = '40001';
    END IF;
    SELECT jsonb_agg(e.value || jsonb_build_object('batch', owners[x.n] - 1, 'op', places[x.n]) ORDER BY owners[x.n], places[x.n]) INTO broken
      FROM jsonb_array_elements(broken) AS e, LATERAL (SELECT (e.value ->> 'op')::integer) AS x (n);
    RAISE EXCEPTION 'a batch breaks a reference' USING ERRCODE = 'TN004', DETAIL = broken;
  END;
END
$$;
-- +goose StatementEnd
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
DROP FUNCTION tenet_bring_back, tenet_document, tenet_table;
ALTER TABLE changes DROP CONSTRAINT changes_verb_check, ADD CONSTRAINT changes_verb_check CHECK (verb IN ('put', 'retire', 'restore', 'purge'));
DROP INDEX purges_archived;
ALTER TABLE purges DROP COLUMN document;
