"""In no history is anything lost, doubled or posted to a blocked account (`make soak` tries more)."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from psycopg import errors

from tests.database import soak
from tests.database.histories import Begin, Books, Cancel, Do, End, Step, books
from tests.database.model import Block, Hold, Limit, Post, Release
from tests.database.server import DATABASE, MASTER, Database, Server

PAY = Post("pay", (("a", "USD", -5), ("house", "USD", 5)))
PAY_EUROS = Post("euros", (("a", "EUR", 5), ("house", "EUR", -5)))
PAY_OTHER_EUROS = Post("euros", (("a", "EUR", -5), ("b", "EUR", 5)))
SET_ASIDE = Hold("order", "a", "USD", 5)
SNAPSHOTS = ["REPEATABLE READ", "SERIALIZABLE"]


@pytest.fixture
def opened(database: Database) -> Generator[Books]:
    with books(database) as made:
        yield made


def answers(events: list[str], session: int) -> list[str]:
    """What a session's calls returned: the class of the error or the value."""
    start = f"session {session} gets "
    return [event.removeprefix(start).split(":")[0] for event in events if event.startswith(start)]


def test_histories(opened: Books) -> None:
    soak.run(opened, 80)


def test_histories_find_the_faults_of_the_first_schema(server: Server, tmp_path: Path) -> None:
    """If this fails, the histories have become too tame to mean anything."""
    folder = Path(shutil.copytree(DATABASE / "migrations", tmp_path / "migrations"))
    for path in sorted(folder.glob("*.sql"))[2:]:
        path.unlink()
    database = server.create()
    first = database.migrate(migrations=folder)
    assert first.succeeded, first.output
    with books(database) as made, pytest.raises(AssertionError, match="must not succeed"):
        soak.run(made, 80)
    server.drop(database)


@pytest.mark.parametrize("level", SNAPSHOTS)
@pytest.mark.parametrize("operation", [PAY, SET_ASIDE])
def test_transaction_that_waits_for_a_block_fails_in_a_snapshot(
    opened: Books, level: str, operation: Post | Hold
) -> None:
    events = opened.play(
        [Begin(0, "READ COMMITTED"), Do(0, Block("a", True)), Begin(1, level), Do(1, operation), End(0)]
    )
    assert answers(events, 1) == ["SerializationFailure"]


@pytest.mark.parametrize("operation", [PAY, SET_ASIDE])
def test_transaction_that_waits_for_a_block_is_refused_in_read_committed(
    opened: Books, operation: Post | Hold
) -> None:
    events = opened.play([Begin(0, "READ COMMITTED"), Do(0, Block("a", True)), Do(1, operation), End(0)])
    assert answers(events, 1) == ["CheckViolation"]


@pytest.mark.parametrize("level", SNAPSHOTS)
@pytest.mark.parametrize("operation", [PAY, SET_ASIDE])
def test_block_stops_a_transaction_with_an_older_snapshot(
    opened: Books, level: str, operation: Post | Hold
) -> None:
    events = opened.play([Begin(1, level, looks=True), Do(0, Block("a", True)), Do(1, operation)])
    assert answers(events, 1) == ["SerializationFailure"]


@pytest.mark.parametrize("level", SNAPSHOTS)
def test_block_waits_for_a_balance_that_is_being_added(opened: Books, level: str) -> None:
    """Otherwise nothing would stop the posting to the new balance."""
    steps: list[Step] = [Begin(0, level), Do(0, Limit("a", "EUR", 0)), Do(1, Block("a", True))]
    events = opened.play([*steps, Do(0, PAY_EUROS), End(0)])
    assert events.index("session 0 COMMIT") < events.index("session 1 COMMIT")


@pytest.mark.parametrize("level", SNAPSHOTS)
def test_block_with_an_older_snapshot_fails_rather_than_miss_a_balance(opened: Books, level: str) -> None:
    steps: list[Step] = [Begin(0, level, looks=True), Do(1, Limit("a", "EUR", 0))]
    events = opened.play(
        [*steps, Begin(2, level, looks=True), Do(0, Block("a", True)), End(0), Do(2, PAY_EUROS)]
    )
    assert answers(events, 0) == ["SerializationFailure"]


def test_balance_that_was_added_while_a_posting_waited_is_not_used_unlocked(opened: Books) -> None:
    """The posting waits for one balance while the other one, which it didn't find, is added and blocked."""
    opened.play(
        [
            Do(0, Limit("a", "EUR", -5)),
            Begin(0, "READ COMMITTED"),
            Do(0, Limit("a", "EUR", -5)),
            Do(1, PAY_OTHER_EUROS),
            Do(2, Limit("b", "EUR", 0)),
            Begin(2, "READ COMMITTED"),
            Do(2, Block("b", True)),
            End(0),
            End(2),
        ]
    )


def test_released_hold_is_not_placed_again(opened: Books) -> None:
    events = opened.play([Do(0, SET_ASIDE), Do(0, SET_ASIDE), Do(0, Release("order")), Do(0, SET_ASIDE)])
    assert answers(events, 0)[2:] == ["True", "UniqueViolation"]
    assert "was used for a hold that has been released: a new hold needs a new reference" in "".join(events)


@pytest.mark.parametrize("level", SNAPSHOTS)
def test_hold_that_was_released_after_the_snapshot_is_not_returned(opened: Books, level: str) -> None:
    events = opened.play(
        [Do(0, SET_ASIDE), Begin(1, level, looks=True), Do(0, Release("order")), Do(1, SET_ASIDE)]
    )
    assert answers(events, 1) == ["SerializationFailure"]


def test_hold_is_kept_until_the_transaction_that_repeated_it_ends(opened: Books) -> None:
    events = opened.play(
        [Do(0, SET_ASIDE), Begin(1, "READ COMMITTED"), Do(1, SET_ASIDE), Do(0, Release("order")), End(1)]
    )
    assert events.index("session 1 COMMIT") < events.index("session 0 gets True")


def test_posting_that_its_client_cancels_leaves_nothing(opened: Books) -> None:
    events = opened.play([Begin(0, "READ COMMITTED"), Do(0, PAY), Do(1, SET_ASIDE), Cancel(1), End(0)])
    assert answers(events, 1) == ["QueryCanceled"]


def test_assets_do_not_lose_decimals(opened: Books) -> None:
    """Postings read them without a lock."""
    with opened.database.connect(MASTER) as owner:
        owner.execute("SET ROLE trading_owner")
        owner.execute("UPDATE ledger.assets SET decimals = 3 WHERE code = 'USD'")
        with pytest.raises(errors.CheckViolation, match="asset USD cannot go from 3 to 2 decimals"):
            owner.execute("UPDATE ledger.assets SET decimals = 2 WHERE code = 'USD'")
