"""The ledger keeps its guarantees, whatever its callers do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.database.ledger import add_assets, balance, discrepancies, open_account, post
from tests.database.server import MASTER, Database


@pytest.fixture
def books(database: Database) -> Database:
    """A house account without a limit, and two customers with 100 USD each."""
    add_assets(database)
    open_account(database, "house", kind="house", lowest=None)
    for customer in ("alice", "bob"):
        open_account(database, customer)
        post(database, f"deposit-{customer}", [("house", "USD", "-100"), (customer, "USD", "100")])
    return database


def hold(database: Database, reference: str, account: str, amount: str) -> uuid.UUID:
    return database.run("orders", "SELECT ledger.hold(%s, %s, 'USD', %s)", reference, account, amount)[0][0]


def test_balances_are_the_sums_of_their_entries(books: Database) -> None:
    post(books, "t1", [("alice", "USD", "-30.25"), ("bob", "USD", "30.25")])
    assert [balance(books, name) for name in ("alice", "bob", "house")] == [
        Decimal("69.75"),
        Decimal("130.25"),
        Decimal(-200),
    ]
    after = books.run(
        "reports", "SELECT amount, balance_after FROM ledger.entries WHERE account_id = 'bob' ORDER BY id"
    )
    assert after == [(100, 100), (Decimal("30.25"), Decimal("130.25"))]
    assert discrepancies(books) == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([("alice", "USD", "-10"), ("bob", "USD", "9.99")], "does not balance: -0.01000000 USD too much"),
        ([("alice", "USD", "-10"), ("bob", "EUR", "10")], "does not balance"),
        ([("alice", "USD", "-10"), ("nobody", "USD", "10")], "account nobody does not hold USD"),
        ([("alice", "USD", "-0.001"), ("bob", "USD", "0.001")], "more decimals than USD has"),
        ([("alice", "USD", "NaN"), ("bob", "USD", "NaN")], "."),
        ([("alice", "USD", "0"), ("bob", "USD", "0")], "entries_amount_check"),
        ([("alice", "USD", "-5"), ("alice", "USD", "-5"), ("bob", "USD", "10")], "add them up"),
        ([("alice", "USD", "10")], "two entries or more"),
        ([("alice", "USD", "-100.01"), ("bob", "USD", "100.01")], "balance_within_limit"),
    ],
)
def test_wrong_transaction_is_refused_as_a_whole(
    books: Database, lines: Sequence[tuple[str, str, str]], message: str
) -> None:
    open_account(books, "bob", asset="EUR")
    with pytest.raises(psycopg.Error, match=message):
        post(books, "wrong", lines)
    assert [balance(books, name) for name in ("alice", "bob")] == [100, 100]
    assert books.run("reports", "SELECT FROM ledger.transactions WHERE idempotency_key = 'wrong'") == []
    assert discrepancies(books) == []


ENTRY = """
INSERT INTO ledger.entries (transaction_id, account_id, asset, amount, balance_after)
SELECT id, 'bob', 'USD', 5, 5 FROM ledger.transactions WHERE idempotency_key = 'deposit-alice'
"""
TRANSACTION = (
    "INSERT INTO ledger.transactions (source, idempotency_key, digest, kind) VALUES ('x', 'x', '', 'x')"
)


@pytest.mark.parametrize(
    ("statement", "message"), [(ENTRY, "does not balance"), (TRANSACTION, "has no entries")]
)
def test_what_comes_in_another_way_must_balance_too(books: Database, statement: str, message: str) -> None:
    """Even the owner's entries are checked when the transaction ends."""
    with books.connect(MASTER) as owner:
        owner.execute("SET ROLE trading_owner")
        owner.execute(statement.encode())
        with pytest.raises(errors.CheckViolation, match=message):
            owner.commit()


@pytest.mark.parametrize("table", ["ledger.entries", "ledger.transactions", "orders.events"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "TRUNCATE {} CASCADE", "UPDATE {} SET id = DEFAULT"])
def test_history_is_append_only_for_its_owner_too(books: Database, table: str, change: str) -> None:
    with books.connect(MASTER) as owner:
        owner.execute("SET ROLE trading_owner")
        with pytest.raises(errors.InsufficientPrivilege, match="is append-only"):
            owner.execute(change.format(table).encode())


def test_same_posting_again_is_the_same_transaction(books: Database) -> None:
    lines = [("alice", "USD", "-10"), ("bob", "USD", "10")]
    again = [("alice", "USD", "-10.00"), ("bob", "USD", "10.0")]
    assert post(books, "once", lines) == post(books, "once", again)
    assert balance(books, "alice") == 90
    assert discrepancies(books) == []


def test_key_is_good_for_one_request_of_one_service(books: Database) -> None:
    post(books, "key", [("alice", "USD", "-10"), ("bob", "USD", "10")])
    with pytest.raises(errors.UniqueViolation, match="idempotency key key was used for another transaction"):
        post(books, "key", [("alice", "USD", "-11"), ("bob", "USD", "11")])
    post(books, "key", [("alice", "USD", "-11"), ("bob", "USD", "11")], user="orders")
    assert balance(books, "alice") == 79


def test_what_is_held_cannot_be_spent_otherwise(books: Database) -> None:
    held = hold(books, "order-1", "alice", "80")
    with pytest.raises(errors.CheckViolation, match="balance_within_limit"):
        post(books, "t1", [("alice", "USD", "-30"), ("bob", "USD", "30")])
    with pytest.raises(errors.CheckViolation, match="balance_within_limit"):
        hold(books, "order-2", "alice", "30")
    post(books, "t1", [("alice", "USD", "-70"), ("bob", "USD", "70")], holds=[held])
    rows = books.run("reports", "SELECT amount, held FROM ledger.balances WHERE account_id = 'alice'")
    assert rows == [(30, 0)]
    assert discrepancies(books) == []


def test_hold_is_placed_once_and_released_once(books: Database) -> None:
    held = hold(books, "order-1", "alice", "80")
    assert hold(books, "order-1", "alice", "80.00") == held
    with pytest.raises(errors.UniqueViolation, match="another hold"):
        hold(books, "order-1", "alice", "70")
    assert books.run("orders", "SELECT ledger.release(%s)", held) == [(True,)]
    assert books.run("orders", "SELECT ledger.release(%s)", held) == [(False,)]
    with pytest.raises(errors.CheckViolation, match="unknown or released already"):
        post(books, "t1", [("alice", "USD", "-70"), ("bob", "USD", "70")], holds=[held])
    assert discrepancies(books) == []


@pytest.mark.parametrize(
    ("asset", "amount"), [("USD", "0.001"), ("USD", "-1"), ("EUR", "1"), ("USD", "100.01")]
)
def test_wrong_hold_is_refused(books: Database, asset: str, amount: str) -> None:
    with pytest.raises(errors.IntegrityError):
        books.run("orders", "SELECT ledger.hold('order-1', 'alice', %s, %s)", asset, amount)
    assert books.run("reports", "SELECT FROM ledger.holds") == []


def test_blocked_account_takes_no_posting_and_no_hold(books: Database) -> None:
    books.run("accounts", "SELECT ledger.block('alice', true)")
    with pytest.raises(errors.CheckViolation, match="account alice is blocked"):
        post(books, "t1", [("bob", "USD", "-1"), ("alice", "USD", "1")])
    with pytest.raises(errors.CheckViolation, match="account alice is blocked"):
        hold(books, "order-1", "alice", "1")
    books.run("accounts", "SELECT ledger.block('alice', false)")
    post(books, "t1", [("bob", "USD", "-1"), ("alice", "USD", "1")])


def test_limit_is_a_credit_line_and_not_set_above_the_balance(books: Database) -> None:
    books.run("accounts", "SELECT ledger.set_limit('alice', 'USD', -50)")
    post(books, "t1", [("alice", "USD", "-150"), ("bob", "USD", "150")])
    with pytest.raises(errors.CheckViolation, match="balance_within_limit"):
        books.run("accounts", "SELECT ledger.set_limit('alice', 'USD', 0)")


def order(database: Database, **columns: Any) -> uuid.UUID:
    values = {
        "account_id": "alice",
        "client_order_id": uuid.uuid4().hex,
        "symbol": "ACME",
        "side": "buy",
        "type": "limit",
        "quantity": 10,
        "limit_price": "12.5",
        **columns,
    }
    into, given = ", ".join(values), ", ".join(["%s"] * len(values))
    statement = f"INSERT INTO orders.orders ({into}) VALUES ({given}) RETURNING id"
    return database.run("orders", statement, *values.values())[0][0]


def move(database: Database, identifier: uuid.UUID, state: str, filled: int = 0) -> None:
    database.run(
        "orders", "UPDATE orders.orders SET state = %s, filled = %s WHERE id = %s", state, filled, identifier
    )


def test_order_goes_through_its_states_and_leaves_a_history(books: Database) -> None:
    identifier = order(books)
    for state, filled in (("open", 0), ("partially_filled", 4), ("partially_filled", 7), ("filled", 10)):
        move(books, identifier, state, filled)
    history = books.run(
        "orders", "SELECT state, filled, by FROM orders.events WHERE order_id = %s ORDER BY id", identifier
    )
    assert [(state, int(filled)) for state, filled, _ in history] == [
        ("pending", 0),
        ("open", 0),
        ("partially_filled", 4),
        ("partially_filled", 7),
        ("filled", 10),
    ]
    assert {by for *_, by in history} == {"orders"}


def test_every_illegal_transition_is_refused(books: Database) -> None:
    """Of all pairs of states, only the transitions that `orders.transitions` lists are possible."""
    legal = {
        "pending": {"open", "partially_filled", "filled", "cancelled", "rejected"},
        "open": {"partially_filled", "filled", "cancelled", "expired"},
        "partially_filled": {"filled", "cancelled", "expired"},
    }
    filled = {"partially_filled": 5, "filled": 10}
    states = [name for (name,) in books.run("orders", "SELECT name FROM orders.states")]
    assert len(states) == 7
    for before in states:
        for after in set(states) - {before}:
            identifier = order(books)
            for step in {"expired": ["open", "expired"], "pending": []}.get(before, [before]):
                move(books, identifier, step, filled.get(step, 0))
            if after in legal.get(before, ()):
                move(books, identifier, after, max(filled.get(after, 0), filled.get(before, 0)))
            else:
                with pytest.raises(errors.CheckViolation, match=r"cannot go from|is final"):
                    move(books, identifier, after, max(filled.get(after, 0), filled.get(before, 0)))


def test_filled_quantity_fits_the_state_and_never_shrinks(books: Database) -> None:
    identifier = order(books)
    move(books, identifier, "partially_filled", 5)
    with pytest.raises(errors.CheckViolation, match=r"has 5\.0+ filled already"):
        move(books, identifier, "partially_filled", 4)
    for state, filled in (("filled", 9), ("partially_filled", 10), ("cancelled", 11)):
        with pytest.raises(errors.CheckViolation, match="filled_fits_the_state"):
            move(books, identifier, state, filled)


@pytest.mark.parametrize(
    "columns",
    [
        {"type": "market"},
        {"limit_price": None},
        {"quantity": 0},
        {"side": "hold"},
        {"symbol": "NONE"},
        {"account_id": "nobody"},
    ],
)
def test_wrong_order_is_refused(books: Database, columns: dict[str, Any]) -> None:
    with pytest.raises(errors.IntegrityError):
        order(books, **columns)


def test_client_order_id_is_one_orders(books: Database) -> None:
    order(books, client_order_id="mine")
    with pytest.raises(errors.UniqueViolation, match="one_order_of_a_name"):
        order(books, client_order_id="mine")
