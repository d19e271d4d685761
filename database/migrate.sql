-- What `migrate.sh` runs, as the master user: roles, then the pending migrations, then the services' users.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
-- dbmate has no lock of its own: a second run waits here until the first one's session ends. The
-- number is arbitrary.
SELECT pg_advisory_lock(7226463528) \g /dev/null

\ir roles.sql

-- Each migration is one transaction of its own, in which dbmate also notes it as done. A migration that cannot get
-- a lock within five seconds gives up, rather than hold up every query that queues behind it.
\setenv PGOPTIONS '-c role=trading_owner -c lock_timeout=5s'
\set migrated `dbmate --no-dump-schema migrate --strict >&2 && echo true || echo false`
\setenv PGOPTIONS
\if :migrated
    \ir users.sql
\else
    DO $$ BEGIN RAISE 'a migration failed; the ones before it are applied, of it nothing is'; END $$;
\endif
