"""Calls the ledger's functions as the services do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tests.database.server import MASTER, Database

Line = tuple[str, str, str]
"""An account, an asset and an amount."""

POST = "SELECT ledger.post(%s, 'transfer', %s, %s, %s::numeric[], %s::uuid[])"


def add_assets(database: Database) -> None:
    """Adds assets, as a migration would."""
    with database.connect(MASTER) as connection:
        connection.execute("SET ROLE trading_owner")
        connection.execute(
            "INSERT INTO ledger.assets (code, kind, decimals)"
            " VALUES ('USD', 'currency', 2), ('EUR', 'currency', 2), ('ACME', 'instrument', 0)"
        )


def open_account(
    database: Database, name: str, *, kind: str = "customer", asset: str = "USD", lowest: int | None = 0
) -> None:
    """Opens an account that may hold an asset down to a limit."""
    database.run("accounts", "SELECT ledger.open_account(%s, %s, %s)", name, kind, f"holder of {name}")
    database.run("accounts", "SELECT ledger.set_limit(%s, %s, %s)", name, asset, lowest)


def arguments(key: str, lines: Sequence[Line], holds: Sequence[uuid.UUID] = ()) -> tuple[Any, ...]:
    """The parameters of `POST`."""
    accounts, assets, amounts = (list(column) for column in zip(*lines, strict=True))
    return key, accounts, assets, amounts, list(holds)


def post(
    database: Database,
    key: str,
    lines: Sequence[Line],
    *,
    holds: Sequence[uuid.UUID] = (),
    user: str = "accounts",
) -> uuid.UUID:
    """Posts one transaction."""
    return database.run(user, POST, *arguments(key, lines, holds))[0][0]


def balance(database: Database, account: str) -> Decimal:
    """The account's balance in USD."""
    statement = "SELECT amount FROM ledger.balances WHERE account_id = %s AND asset = 'USD'"
    return database.run("reports", statement, account)[0][0]


def discrepancies(database: Database) -> list[tuple[Any, ...]]:
    """The ledger's discrepancies; empty if the books balance."""
    return database.run("reports", "SELECT * FROM ledger.discrepancies")
