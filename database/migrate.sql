-- `migrate.sh` runs this as the master user: first the roles, then the pending migrations, then the services' users.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
-- A limit of the role or the database would also end the wait for the other run.
SET lock_timeout = 0;
-- dbmate has no lock, so a second run waits here until the session of the first one ends. The number is arbitrary.
SELECT pg_advisory_lock(7226463528) \g /dev/null

\ir roles.sql

-- A file that was edited after it had been applied would only run in new databases, which would then differ from this
-- one. dbmate keeps no digests, so this script does.
SET ROLE trading_owner;
CREATE SCHEMA IF NOT EXISTS migrations;
CREATE TABLE IF NOT EXISTS migrations.digests (version text PRIMARY KEY, sha256 text NOT NULL);
SELECT set_config('trading.digests', :'digests', false) \g /dev/null
DO $$
DECLARE edited text;
BEGIN
    SELECT string_agg(version, ', ' ORDER BY version) INTO edited
    FROM json_each_text(current_setting('trading.digests')::json) AS file (version, sha256)
    JOIN migrations.digests AS applied USING (version)
    WHERE file.sha256 <> applied.sha256;
    IF edited IS NOT NULL THEN
        RAISE 'migration % was edited after it had been applied: restore it, and put the change into a new migration',
            edited;
    END IF;
END $$;
RESET ROLE;

-- dbmate runs each migration in its own transaction, in which it also records it as applied. A migration that cannot
-- get a lock within five seconds fails, so that it doesn't block all queries that queue behind it.
\setenv PGOPTIONS '-c role=trading_owner -c lock_timeout=5s'
\set migrated `dbmate --no-dump-schema migrate --strict >&2 && echo true || echo false`
\setenv PGOPTIONS
-- Record the digests of the applied migrations, even if a later one failed.
SET ROLE trading_owner;
SELECT to_regclass('migrations.applied') IS NOT NULL AS begun \gset
\if :begun
    INSERT INTO migrations.digests
    SELECT version, sha256 FROM json_each_text(:'digests'::json) AS file (version, sha256)
    JOIN migrations.applied USING (version)
    ON CONFLICT DO NOTHING;
\endif
RESET ROLE;

\if :migrated
    \ir users.sql
\else
    DO $$ BEGIN RAISE 'a migration failed: it was rolled back; the ones before it are applied'; END $$;
\endif
