-- An erasure writes a pseudonym into reviews and exemptions of rows that somebody has written by hand, and leaves all else in them as it is: an
-- old fault beside the name, which a hand would be refused, does not keep a person from being erased.

-- +goose Up
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_by_hand() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  made jsonb := to_jsonb(NEW);
  was jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END;
  -- Of most rows one look tells that no text can hide anything, or hold a key.
  odd boolean := made::text ~ '[^\u0020-\u007e]|\\[ubf]';
  keyed boolean := strpos(made::text, 'PRIVATE KEY-----') > 0;
  field text;
  val jsonb;
  fault text;
  owner text;
BEGIN
  FOR field, val IN
    SELECT e.key, e.value FROM jsonb_each(made) e
    WHERE jsonb_typeof(e.value) IN ('string', 'object', 'array') AND (was IS NULL OR e.value IS DISTINCT FROM was -> e.key)
      AND (odd OR keyed OR e.key IN ('scope', 'variables', 'checks', 'select', 'raise', 'reviews', 'token_hash') OR e.key = ANY (TG_ARGV[1:]))
  LOOP
    fault := CASE
      WHEN field = ANY (TG_ARGV[1:]) AND NOT tenet_shows(val #>> '{}') THEN 'it is empty: want text'
      WHEN field = TG_ARGV[1] AND val #>> '{}' ~ '[\n\r\u2028\u2029]' AND TG_ARGV[0] <> 'violation' THEN 'it holds a line break: want one line'
      WHEN odd AND (EXISTS (SELECT FROM jsonb_path_query(val, 'strict $.**') v WHERE jsonb_typeof(v) = 'string' AND tenet_hides(v #>> '{}'))
        OR jsonb_typeof(val) IN ('object', 'array')
          AND EXISTS (SELECT FROM jsonb_path_query(val, 'strict $.** ? (@.type() == "object").keyvalue().key') k WHERE tenet_hides(k #>> '{}')))
        THEN 'it holds a character that shows nothing or turns the text round: take it out'
      WHEN keyed AND EXISTS (SELECT FROM jsonb_path_query(val, 'strict $.**') v
          WHERE jsonb_typeof(v) = 'string' AND v #>> '{}' ~ '-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\[rn])+(?:[A-Za-z0-9+/=](?:\s|\\[rn])*){64}')
        THEN 'it holds a private key: remove it, and revoke it if it is real'
      WHEN field = 'scope' AND val @? '$.activation ? (!(@ == "" || @ == "always" || @ == "glob" || @ == "model" || @ == "manual"))'
        THEN 'activation: want one of always, glob, model, manual'
      WHEN TG_ARGV[0] = 'template' AND field = 'variables'
        AND val @? '$[*].type ? (!(@ == "" || @ == "text" || @ == "multiline" || @ == "number" || @ == "boolean" || @ == "select" || @ == "multiselect"))'
        THEN 'type: want one of text, multiline, number, boolean, select, multiselect'
      WHEN TG_ARGV[0] = 'rule' AND field = 'checks' AND val @? '$[*].kind ? (!(@ == "forbid" || @ == "require" || @ == "path"))'
        THEN 'kind: want one of forbid, require, path'
      WHEN TG_ARGV[0] = 'pack' AND field = 'select' AND val @? '$.kinds[*] ? (!(@ == "rule" || @ == "practice" || @ == "template"))'
        THEN 'kinds: want some of rule, practice, template'
      WHEN TG_ARGV[0] = 'pack' AND field = 'raise' AND val @? ('$[*] ? (exists(@.severity ? (!(@ == "" || @ == "CRITICAL" || @ == "ERROR" || @ == "WARNING" || @ == "INFO")))'
          ' || exists(@.enforcement ? (!(@ == "" || @ == "mandatory" || @ == "recommended" || @ == "optional"))))')::jsonpath
        THEN 'severity: want one of CRITICAL, ERROR, WARNING, INFO; enforcement: one of mandatory, recommended, optional'
      WHEN TG_ARGV[0] = 'proposal' AND field = 'reviews'
        AND val @? '$[*].verdict ? (!(@ == "approve" || @ == "ask" || @ == "reject" || @ == "comment" || @ == "override"))'
        THEN 'verdict: want one of approve, ask, reject, comment, override'
    END;
    IF fault IS NULL AND TG_ARGV[0] = 'principal' AND field = 'token_hash' AND made -> 'erasure' = 'null' THEN
      PERFORM pg_advisory_xact_lock(8387227955914040168); -- two hands at once
      SELECT p.principal_id INTO owner FROM principals p
        WHERE p.token_hash = NEW.token_hash AND p.principal_id <> NEW.principal_id AND p.erasure IS NULL LIMIT 1;
      IF FOUND THEN
        fault := format('it is the hash of the token of %s, which would open both: make one with tenet token rotate', owner);
      END IF;
    END IF;
    -- An erasure has switched off the trigger that makes versions.
    IF fault IS NOT NULL AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = TG_RELID AND t.tgname = 'tenet_update' AND t.tgenabled = 'D') THEN
      RAISE EXCEPTION '% "%": %', TG_ARGV[0], field, fault USING ERRCODE = 'check_violation',
        HINT = 'Write it with tenet put or tenet edit, which say all that is wrong with a document.';
    END IF;
  END LOOP;
  RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenet_by_hand() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  made jsonb := to_jsonb(NEW);
  was jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END;
  -- Of most rows one look tells that no text can hide anything, or hold a key.
  odd boolean := made::text ~ '[^\u0020-\u007e]|\\[ubf]';
  keyed boolean := strpos(made::text, 'PRIVATE KEY-----') > 0;
  field text;
  val jsonb;
  fault text;
  owner text;
BEGIN
  FOR field, val IN
    SELECT e.key, e.value FROM jsonb_each(made) e
    WHERE jsonb_typeof(e.value) IN ('string', 'object', 'array') AND (was IS NULL OR e.value IS DISTINCT FROM was -> e.key)
      AND (odd OR keyed OR e.key IN ('scope', 'variables', 'checks', 'select', 'raise', 'reviews', 'token_hash') OR e.key = ANY (TG_ARGV[1:]))
  LOOP
    fault := CASE
      WHEN field = ANY (TG_ARGV[1:]) AND NOT tenet_shows(val #>> '{}') THEN 'it is empty: want text'
      WHEN field = TG_ARGV[1] AND val #>> '{}' ~ '[\n\r\u2028\u2029]' AND TG_ARGV[0] <> 'violation' THEN 'it holds a line break: want one line'
      WHEN odd AND (EXISTS (SELECT FROM jsonb_path_query(val, 'strict $.**') v WHERE jsonb_typeof(v) = 'string' AND tenet_hides(v #>> '{}'))
        OR jsonb_typeof(val) IN ('object', 'array')
          AND EXISTS (SELECT FROM jsonb_path_query(val, 'strict $.** ? (@.type() == "object").keyvalue().key') k WHERE tenet_hides(k #>> '{}')))
        THEN 'it holds a character that shows nothing or turns the text round: take it out'
      WHEN keyed AND EXISTS (SELECT FROM jsonb_path_query(val, 'strict $.**') v
          WHERE jsonb_typeof(v) = 'string' AND v #>> '{}' ~ '-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\[rn])+(?:[A-Za-z0-9+/=](?:\s|\\[rn])*){64}')
        THEN 'it holds a private key: remove it, and revoke it if it is real'
      WHEN field = 'scope' AND val @? '$.activation ? (!(@ == "" || @ == "always" || @ == "glob" || @ == "model" || @ == "manual"))'
        THEN 'activation: want one of always, glob, model, manual'
      WHEN TG_ARGV[0] = 'template' AND field = 'variables'
        AND val @? '$[*].type ? (!(@ == "" || @ == "text" || @ == "multiline" || @ == "number" || @ == "boolean" || @ == "select" || @ == "multiselect"))'
        THEN 'type: want one of text, multiline, number, boolean, select, multiselect'
      WHEN TG_ARGV[0] = 'rule' AND field = 'checks' AND val @? '$[*].kind ? (!(@ == "forbid" || @ == "require" || @ == "path"))'
        THEN 'kind: want one of forbid, require, path'
      WHEN TG_ARGV[0] = 'pack' AND field = 'select' AND val @? '$.kinds[*] ? (!(@ == "rule" || @ == "practice" || @ == "template"))'
        THEN 'kinds: want some of rule, practice, template'
      WHEN TG_ARGV[0] = 'pack' AND field = 'raise' AND val @? ('$[*] ? (exists(@.severity ? (!(@ == "" || @ == "CRITICAL" || @ == "ERROR" || @ == "WARNING" || @ == "INFO")))'
          ' || exists(@.enforcement ? (!(@ == "" || @ == "mandatory" || @ == "recommended" || @ == "optional"))))')::jsonpath
        THEN 'severity: want one of CRITICAL, ERROR, WARNING, INFO; enforcement: one of mandatory, recommended, optional'
      WHEN TG_ARGV[0] = 'proposal' AND field = 'reviews'
        AND val @? '$[*].verdict ? (!(@ == "approve" || @ == "ask" || @ == "reject" || @ == "comment" || @ == "override"))'
        THEN 'verdict: want one of approve, ask, reject, comment, override'
    END;
    IF fault IS NULL AND TG_ARGV[0] = 'principal' AND field = 'token_hash' AND made -> 'erasure' = 'null' THEN
      PERFORM pg_advisory_xact_lock(8387227955914040168); -- two hands at once
      SELECT p.principal_id INTO owner FROM principals p
        WHERE p.token_hash = NEW.token_hash AND p.principal_id <> NEW.principal_id AND p.erasure IS NULL LIMIT 1;
      IF FOUND THEN
        fault := format('it is the hash of the token of %s, which would open both: make one with tenet token rotate', owner);
      END IF;
    END IF;
    IF fault IS NOT NULL THEN
      RAISE EXCEPTION '% "%": %', TG_ARGV[0], field, fault USING ERRCODE = 'check_violation',
        HINT = 'Write it with tenet put or tenet edit, which say all that is wrong with a document.';
    END IF;
  END LOOP;
  RETURN NEW;
END
$$;
-- +goose StatementEnd
