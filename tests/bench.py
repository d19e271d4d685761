"""`make bench`: measures how long common commands take on the fixture stacks, from the first deployment on.

It only prints the times and checks nothing, because they depend on the machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.database import load, server
from tests.database.ledger import add_assets, discrepancies, open_account, post
from tests.engine.project import Project

COMMANDS: Sequence[tuple[str, Sequence[str]]] = (
    ("up of small (first)", ("up", "--stack", "small")),
    ("up of small (second)", ("up", "--stack", "small")),
    ("preview of small", ("preview", "--stack", "small")),
    ("preview of full", ("preview", "--stack", "full")),
    ("… without policies", ("preview", "--stack", "full", "--no-policies")),
    ("refresh of small", ("exec", "--", "pulumi", "refresh", "--stack", "small", "--yes", "--skip-preview")),
    ("down of small", ("down", "--stack", "small")),
)


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


def main() -> None:
    """Runs every command once in a separate sandbox, and measures the ledger."""
    ledger()
    with tempfile.TemporaryDirectory() as directory:
        project = Project.make(Path(directory))
        first = 0.0
        for title, command in COMMANDS:
            start = time.perf_counter()
            project.sandbox_command(*command)
            seconds = time.perf_counter() - start
            first = first or seconds
            print(f"{title:<24} {seconds:6.1f} s  {seconds / first:5.2f} of the first", flush=True)


if __name__ == "__main__":
    main()
