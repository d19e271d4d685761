"""Lists the orders that clients were told are accepted, and that the database doesn't have.

After a failover with data loss, the idempotency table still answers "accepted" for orders whose rows were
lost with the tail that had not been replicated. Clients never send such an order again, so somebody must
decide what becomes of it: place it again from the snapshot (`operations/failover.py keep-snapshot`), or tell
the client. This command only reads.

    psql -c "\\copy (select account_id, client_order_id from orders.orders) to stdout csv" >orders.csv
    python -m operations.reconcile --orders-table TABLE --region REGION --orders orders.csv

It prints one line of JSON for each such order, with the answer that the client got.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3

Order = tuple[str, str]
"""The account, and the client's id of the order: the database has at most one such order."""


def accepted(items: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """The orders among the table's items that were answered with 2xx.

    Args:
        items: items as DynamoDB's `Scan` returns them (`functions/order_intake/idempotency.py`).
    """
    for item in items:
        status = item.get("status", {}).get("N", "")
        if item.get("state", {}).get("S") == "finished" and status.startswith("2"):
            order, _, caller = item["client_order_id"]["S"].partition("/")
            yield {
                "account_id": item["account_id"]["S"],
                "client_order_id": order,
                "caller": caller,
                "status": status,
                "answer": item.get("body", {}).get("S", ""),
            }


def missing(items: Iterable[Mapping[str, Any]], orders: Iterable[Order]) -> list[dict[str, str]]:
    """The accepted orders that are not in the database, in the order of their accounts."""
    known = set(orders)
    found = [one for one in accepted(items) if (one["account_id"], one["client_order_id"]) not in known]
    return sorted(found, key=lambda one: (one["account_id"], one["client_order_id"]))


def read_orders(path: Path) -> list[Order]:
    """The orders in a CSV file of two columns without a heading.

    Raises:
        ValueError: a line doesn't have two columns.
    """
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    for number, line in enumerate(lines, 1):
        if len(line) != 2:
            raise ValueError(f"{path}:{number}: has {len(line)} columns; give account_id,client_order_id")
    return [(account, order) for account, order in lines]


def scan(client: Any, table: str) -> Iterator[Mapping[str, Any]]:
    """All items of the table."""
    for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command. The exit status is 0 if no order is missing, 1 if one is, and 2 for a wrong file."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.reconcile",
        description=__doc__.split("\n", 1)[0] if __doc__ else None,
        allow_abbrev=False,
    )
    parser.add_argument("--orders-table", required=True, help="the stack's output ordersTable")
    parser.add_argument("--region", required=True, help="the region that has the writer")
    parser.add_argument("--orders", required=True, type=Path, help="CSV file of the database's orders")
    options = parser.parse_args(arguments)
    try:
        orders = read_orders(options.orders)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    session: Any = boto3.Session()
    found = missing(
        scan(session.client("dynamodb", region_name=options.region), options.orders_table), orders
    )
    for one in found:
        print(json.dumps(one))
    print(f"{len(found)} accepted orders are not in the database", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
