-- The roles of the database, made before the migrations, which grant to them. Run by migrate.sql as the master
-- user; it repeats harmlessly. A group role is one thing that a service may do: `databaseRoles` of its settings
-- names them (settings/service.py, DatabaseRole).

SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY [
    'trading_owner',  -- owns every object, and is what SECURITY DEFINER functions run as; nobody signs in as it
    'service_users',  -- every service's user: may connect, and marks the users that users.sql manages
    'ledger_ro',      -- reads accounts, balances and the ledger
    'ledger_post',    -- posts transactions, places and releases holds, and reads as ledger_ro
    'accounts_rw',    -- opens and blocks accounts, sets their limits, and reads as ledger_ro
    'orders_ro',      -- reads orders and their history
    'orders_rw'       -- takes orders in, moves them through their states, and reads as orders_ro
]) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

-- Migrations run as the owner, so that the master user owns nothing and its rights are in no function.
GRANT trading_owner TO CURRENT_USER;
GRANT ledger_ro TO ledger_post, accounts_rw;
GRANT orders_ro TO orders_rw;

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO service_users;
GRANT CREATE ON DATABASE :"DBNAME" TO trading_owner;
-- PostgreSQL lets everybody run a new function; here a migration says who may.
ALTER DEFAULT PRIVILEGES FOR ROLE trading_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
