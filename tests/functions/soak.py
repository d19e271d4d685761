"""`make soak`: generates histories of the order path for a time, and prints what they contained.

Each round uses another seed, so that a soak finds what the fixed seed of `make test` doesn't.
"""

# pyright: reportUnknownMemberType=false
from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import boto3
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from moto import mock_aws

from tests.functions import order_histories
from tests.functions.order_histories import TABLE, Histories

ROUND = 100
"""Histories of a round."""


@contextmanager
def table() -> Generator[None]:
    """A DynamoDB table for all histories, which have an account each."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION="us-east-1"
    )
    names = ("account_id", "client_order_id")
    with mock_aws():
        Histories.client = boto3.client("dynamodb")
        Histories.client.create_table(
            TableName=TABLE,
            KeySchema=[
                {"AttributeName": name, "KeyType": kind}
                for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            BillingMode="PAY_PER_REQUEST",
        )
        yield


def run(count: int, *, seed: int | None = None, steps: int = 20, shrink: bool = True) -> None:
    """Runs generated histories, and raises an error with the shortest one that fails.

    Without a seed, the histories are always the same.
    """
    machine = type("Histories", (Histories,), {})
    if seed is not None:
        machine._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            derandomize=seed is None,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            phases=(Phase.generate, *((Phase.shrink,) if shrink else ())),
        ),
    )


def main() -> int:
    """Runs rounds until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.functions.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="to repeat a soak (default: a new one each time)"
    )
    parser.add_argument("--no-shrink", action="store_true", help="print the first history that fails")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    done, seed = 0, options.seed
    print(f"the first seed is {seed + 1}", flush=True)
    with table():
        while time.monotonic() - started < options.minutes * 60:
            seed += 1
            try:
                run(ROUND, seed=seed, shrink=not options.no_shrink)
            except BaseException as error:
                for note in getattr(error, "__notes__", []):
                    print(note)
                raise
            done += ROUND
            minutes = (time.monotonic() - started) / 60
            print(
                f"{done} histories in {minutes:.1f} min ({done / minutes:.0f} a minute), no violation",
                flush=True,
            )
    for fault, count in sorted(order_histories.faults_seen.items()):
        print(f"{count:8} {fault}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
