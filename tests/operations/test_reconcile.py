"""Orders that order intake has answered as accepted, and that the database has lost."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.order_intake.idempotency import Claim, IdempotencyStore
from functions.order_intake.validation import parse_order
from operations.reconcile import main
from tests.functions.records import TABLE, create_table
from tests.operations.rehearsal import account


def order(name: str) -> Any:
    body = {"account_id": "ann", "client_order_id": name, "symbol": "X", "side": "buy", "type": "limit"}
    return parse_order(json.dumps({**body, "quantity": "1", "limit_price": "2"}).encode(), "application/json")


@pytest.fixture
def orders_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A table with an accepted, a refused and a pending order, and the gate's item; and a CSV file."""
    with account(monkeypatch):
        client = boto3.client("dynamodb", region_name="eu-west-1")
        create_table(client)
        store = IdempotencyStore(client, TABLE)
        for name, status in (("kept", 201), ("lost", 201), ("refused", 422), ("pending", 0)):
            claim = store.claim(order(name), "user-1")
            assert isinstance(claim, Claim)
            if status:
                store.finish(claim, status, json.dumps({"order_id": name}))
        key = {"account_id": {"S": "#orders"}, "client_order_id": {"S": "#orders"}}
        client.put_item(TableName=TABLE, Item={**key, "region": {"S": "eu-west-1"}})
        yield tmp_path / "orders.csv"


def run(path: Path) -> int:
    return main(["--orders-table", TABLE, "--region", "eu-west-1", "--orders", str(path)])


def test_only_accepted_orders_that_the_database_lacks_are_listed(
    orders_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders_file.write_text("ann,kept\n")
    assert run(orders_file) == 1
    found = capsys.readouterr()
    assert [json.loads(line) for line in found.out.splitlines()] == [
        {
            "account_id": "ann",
            "client_order_id": "lost",
            "caller": "user-1",
            "status": "201",
            "answer": '{"order_id": "lost"}',
        }
    ]
    assert found.err == "1 accepted orders are not in the database\n"


def test_nothing_is_missing(orders_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders_file.write_text("ann,kept\nann,lost\nbob,other\n")
    assert run(orders_file) == 0
    assert capsys.readouterr().out == ""


def test_a_file_of_another_form_is_refused(orders_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders_file.write_text("ann,kept\nann\n")
    assert run(orders_file) == 2
    assert ":2: has 1 columns; give account_id,client_order_id" in capsys.readouterr().err
