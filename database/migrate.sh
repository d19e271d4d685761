#!/bin/sh
# Brings the database to this version of the schema; the migrations' Job and the tests run it. Needs psql and dbmate,
# PGHOST, PGPORT, PGDATABASE, SERVICES (see users.sql), and who signs in: a file with Secrets Manager's JSON of the
# master user in MASTER_FILE, or PGUSER and what else libpq reads.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if [ -n "${MASTER_FILE:-}" ]; then
    # No jq in the image. Passwords have no quotes and backslashes: our first one is letters and digits, and those
    # of Secrets Manager's rotation exclude them.
    field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$MASTER_FILE"; }
    PGUSER=$(field username)
    PGPASSWORD=$(field password)
    export PGUSER PGPASSWORD
fi

# Whom dbmate signs in as and how it checks the server come from libpq's variables too; its URL wants the rest.
export DATABASE_URL="postgres:///$PGDATABASE?host=$PGHOST&port=$PGPORT"
export DBMATE_MIGRATIONS_DIR="${DBMATE_MIGRATIONS_DIR:-$here/migrations}"
export DBMATE_MIGRATIONS_TABLE=migrations.applied

# The files' digests by number, as JSON.
digests=$(cd "$DBMATE_MIGRATIONS_DIR" && sha256sum [0-9]*.sql | sed 's/^\([0-9a-f]*\) *\([0-9]*\).*/"\2": "\1"/' | paste -sd, -)
[ -n "$digests" ] || { echo "no digests of the migrations: sha256sum failed" >&2; exit 1; }

exec psql --no-psqlrc --quiet --set services="$SERVICES" --set digests="{$digests}" --file "$here/migrate.sql"
