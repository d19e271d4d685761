"""Many clients at once, each with its own connection."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from tests.database.ledger import POST, arguments
from tests.database.server import Database


@dataclass(frozen=True)
class Result:
    """The results of all clients."""

    posted: int
    refused: Counter[str]
    """Name of the error → how often it occurred."""
    seconds: float


def run(
    database: Database, user: str, clients: int, work: Callable[[psycopg.Connection, random.Random], int]
) -> Result:
    """Runs `work` in as many threads as there are clients, starting together.

    `work` returns how often it succeeded. Errors that it raises are counted by class name.
    """
    start = threading.Barrier(clients + 1)
    posted = [0] * clients
    refused: Counter[str] = Counter()

    def client(number: int) -> None:
        with database.connect(user, autocommit=True) as connection:
            start.wait()
            try:
                posted[number] = work(connection, random.Random(number))
            except psycopg.Error as error:
                refused[type(error).__name__] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return Result(sum(posted), refused, time.perf_counter() - began)


def transfers(number: int, accounts: int, most: int) -> Callable[[psycopg.Connection, random.Random], int]:
    """Work: random transfers between two to four of the accounts `a0`, `a1`, …; limits refuse some."""

    def work(connection: psycopg.Connection, chance: random.Random) -> int:
        posted = 0
        for _ in range(number):
            names = [f"a{index}" for index in chance.sample(range(accounts), chance.randint(2, 4))]
            amounts = [chance.randint(1, most) for _ in names[1:]]
            lines = [(names[0], "USD", str(-sum(amounts)))]
            lines += [(name, "USD", str(amount)) for name, amount in zip(names[1:], amounts, strict=True)]
            try:
                connection.execute(POST, arguments(f"{chance.getrandbits(64)}", lines))
                posted += 1
            except psycopg.errors.CheckViolation:
                pass
        return posted

    return work
