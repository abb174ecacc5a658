-- What a person may write with psql. The program checks each document before it writes it, and its rows pass here without a look; a row that
-- somebody writes by hand (it is of no batch) is refused if the program would refuse it, as far as SQL can say so: empty titles and texts, a
-- title of several lines, hidden characters, private keys, unknown words within JSON, and the token of another principal. The rest is found
-- by tenet doctor documents. Only what a statement changes is looked at: an old row with a fault can still be retired, mended, copied and
-- restored.

-- +goose Up

-- tenet_hides finds a character that shows nothing or turns the direction of a text round, wherever it stands.
-- +goose StatementBegin
CREATE FUNCTION tenet_hides(words text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
  RETURN words ~ ('[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2061-\u206f\u3164\uffa0\ufff0-\ufffb'
    '\U0001d173-\U0001d17a\U000e0080-\U000e00ff\U000e01f0-\U000e0fff]'
    -- Characters without width that some scripts need: none needs two, or one in a word of plain letters.
    '|[\u00ad\u200b-\u200d\u2060\ufeff][\u00ad\u200b-\u200d\u2060\ufeff]|[0-9A-Za-z][\u200b-\u200d\u2060\ufeff][0-9A-Za-z]'
    -- Tags make a flag of a region, behind a black flag.
    '|(^|[^\U0001f3f4\U000e0000-\U000e007f])[\U000e0000-\U000e007f]|[\U000e0000-\U000e007f]{8}');
END
$$;
-- +goose StatementEnd

-- tenet_shows tells whether there is something to see in a text.
-- +goose StatementBegin
CREATE FUNCTION tenet_shows(words text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
  RETURN words ~ ('[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f'
    '\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]');
END
$$;
-- +goose StatementEnd

-- tenet_by_hand refuses a row that the program would not write. Its arguments are the kind, and the columns that must not be empty, the title
-- first.
-- +goose StatementBegin
CREATE FUNCTION tenet_by_hand() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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

-- +goose StatementBegin
DO $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT * FROM (VALUES
    ('categories', 'category', 'name', NULL), ('principals', 'principal', 'name', NULL), ('rules', 'rule', 'title', 'description'),
    ('practices', 'practice', 'title', 'description'), ('templates', 'template', 'name', 'template_content'),
    ('violations', 'violation', 'message', NULL), ('packs', 'pack', 'name', NULL), ('repositories', 'repository', 'name', NULL),
    ('labels', 'label', 'name', NULL), ('proposals', 'proposal', 'title', NULL)
  ) AS v (tab, kind, title, body) LOOP
    EXECUTE format('CREATE TRIGGER tenet_valid BEFORE INSERT OR UPDATE ON %I FOR EACH ROW WHEN (NEW.batch_id = %L) EXECUTE FUNCTION tenet_by_hand(%L, %L, %L)',
      t.tab, '00000000-0000-0000-0000-000000000000', t.kind, t.title, coalesce(t.body, t.title));
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER tenet_valid', t.tab);
  END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
  tab text;
BEGIN
  FOREACH tab IN ARRAY '{categories,principals,rules,practices,templates,violations,packs,repositories,labels,proposals}'::text[] LOOP
    EXECUTE format('DROP TRIGGER tenet_valid ON %I', tab);
  END LOOP;
END
$$;
-- +goose StatementEnd
DROP FUNCTION tenet_by_hand, tenet_shows, tenet_hides;
