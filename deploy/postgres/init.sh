#!/bin/sh
# Run by the image of PostgreSQL when it makes the database: the roles of tenet, and the passwords of the two that compose.yaml uses.
set -eu
psql -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" --file /etc/tenet/roles.sql
psql -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" \
	-v owner="$TENET_OWNER_PASSWORD" -v app="$TENET_APP_PASSWORD" <<'SQL'
ALTER ROLE tenet_owner PASSWORD :'owner';
ALTER ROLE tenet_app PASSWORD :'app';
SQL
