"""How many transfers the ledger takes, and how many orders order intake does."""

from __future__ import annotations

import time

from functions.order_intake.gate import OrderGate
from functions.order_intake.handler import OrderIntake
from functions.order_intake.idempotency import Claim, IdempotencyStore
from functions.order_intake.order_service import OrderService
from functions.order_intake.validation import Order
from tests.database import load, server
from tests.database.ledger import add_assets, discrepancies, open_account, post
from tests.functions import soak
from tests.functions.order_histories import Context, Histories, order_event
from tests.functions.order_service_stub import OrderServiceStub
from tests.functions.records import TABLE


def ledger() -> None:
    """Measures transfers between few and between many accounts, on a PostgreSQL server with fsync."""
    with server.running(fsync="on") as started:
        for accounts in (8, 1000):
            database = started.create()
            if not (migrated := database.migrate()).succeeded:
                raise RuntimeError(migrated.output)
            add_assets(database)
            open_account(database, "house", kind="house", lowest=None)
            for number in range(accounts):
                open_account(database, f"a{number}")
            for first in range(0, accounts, 100):
                names = [f"a{index}" for index in range(first, min(first + 100, accounts))]
                lines = [
                    ("house", "USD", str(-1000 * len(names))),
                    *((name, "USD", "1000") for name in names),
                ]
                post(database, f"deposit-{first}", lines)
            result = load.run(database, "accounts", 16, load.transfers(500, accounts, most=100))
            title, rate = f"ledger, {accounts} accounts", result.posted / result.seconds
            print(f"{title:<24} {result.seconds:6.1f} s  {rate:.0f} transfers a second")
            print(
                f"  {result.posted} transfers by 16 clients, errors {dict(result.refused)}, "
                f"discrepancies {discrepancies(database)}",
                flush=True,
            )


def orders(count: int = 500) -> None:
    """Measures order intake with its records, in moto's table, against the same requests without records."""
    service = OrderServiceStub()
    rates: dict[str, float] = {}
    with soak.table():
        stores = {
            "with records": IdempotencyStore(Histories.client, TABLE),
            "without records": _NoRecords(Histories.client, TABLE),
        }
        for title, store in stores.items():
            gate = OrderGate(Histories.client, TABLE, "us-east-1", "us-east-1")
            intake = OrderIntake(store, gate, OrderService(service.url, "/readyz"), 5)
            start = time.perf_counter()
            for number in range(count):
                event = order_event(title.replace(" ", "-"), ("ann", f"c-{number}", "1"), f"req-{number}")
                assert intake.handle(event, Context(60_000))["statusCode"] == 201
            rates[title] = count / (time.perf_counter() - start)
            print(f"orders, {title:<16} {rates[title]:6.0f} a second", flush=True)
    service.stop()
    print(f"orders, with ÷ without   {rates['with records'] / rates['without records']:6.2f}", flush=True)


class _NoRecords(IdempotencyStore):
    def claim(self, order: Order, caller: str) -> Claim:
        return Claim(order, caller, "", first=True)

    def finish(self, claim: Claim, status: int, body: str) -> bool:
        return True
