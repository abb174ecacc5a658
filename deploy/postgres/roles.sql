-- The roles of a tenet on PostgreSQL. Run it once as a superuser, in tenet's database:
--
--   createdb tenet
--   psql -d tenet -f deploy/postgres/roles.sql
--   psql -d tenet -c '\password tenet_owner' -c '\password tenet_app'
--
-- then, as the owner, and again after each migration:
--
--   tenet migrate up     --database-url postgres://tenet_owner@db.example.org/tenet?sslmode=verify-full
--   tenet migrate grants --database-url postgres://tenet_owner@db.example.org/tenet?sslmode=verify-full
--
-- and start the program as the other, with migrate: false:
--
--   tenet serve --migrate=false --database-url postgres://tenet_app@db.example.org/tenet?sslmode=verify-full
--
-- Run again it changes nothing but what somebody has changed.

-- Makes what is missing. Passwords and certificates are given apart from this file, so that none stands in it.
DO $$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT * FROM (VALUES
    ('tenet_owner', 'NOREPLICATION'),       -- owns the schema and migrates it; nobody works as it otherwise
    ('tenet_app', 'NOREPLICATION'),         -- the program: no schema, no temporary tables; it can't change or delete what was logged
    ('tenet_reader', 'NOREPLICATION'),      -- people and reports that only look
    ('tenet_backup', 'NOREPLICATION'),      -- starts and ends backups; reads settings and nothing else
    ('tenet_replication', 'REPLICATION')    -- standbys, pg_basebackup, pg_receivewal
  ) AS v (name, replication) LOOP
    IF NOT EXISTS (SELECT FROM pg_roles p WHERE p.rolname = r.name) THEN
      EXECUTE format('CREATE ROLE %I LOGIN', r.name);
    END IF;
    EXECUTE format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS %s', r.name, r.replication);
  END LOOP;
END
$$;

-- How long a statement may take, and a session hold its locks without a word, for every client of these roles, not tenet alone.
ALTER ROLE tenet_app SET statement_timeout = '10s';
ALTER ROLE tenet_app SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE tenet_reader SET statement_timeout = '60s';
ALTER ROLE tenet_reader SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE tenet_reader SET default_transaction_read_only = on;

-- The owner owns the database and the schema, so that it may give rights in both; nobody else has any from being anybody.
DO $$
BEGIN
  EXECUTE format('ALTER DATABASE %I OWNER TO tenet_owner', current_database());
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO tenet_app, tenet_reader, tenet_backup', current_database());
END
$$;
ALTER SCHEMA public OWNER TO tenet_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- What a backup needs: pgBackRest's list. The functions have other names before PostgreSQL 15.
GRANT pg_read_all_settings TO tenet_backup;
GRANT EXECUTE ON FUNCTION pg_switch_wal(), pg_create_restore_point(text) TO tenet_backup, tenet_app; -- app: for the drill
DO $$
BEGIN
  IF current_setting('server_version_num')::integer >= 150000 THEN
    GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO tenet_backup;
  ELSE
    GRANT EXECUTE ON FUNCTION pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean) TO tenet_backup;
  END IF;
END
$$;

-- Statistics of statements and of other sessions, which `tenet doctor postgres` reads.
GRANT pg_read_all_stats TO tenet_owner, tenet_app;
GRANT pg_read_all_settings TO tenet_owner, tenet_app;
