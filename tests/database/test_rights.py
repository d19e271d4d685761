"""What the services' users may and may not do."""

from __future__ import annotations

from typing import get_args

import psycopg
import pytest
from psycopg import errors

from settings import DatabaseRole
from tests.database.ledger import add_assets, balance, open_account, post
from tests.database.server import MASTER, SERVICES, Database, Server

RIGHTS = """
SELECT format('%s %s', privilege_type, table_schema || '.' || table_name), grantee::text
FROM information_schema.table_privileges
WHERE table_schema IN ('ledger', 'orders', 'migrations') AND grantee <> 'trading_owner'
UNION
SELECT format('%s %s', privilege_type, routine_schema || '.' || routine_name), grantee::text
FROM information_schema.routine_privileges
WHERE routine_schema IN ('ledger', 'orders', 'migrations') AND grantee <> 'trading_owner'
UNION
SELECT format(
    '%s %s (%s)',
    privilege_type, table_schema || '.' || table_name, string_agg(column_name, ', ' ORDER BY column_name)
), grantee::text
FROM information_schema.column_privileges
WHERE table_schema IN ('ledger', 'orders', 'migrations')
    AND grantee <> 'trading_owner' AND privilege_type <> 'SELECT'
GROUP BY privilege_type, table_schema, table_name, grantee
"""


def roles(database: Database, user: str) -> set[str]:
    """The roles that a user has, directly or through another role."""
    return {
        name
        for (name,) in database.run(
            "root",
            "SELECT rolname FROM pg_roles WHERE pg_has_role(%s, oid, 'MEMBER') AND rolname <> %s",
            user,
            user,
        )
    }


def can_sign_in(database: Database, user: str) -> bool:
    ((can,),) = database.run("root", "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", user)
    return can


@pytest.fixture(scope="module")
def books(server: Server) -> Database:
    """A database for all refused statements. Not a copy: copies lack the rights on the database itself."""
    database = server.create()
    assert database.migrate().succeeded
    add_assets(database)
    for name in ("alice", "bob"):
        open_account(database, name, lowest=-100)
    post(database, "t", [("alice", "USD", "-1"), ("bob", "USD", "1")])
    return database


def test_rights_are_these_and_no_others(database: Database) -> None:
    """All grants on the project's schemas, to any role."""
    ledger = ("accounts", "assets", "balances", "discrepancies", "entries", "holds", "transactions")
    orders = ("events", "orders", "states", "transitions")
    assert {(right, grantee) for right, grantee in database.run("root", RIGHTS)} == {
        *((f"SELECT ledger.{table}", "ledger_ro") for table in ledger),
        *((f"SELECT orders.{table}", "orders_ro") for table in orders),
        *((f"EXECUTE ledger.{name}", "ledger_post") for name in ("post", "hold", "release")),
        *((f"EXECUTE ledger.{name}", "accounts_rw") for name in ("open_account", "set_limit", "block")),
        ("UPDATE orders.orders (filled, hold_id, state)", "orders_rw"),
        (
            "INSERT orders.orders (account_id, client_order_id, hold_id, id, limit_price, quantity, side,"
            " symbol, type)",
            "orders_rw",
        ),
    }


@pytest.mark.parametrize("user", sorted(SERVICES))
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ledger.entries (transaction_id, account_id, asset, amount, balance_after)"
        " SELECT transaction_id, account_id, asset, 1, 1 FROM ledger.entries",
        "UPDATE ledger.entries SET amount = 2",
        "DELETE FROM ledger.entries",
        "TRUNCATE ledger.entries",
        "UPDATE ledger.transactions SET kind = 'x'",
        "DELETE FROM ledger.transactions",
        "UPDATE ledger.balances SET amount = 1000",
        "UPDATE ledger.accounts SET blocked = false",
        "UPDATE ledger.holds SET released_at = now()",
        "DELETE FROM orders.orders",
        "DELETE FROM orders.events",
        "UPDATE orders.orders SET quantity = 1",
        "INSERT INTO orders.transitions VALUES ('filled', 'open')",
        "UPDATE migrations.applied SET version = 1",
        "ALTER TABLE ledger.entries DISABLE TRIGGER ALL",
        "CREATE TABLE ledger.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "SET ROLE trading_owner",
        "SET ROLE trading_admin",
        "SET session_replication_role = replica",
    ],
)
def test_no_service_may(books: Database, user: str, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        books.run(user, statement)
    assert balance(books, "alice") == -1


@pytest.mark.parametrize(
    ("user", "statement"),
    [
        ("orders", "SELECT ledger.set_limit('alice', 'USD', -1000)"),
        ("orders", "SELECT ledger.open_account('carol', 'customer', 'Carol')"),
        ("accounts", "SELECT FROM orders.orders"),
        ("accounts", "INSERT INTO orders.orders (account_id) VALUES ('alice')"),
        ("reports", "SELECT ledger.post('k', 'x', '{alice,bob}', '{USD,USD}', '{-1,1}')"),
        ("reports", "SELECT ledger.hold('k', 'alice', 'USD', 1)"),
        ("idle", "SELECT FROM ledger.balances"),
        ("idle", "SELECT FROM ledger.assets"),
    ],
)
def test_service_may_not_do_what_its_roles_do_not_say(books: Database, user: str, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        books.run(user, statement)


def test_users_have_the_roles_of_their_settings(database: Database) -> None:
    every = {"service_users", "rds_iam"}
    assert roles(database, "accounts") == every | {"accounts_rw", "ledger_post", "ledger_ro"}
    assert roles(database, "orders") == every | {"orders_rw", "orders_ro", "ledger_post", "ledger_ro"}
    assert roles(database, "idle") == every
    for user in SERVICES:
        assert can_sign_in(database, user)


def test_users_sign_in_with_iam_and_have_no_password(database: Database) -> None:
    assert database.run("root", "SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL") == []


def test_nobody_else_may_connect(migrated: Database) -> None:
    migrated.run("root", "DROP ROLE IF EXISTS stranger")
    migrated.run("root", "CREATE ROLE stranger LOGIN")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        migrated.connect("stranger")


def test_service_loses_what_its_settings_no_longer_say(migrated: Database) -> None:
    assert migrated.migrate({"accounts": ["ledger_ro"]}).succeeded
    assert roles(migrated, "accounts") == {"service_users", "rds_iam", "ledger_ro"}
    assert can_sign_in(migrated, "accounts")


def test_removed_service_loses_login_and_rights_and_gets_them_back(migrated: Database) -> None:
    assert migrated.migrate({"accounts": SERVICES["accounts"]}).succeeded
    assert roles(migrated, "orders") == {"service_users"}
    assert not can_sign_in(migrated, "orders")
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        migrated.connect("orders")
    assert can_sign_in(migrated, MASTER)
    assert migrated.migrate(SERVICES).succeeded
    assert roles(migrated, "orders") >= {"orders_rw", "rds_iam"}
    assert can_sign_in(migrated, "orders")


@pytest.mark.parametrize("name", [MASTER, "trading_owner", "ledger_ro", "root"])
def test_role_that_is_no_services_is_not_taken_over(migrated: Database, name: str) -> None:
    result = migrated.migrate({**SERVICES, name: []})
    assert not result.succeeded
    assert f"role {name} exists, but is not a service's user" in result.output
    assert can_sign_in(migrated, "accounts"), "all or nothing"


def test_roles_of_the_settings_are_the_databases(database: Database) -> None:
    groups = database.run(
        "root",
        "SELECT DISTINCT groups.rolname FROM pg_roles groups WHERE NOT rolcanlogin AND rolname !~ '^pg_|^rds'"
        " AND rolname NOT IN ('trading_owner', 'service_users')",
    )
    assert {name for (name,) in groups} == set(get_args(DatabaseRole))


def test_services_give_up_waiting_for_a_lock_before_their_caller_does(database: Database) -> None:
    with database.connect("orders") as service:
        ((limit,),) = service.execute("SHOW lock_timeout").fetchall()
        assert limit == "10s"
    with database.connect(MASTER) as master:
        ((limit,),) = master.execute("SHOW lock_timeout").fetchall()
        assert limit == "0"
