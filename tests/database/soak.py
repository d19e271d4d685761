"""`make soak`: generates histories of the ledger for a time, and prints how their transactions ended."""

from __future__ import annotations

import sys

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.database import histories
from tests.database.histories import Books, Step, books
from tests.database.server import running
from tests.soak import parser, rounds, show

ROUND = 200
"""Histories of a round. Each round has a new database, because the checks read all of it."""


def run(books: Books, count: int, *, seed: int | None = None) -> None:
    """Plays generated histories, and raises an error with the shortest one that fails.

    Without a seed, the histories are always the same.
    """
    failed: list[Step] = []

    @settings(
        max_examples=count,
        derandomize=seed is None,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.generate],  # `shorten` takes seconds, Hypothesis's own search minutes
        report_multiple_bugs=False,
    )
    @given(histories.histories())
    def play(steps: list[Step]) -> None:
        try:
            books.play(steps)
        except AssertionError:
            failed[:] = steps
            raise

    try:
        (play if seed is None else seeded(seed)(play))()
    except AssertionError:
        shorten(books, failed)
        raise


def shorten(books: Books, steps: list[Step]) -> None:
    """Leaves out one step after the other for as long as the history fails, and raises its error."""
    failure: AssertionError | None = None
    before = len(steps) + 1
    while len(steps) < before:
        before = len(steps)
        for index in reversed(range(len(steps))):
            shorter = steps[:index] + steps[index + 1 :]
            try:
                books.play(shorter)
            except AssertionError as error:
                steps, failure = shorter, error
    if failure:
        raise failure


def main() -> int:
    """Runs rounds until the time is over."""
    options = parser("tests.database.soak", __doc__).parse_args()
    with running() as server:
        template = server.create()
        result = template.migrate()
        assert result.succeeded, result.output

        def play(seed: int) -> None:
            database = server.create(template)
            with books(database) as opened:
                run(opened, ROUND, seed=seed)
            server.drop(database)

        rounds(options, ROUND, play)
    show(histories.seen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
