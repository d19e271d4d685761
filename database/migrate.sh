#!/bin/sh
# Migrates the database to this version of the schema. The migrations' Job and the tests run it. It needs psql and
# dbmate, and the variables PGHOST, PGPORT, PGDATABASE and SERVICES (see users.sql). The credentials come either from
# MASTER_FILE, a file with Secrets Manager's JSON of the master user, or from PGUSER and libpq's other variables.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if [ -n "${MASTER_FILE:-}" ]; then
    # The image has no jq. Passwords contain no quotes or backslashes: the first one only has letters and digits, and
    # the rotation excludes punctuation.
    field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$MASTER_FILE"; }
    PGUSER=$(field username)
    PGPASSWORD=$(field password)
    export PGUSER PGPASSWORD
fi

# dbmate also reads the user and the TLS settings from libpq's variables, but needs the rest in its URL.
export DATABASE_URL="postgres:///$PGDATABASE?host=$PGHOST&port=$PGPORT"
export DBMATE_MIGRATIONS_DIR="${DBMATE_MIGRATIONS_DIR:-$here/migrations}"
export DBMATE_MIGRATIONS_TABLE=migrations.applied

# JSON members: number of each file → digest.
digests=$(cd "$DBMATE_MIGRATIONS_DIR" && sha256sum [0-9]*.sql | sed 's/^\([0-9a-f]*\) *\([0-9]*\).*/"\2": "\1"/' | paste -sd, -)
[ -n "$digests" ] || { echo "sha256sum failed: the migrations have no digests" >&2; exit 1; }

exec psql --no-psqlrc --quiet --set services="$SERVICES" --set digests="{$digests}" --file "$here/migrate.sql"
