-- Several batches in one call, and each statement only where it has something to do. The functions of the schema before stay for the
-- programs that know no others.
--
-- What a batch of one document cost was hardly its row: a statement costs a third of a row before it has written any, and each was planned
-- anew with what it was given. So the plans are made once for a session (force_generic_plan), held to the indexes; a statement without
-- rows is not begun; and batches that may wait for each other share all of it. Settings are made once, by tenet_apply, and hold in
-- what it calls.

-- +goose Up

-- tenet_hold locks the documents of a kind that are there, in the order of their ids, and returns their versions by id.
-- +goose StatementBegin
CREATE FUNCTION tenet_hold(kind text, ids text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  found jsonb;
BEGIN
  CASE kind
  WHEN 'category' THEN
    SELECT jsonb_object_agg(d.category_id, d.version) INTO found FROM (
      SELECT t.category_id, t.version FROM categories t WHERE t.category_id = ANY (ids) ORDER BY t.category_id FOR NO KEY UPDATE) AS d;
  WHEN 'principal' THEN
    SELECT jsonb_object_agg(d.principal_id, d.version) INTO found FROM (
      SELECT t.principal_id, t.version FROM principals t WHERE t.principal_id = ANY (ids) ORDER BY t.principal_id FOR NO KEY UPDATE) AS d;
  WHEN 'rule' THEN
    SELECT jsonb_object_agg(d.rule_id, d.version) INTO found FROM (
      SELECT t.rule_id, t.version FROM rules t WHERE t.rule_id = ANY (ids) ORDER BY t.rule_id FOR NO KEY UPDATE) AS d;
  WHEN 'practice' THEN
    SELECT jsonb_object_agg(d.practice_id, d.version) INTO found FROM (
      SELECT t.practice_id, t.version FROM practices t WHERE t.practice_id = ANY (ids) ORDER BY t.practice_id FOR NO KEY UPDATE) AS d;
  WHEN 'template' THEN
    SELECT jsonb_object_agg(d.template_id, d.version) INTO found FROM (
      SELECT t.template_id, t.version FROM templates t WHERE t.template_id = ANY (ids) ORDER BY t.template_id FOR NO KEY UPDATE) AS d;
  WHEN 'violation' THEN
    SELECT jsonb_object_agg(d.violation_id, d.version) INTO found FROM (
      SELECT t.violation_id, t.version FROM violations t WHERE t.violation_id = ANY (ids::uuid[]) ORDER BY t.violation_id FOR NO KEY UPDATE) AS d;
  WHEN 'pack' THEN
    SELECT jsonb_object_agg(d.pack_id, d.version) INTO found FROM (
      SELECT t.pack_id, t.version FROM packs t WHERE t.pack_id = ANY (ids) ORDER BY t.pack_id FOR NO KEY UPDATE) AS d;
  WHEN 'repository' THEN
    SELECT jsonb_object_agg(d.repository_id, d.version) INTO found FROM (
      SELECT t.repository_id, t.version FROM repositories t WHERE t.repository_id = ANY (ids) ORDER BY t.repository_id FOR NO KEY UPDATE) AS d;
  WHEN 'label' THEN
    SELECT jsonb_object_agg(d.label_id, d.version) INTO found FROM (
      SELECT t.label_id, t.version FROM labels t WHERE t.label_id = ANY (ids) ORDER BY t.label_id FOR NO KEY UPDATE) AS d;
  WHEN 'proposal' THEN
    SELECT jsonb_object_agg(d.proposal_id, d.version) INTO found FROM (
      SELECT t.proposal_id, t.version FROM proposals t WHERE t.proposal_id = ANY (ids::uuid[]) ORDER BY t.proposal_id FOR NO KEY UPDATE) AS d;
  END CASE;
  RETURN coalesce(found, '{}');
END
$$;
-- +goose StatementEnd

-- tenet_put_new writes documents of a kind that are new, in their order, each for its batch.
-- +goose StatementBegin
CREATE FUNCTION tenet_put_new(kind text, documents jsonb[], batches uuid[], actors text[], moments timestamptz[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  CASE kind
  WHEN 'category' THEN
    INSERT INTO categories (category_id, name, description, is_active, created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.category_id, d.name, d.description, d.is_active, o.actor, o.moment, o.actor, o.moment, o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::categories, o.document) AS d ORDER BY o.n;
  WHEN 'principal' THEN
    INSERT INTO principals (principal_id, name, role, token_hash, token_prefix, expiry, agent, disabled, created_by, created_at,
      updated_by, updated_at, batch_id)
    SELECT d.principal_id, d.name, d.role, d.token_hash, d.token_prefix, d.expiry, coalesce(d.agent, false), d.disabled, o.actor,
      o.moment, o.actor, o.moment, o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::principals, o.document) AS d ORDER BY o.n;
  WHEN 'rule' THEN
    INSERT INTO rules (rule_id, category, title, description, severity, enforcement, examples, anti_patterns, violations_consequence,
      checks, priority, status, active, tags, scope, extra, created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.rule_id, d.category, d.title, d.description, d.severity, d.enforcement, d.examples, d.anti_patterns,
      d.violations_consequence, coalesce(d.checks, '[]'), d.priority, d.status, d.active, d.tags, d.scope, d.extra, o.actor, o.moment,
      o.actor, o.moment, o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::rules, o.document) AS d ORDER BY o.n;
  WHEN 'practice' THEN
    INSERT INTO practices (practice_id, category, title, description, benefits, implementation_guide, anti_patterns, "references",
      examples, effectiveness_score, adoption_rate, is_required, is_active, tags, scope, extra, created_by, created_at, updated_by,
      updated_at, batch_id)
    SELECT d.practice_id, d.category, d.title, d.description, d.benefits, d.implementation_guide, d.anti_patterns, d."references",
      d.examples, d.effectiveness_score, d.adoption_rate, d.is_required, d.is_active, d.tags, d.scope, d.extra, o.actor, o.moment,
      o.actor, o.moment, o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::practices, o.document) AS d ORDER BY o.n;
  WHEN 'template' THEN
    INSERT INTO templates (template_id, name, description, category, template_content, variables, is_active, tags, scope, extra,
      created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.template_id, d.name, d.description, d.category, d.template_content, d.variables, d.is_active, d.tags, d.scope, d.extra,
      o.actor, o.moment, o.actor, o.moment, o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::templates, o.document) AS d ORDER BY o.n;
  WHEN 'violation' THEN
    INSERT INTO violations (violation_id, rule_id, source, repository, path, line, message, severity, status, waiver_reason,
      waiver_expiry, reported_by, reported_at, resolved_at, resolved_by, is_active, created_by, created_at, updated_by, updated_at,
      batch_id)
    SELECT d.violation_id, d.rule_id, d.source, d.repository, d.path, d.line, d.message, d.severity, d.status, d.waiver_reason,
      d.waiver_expiry, d.reported_by, d.reported_at, d.resolved_at, d.resolved_by, d.is_active, o.actor, o.moment, o.actor, o.moment,
      o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::violations, o.document) AS d ORDER BY o.n;
  WHEN 'pack' THEN
    INSERT INTO packs (pack_id, name, description, "select", extends, raise, is_active, created_by, created_at, updated_by, updated_at,
      batch_id)
    SELECT d.pack_id, d.name, d.description, d."select", d.extends, d.raise, d.is_active, o.actor, o.moment, o.actor, o.moment, o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::packs, o.document) AS d ORDER BY o.n;
  WHEN 'repository' THEN
    INSERT INTO repositories (repository_id, name, url, packs, targets, label, owner, exemptions, is_active, created_by, created_at,
      updated_by, updated_at, batch_id)
    SELECT d.repository_id, d.name, d.url, d.packs, d.targets, d.label, d.owner, d.exemptions, d.is_active, o.actor, o.moment, o.actor,
      o.moment, o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::repositories, o.document) AS d ORDER BY o.n;
  WHEN 'label' THEN
    INSERT INTO labels (label_id, name, description, seq, holds, is_active, created_by, created_at, updated_by, updated_at, batch_id)
    SELECT d.label_id, d.name, d.description, d.seq, d.holds, d.is_active, o.actor, o.moment, o.actor, o.moment, o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::labels, o.document) AS d ORDER BY o.n;
  WHEN 'proposal' THEN
    INSERT INTO proposals (proposal_id, title, why, ops, ops_digest, state, reviews, is_active, created_by, created_at, updated_by,
      updated_at, batch_id)
    SELECT d.proposal_id, d.title, d.why, d.ops, d.ops_digest, d.state, d.reviews, d.is_active, o.actor, o.moment, o.actor, o.moment,
      o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::proposals, o.document) AS d ORDER BY o.n;
  END CASE;
END
$$;
-- +goose StatementEnd

-- tenet_put_old writes documents of a kind that take the place of others.
-- +goose StatementBegin
CREATE FUNCTION tenet_put_old(kind text, documents jsonb[], batches uuid[], actors text[], moments timestamptz[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  CASE kind
  WHEN 'category' THEN
    UPDATE categories t SET name = d.name, description = d.description, is_active = d.is_active, updated_by = o.actor, updated_at =
      o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::categories, o.document) AS d
    WHERE t.category_id = d.category_id;
  WHEN 'principal' THEN
    UPDATE principals t SET name = d.name, role = d.role, token_hash = d.token_hash, token_prefix = d.token_prefix, expiry = d.expiry,
      agent = coalesce(d.agent, false), disabled = d.disabled, updated_by = o.actor, updated_at = o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::principals, o.document) AS d
    WHERE t.principal_id = d.principal_id;
  WHEN 'rule' THEN
    UPDATE rules t SET category = d.category, title = d.title, description = d.description, severity = d.severity, enforcement =
      d.enforcement, examples = d.examples, anti_patterns = d.anti_patterns, violations_consequence = d.violations_consequence, checks =
      coalesce(d.checks, '[]'), priority = d.priority, status = d.status, active = d.active, tags = d.tags, scope = d.scope, extra =
      d.extra, updated_by = o.actor, updated_at = o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::rules, o.document) AS d
    WHERE t.rule_id = d.rule_id;
  WHEN 'practice' THEN
    UPDATE practices t SET category = d.category, title = d.title, description = d.description, benefits = d.benefits,
      implementation_guide = d.implementation_guide, anti_patterns = d.anti_patterns, "references" = d."references", examples =
      d.examples, effectiveness_score = d.effectiveness_score, adoption_rate = d.adoption_rate, is_required = d.is_required, is_active =
      d.is_active, tags = d.tags, scope = d.scope, extra = d.extra, updated_by = o.actor, updated_at = o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::practices, o.document) AS d
    WHERE t.practice_id = d.practice_id;
  WHEN 'template' THEN
    UPDATE templates t SET name = d.name, description = d.description, category = d.category, template_content = d.template_content,
      variables = d.variables, is_active = d.is_active, tags = d.tags, scope = d.scope, extra = d.extra, updated_by = o.actor,
      updated_at = o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::templates, o.document) AS d
    WHERE t.template_id = d.template_id;
  WHEN 'violation' THEN
    UPDATE violations t SET rule_id = d.rule_id, source = d.source, repository = d.repository, path = d.path, line = d.line, message =
      d.message, severity = d.severity, status = d.status, waiver_reason = d.waiver_reason, waiver_expiry = d.waiver_expiry, reported_by
      = d.reported_by, reported_at = d.reported_at, resolved_at = d.resolved_at, resolved_by = d.resolved_by, is_active = d.is_active,
      updated_by = o.actor, updated_at = o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::violations, o.document) AS d
    WHERE t.violation_id = d.violation_id;
  WHEN 'pack' THEN
    UPDATE packs t SET name = d.name, description = d.description, "select" = d."select", extends = d.extends, raise = d.raise,
      is_active = d.is_active, updated_by = o.actor, updated_at = o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::packs, o.document) AS d
    WHERE t.pack_id = d.pack_id;
  WHEN 'repository' THEN
    UPDATE repositories t SET name = d.name, url = d.url, packs = d.packs, targets = d.targets, label = d.label, owner = d.owner,
      exemptions = d.exemptions, is_active = d.is_active, updated_by = o.actor, updated_at = o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::repositories, o.document) AS d
    WHERE t.repository_id = d.repository_id;
  WHEN 'label' THEN
    UPDATE labels t SET name = d.name, description = d.description, seq = d.seq, holds = d.holds, is_active = d.is_active, updated_by =
      o.actor, updated_at = o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::labels, o.document) AS d
    WHERE t.label_id = d.label_id;
  WHEN 'proposal' THEN
    UPDATE proposals t SET title = d.title, why = d.why, ops = d.ops, ops_digest = d.ops_digest, state = d.state, reviews = d.reviews,
      is_active = d.is_active, updated_by = o.actor, updated_at = o.moment, batch_id = o.batch
    FROM unnest(documents, batches, actors, moments) WITH ORDINALITY AS o (document, batch, actor, moment, n),
      jsonb_populate_record(NULL::proposals, o.document) AS d
    WHERE t.proposal_id = d.proposal_id;
  END CASE;
END
$$;
-- +goose StatementEnd

-- tenet_apply does every op of some batches or none, each batch exactly once. The first four say what the batches are; the others have an
-- element for each op: of which batch it is and where in it, both from 1 and from 0, what is to be done, and the vector of the document that
-- it puts, NULL where the program has made none. No two ops are about the same document. Parents are written before their
-- children and purged after them. Batches that were done before are left out. It is called outside of a transaction block, so that
-- the log's lock is never held while the server waits for the program. Errors: TN001 a version does not hold, TN002 a document is not there,
-- TN003 the id was used for other content, TN004 a reference is broken; what is wrong, and with which batch from 0, stands in the detail, as JSON.
-- +goose StatementBegin
CREATE FUNCTION tenet_apply(ids uuid[], fingerprints bytea[], actors text[], ats timestamptz[], owners integer[], places integer[],
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

-- +goose Down
DROP FUNCTION tenet_apply(uuid[], bytea[], text[], timestamptz[], integer[], integer[], text[], text[], text[], bigint[], jsonb[], tsvector[]);
DROP FUNCTION tenet_put_old, tenet_put_new, tenet_hold;
