"""`make soak`: generates histories of the order path for a time, and prints what they contained."""

# pyright: reportUnknownMemberType=false
from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from unittest import mock

import boto3
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from moto import mock_aws

from tests.functions import order_histories
from tests.functions.order_histories import Histories
from tests.functions.records import MOTO, create_table
from tests.soak import parser, rounds, show

ROUND = 100
"""Histories of a round."""


@contextmanager
def table() -> Generator[None]:
    """A DynamoDB table for all histories, which have an account each."""
    with mock.patch.dict(os.environ, MOTO), mock_aws():
        Histories.client = boto3.client("dynamodb")
        create_table(Histories.client)
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
    options = parser("tests.functions.soak", __doc__)
    options.add_argument("--no-shrink", action="store_true", help="print the first history that fails")
    chosen = options.parse_args()
    logging.disable(logging.CRITICAL)

    def play(seed: int) -> None:
        try:
            run(ROUND, seed=seed, shrink=not chosen.no_shrink)
        except BaseException as error:
            for note in getattr(error, "__notes__", []):
                print(note)
            raise

    with table():
        rounds(chosen, ROUND, play)
    show(order_histories.faults_seen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
