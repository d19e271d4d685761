"""No generated history of the order path loses, doubles or misreports an order (`make soak` tries more)."""

from __future__ import annotations

from tests.functions import soak


def test_histories() -> None:
    with soak.table():
        soak.run(60)
