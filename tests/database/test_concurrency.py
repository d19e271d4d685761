"""Many clients at once: the books balance, no limit is exceeded, and nothing deadlocks."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal

import psycopg
import pytest
from psycopg import errors

from tests.database import load
from tests.database.ledger import POST, add_assets, arguments, discrepancies, open_account, post
from tests.database.server import Database

CLIENTS = 16
ACCOUNTS = 8
"""Only a few accounts, so that clients contend for them."""


@pytest.fixture
def books(database: Database) -> Database:
    """Accounts with 100 USD each."""
    add_assets(database)
    open_account(database, "house", kind="house", lowest=None)
    for number in range(ACCOUNTS):
        open_account(database, f"a{number}")
        post(database, f"deposit-{number}", [("house", "USD", "-100"), (f"a{number}", "USD", "100")])
    return database


def test_ledger_balances_under_concurrent_transfers(books: Database) -> None:
    result = load.run(books, "accounts", CLIENTS, load.transfers(60, ACCOUNTS, most=60))
    assert result.refused == Counter(), "no deadlock, nor any other error"
    assert result.posted > CLIENTS * 10
    assert discrepancies(books) == []
    ((total, lowest),) = books.run(
        "reports",
        "SELECT sum(amount), min(amount) FILTER (WHERE account_id <> 'house') FROM ledger.balances",
    )
    assert total == 0
    assert lowest >= 0
    ((transactions,),) = books.run("reports", "SELECT count(*) FROM ledger.transactions")
    assert transactions == result.posted + ACCOUNTS


def test_balance_after_each_entry_is_the_running_sum(books: Database) -> None:
    load.run(books, "accounts", CLIENTS, load.transfers(20, ACCOUNTS, most=60))
    wrong = books.run(
        "reports",
        "SELECT * FROM (SELECT balance_after, sum(amount) OVER (PARTITION BY account_id, asset ORDER BY id)"
        " AS running FROM ledger.entries) AS s WHERE balance_after <> running",
    )
    assert wrong == []


def test_racing_withdrawals_never_pass_the_limit(books: Database) -> None:
    def withdraw(connection: psycopg.Connection, chance: random.Random) -> int:
        connection.execute(
            POST, arguments(f"{chance.random()}", [("a0", "USD", "-30"), ("house", "USD", "30")])
        )
        return 1

    result = load.run(books, "accounts", CLIENTS, withdraw)
    assert (result.posted, result.refused) == (3, Counter({"CheckViolation": CLIENTS - 3}))
    ((left,),) = books.run("reports", "SELECT amount FROM ledger.balances WHERE account_id = 'a0'")
    assert left == Decimal(10)


def test_racing_holds_never_pass_the_limit(books: Database) -> None:
    def hold(connection: psycopg.Connection, chance: random.Random) -> int:
        connection.execute("SELECT ledger.hold(%s, 'a0', 'USD', 30)", (f"{chance.random()}",))
        return 1

    result = load.run(books, "orders", CLIENTS, hold)
    assert (result.posted, result.refused) == (3, Counter({"CheckViolation": CLIENTS - 3}))
    assert discrepancies(books) == []


def test_racing_calls_with_one_key_post_once(books: Database) -> None:
    def pay(connection: psycopg.Connection, chance: random.Random) -> int:
        connection.execute(POST, arguments("once", [("a0", "USD", "-30"), ("a1", "USD", "30")]))
        return 1

    result = load.run(books, "accounts", CLIENTS, pay)
    assert (result.posted, result.refused) == (CLIENTS, Counter()), "all are told of the one that posted"
    ((left,),) = books.run("reports", "SELECT amount FROM ledger.balances WHERE account_id = 'a0'")
    assert left == Decimal(70)


def test_holds_settlements_and_releases_do_not_deadlock(books: Database) -> None:
    def trade(connection: psycopg.Connection, chance: random.Random) -> int:
        done = 0
        for _ in range(30):
            buyer, seller = (f"a{number}" for number in chance.sample(range(ACCOUNTS), 2))
            reference = f"{chance.getrandbits(64)}"
            try:
                row = connection.execute(
                    "SELECT ledger.hold(%s, %s, 'USD', 20)", (reference, buyer)
                ).fetchone()
                assert row
                if chance.random() < 0.3:
                    connection.execute("SELECT ledger.release(%s)", row)
                else:
                    lines = [(buyer, "USD", "-20"), (seller, "USD", "20")]
                    connection.execute(POST, arguments(reference, lines, [row[0]]))
                done += 1
            except errors.CheckViolation:
                pass
        return done

    result = load.run(books, "orders", CLIENTS, trade)
    assert result.refused == Counter()
    assert result.posted > CLIENTS
    assert discrepancies(books) == []
