-- Creates the services' users from the stack's settings: `services` is a JSON object of user → group roles. migrate.sql
-- runs this as the master user, and it can run any number of times. Users sign in with IAM (`rds_iam`, a role of RDS)
-- and have no password. A user that is no longer in the settings is kept, because the ledger's rows contain its name,
-- but loses its login and all rights. Its open sessions end with its pods.

BEGIN;
SELECT set_config('trading.services', :'services', true) \g /dev/null

DO $$
DECLARE
    services CONSTANT jsonb := current_setting('trading.services');
    service text;
    granted text;
    kept boolean;
BEGIN
    FOR service IN SELECT jsonb_object_keys(services) LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
            EXECUTE format('CREATE ROLE %I', service);
        ELSIF NOT EXISTS (
            -- Since PostgreSQL 16, the creator of a role, here the master user, is its member with admin option.
            SELECT FROM pg_auth_members
            WHERE member = quote_ident(service)::regrole AND roleid = 'service_users'::regrole AND NOT admin_option
        ) THEN
            RAISE 'role % exists, but is not a service''s user: give the service another name', service;
        END IF;
        EXECUTE format('ALTER ROLE %I LOGIN', service);
        -- After this time, the caller has given up: order intake waits ten seconds for its service. It is not set for
        -- the whole database, because it would also end the wait for the lock of the migrations. A session can set
        -- its own value.
        EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', service, '10s');
        EXECUTE format('GRANT service_users, rds_iam TO %I', service);
        FOR granted IN SELECT jsonb_array_elements_text(services -> service) LOOP
            EXECUTE format('GRANT %I TO %I', granted, service);
        END LOOP;
    END LOOP;

    FOR service, granted, kept IN
        SELECT users.rolname, groups.rolname, services ? users.rolname
        FROM pg_auth_members AS marked
        JOIN pg_auth_members AS membership ON membership.member = marked.member
        JOIN pg_roles AS users ON users.oid = marked.member
        JOIN pg_roles AS groups ON groups.oid = membership.roleid
        WHERE marked.roleid = 'service_users'::regrole AND NOT marked.admin_option
    LOOP
        IF NOT kept THEN
            EXECUTE format('ALTER ROLE %I NOLOGIN', service);
        END IF;
        IF granted <> 'service_users' AND NOT (
            kept AND (granted = 'rds_iam' OR services -> service ? granted)
        ) THEN
            EXECUTE format('REVOKE %I FROM %I', granted, service);
        END IF;
    END LOOP;
END
$$;
COMMIT;
