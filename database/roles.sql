-- Creates the database's roles, before the migrations grant rights to them. migrate.sql runs this as the master user,
-- and it can run any number of times. Each group role is a set of rights, which a service gets through
-- `databaseRoles` in its settings (settings/service.py, DatabaseRole).

-- Without the extension, pgaudit logs statements that change the schema or a role without the type and name of the
-- object (pgAudit's README). It comes first, so that it also logs the statements below. Only the master user can
-- create it, and a PostgreSQL without the library, such as that of the tests, doesn't offer it.
SELECT 'CREATE EXTENSION IF NOT EXISTS pgaudit' WHERE EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgaudit')
\gexec

SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY [
    'trading_owner',  -- owns all objects and runs SECURITY DEFINER functions; nobody can sign in with it
    'service_users',  -- contains all services' users: can connect, and marks the users that users.sql manages
    'ledger_ro',      -- reads accounts, balances and the ledger
    'ledger_post',    -- posts transactions, places and releases holds, and has the rights of ledger_ro
    'accounts_rw',    -- opens and blocks accounts, sets their limits, and has the rights of ledger_ro
    'orders_ro',      -- reads orders and their history
    'orders_rw'       -- creates orders, changes their states, and has the rights of orders_ro
]) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

-- Migrations run as the owner, so that the master user owns nothing and no function runs with its rights.
GRANT trading_owner TO CURRENT_USER;
GRANT ledger_ro TO ledger_post, accounts_rw;
GRANT orders_ro TO orders_rw;

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO service_users;
GRANT CREATE ON DATABASE :"DBNAME" TO trading_owner;
-- By default, PostgreSQL lets everyone run new functions. Here migrations grant that explicitly.
ALTER DEFAULT PRIVILEGES FOR ROLE trading_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
