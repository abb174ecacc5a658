-- A role for the program that can do its work and can't touch what was written: the log is written by the owner of its table alone, and
-- what has had its time is removed by functions of the owner, which keep a month of it from everybody who may not delete it himself.

-- +goose Up
ALTER FUNCTION tenet_log() SECURITY DEFINER;

-- tenet_retain removes the changes made before a time, and the batches they belong to, except for the newest ones that are to be
-- kept, up to some at a time: up to the last whole transaction before the first change that must stay. The last change stays in any
-- case, since the next number comes from it. It returns how many went.
-- +goose StatementBegin
CREATE FUNCTION tenet_retain(before timestamptz, keep bigint, step bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  gone bigint;
BEGIN
  IF before > now() - interval '30 days' AND NOT has_table_privilege(session_user, 'changes', 'DELETE') THEN
    RAISE EXCEPTION 'role % may not remove changes of the last 30 days', session_user USING ERRCODE = 'TN007',
      HINT = 'Keep the log for longer, or shorten it as the owner of its table.';
  END IF;
  WITH bounds AS (
    SELECT min(seq) AS first, max(seq) - greatest(keep, 1) AS cut FROM changes
  ), cut AS (
    SELECT max(c.seq) AS seq FROM changes c, bounds b
    WHERE c.seq >= b.first AND c.seq <= least(b.cut, b.first + step)
      AND c.seq < coalesce((SELECT min(k.seq) FROM changes k WHERE k.seq >= b.first AND k.seq <= b.first + step AND k.at >= before), b.first + step + 1)
      AND c.txid <> coalesce((SELECT n.txid FROM changes n WHERE n.seq = c.seq + 1), 0)
  ), old AS (
    DELETE FROM changes c USING cut WHERE c.seq <= cut.seq RETURNING c.batch_id
  ), ledger AS (
    DELETE FROM batches b USING old WHERE b.id = old.batch_id RETURNING b.id
  ) SELECT (SELECT count(*) FROM old) + 0 * (SELECT count(*) FROM ledger) INTO gone;
  RETURN gone;
END
$$;
-- +goose StatementEnd

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

-- tenet_enter notes who hands in batches under another's name or time. Only those that were just done take it: their rows of the log are
-- made at the commit.
-- +goose StatementBegin
CREATE FUNCTION tenet_enter(ids uuid[], who text[], given boolean[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  UPDATE batches b SET entered_by = e.who, entered_at = CASE WHEN e.given THEN clock_timestamp() END
  FROM unnest(tenet_enter.ids, tenet_enter.who, tenet_enter.given) AS e (id, who, given)
  WHERE b.id = e.id AND NOT EXISTS (SELECT FROM changes c WHERE c.batch_id = b.id);
END
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION tenet_retain(timestamptz, bigint, bigint), tenet_retain_refusals(timestamptz),
  tenet_enter(uuid[], text[], boolean[]) FROM PUBLIC;

-- +goose Down
DROP FUNCTION tenet_retain, tenet_retain_refusals, tenet_enter;
ALTER FUNCTION tenet_log() SECURITY INVOKER;
