"""Generated histories of the ledger: a real PostgreSQL, whose sessions interleave their transactions.

A call that waits for a lock waits in a thread of its own, while the other sessions go on. The functions lock
what they read until the transaction ends. So the order of the commits must be a serial order: if the `model`
runs the committed calls one after the other in that order, they must give the same results. A transaction
that ends with one of the errors that callers have to expect leaves nothing.
"""

from __future__ import annotations

import copy
import itertools
import re
import time
import uuid
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from hypothesis import strategies as st
from psycopg import errors

from tests.database.ledger import POST, add_assets, arguments
from tests.database.model import (
    UNKNOWN,
    Balance,
    Block,
    Call,
    Hold,
    Ledger,
    Limit,
    Operation,
    Post,
    Refused,
    Release,
    Result,
)
from tests.database.server import Database

SESSIONS = 4
STEPS = 30
"""Most steps of a history. Those that the state of their session makes impossible are skipped."""
STUCK = 20.0
"""Seconds after which a call that neither ends nor waits counts as a failure."""
DEPOSIT = 10
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
EXPECTED = (
    errors.CheckViolation,
    errors.DeadlockDetected,
    errors.ForeignKeyViolation,
    errors.LockNotAvailable,
    errors.NoDataFound,
    errors.QueryCanceled,
    errors.SerializationFailure,
    errors.UniqueViolation,
)

seen: Counter[str] = Counter()
"""How transactions ended."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Begin:
    """A session begins a transaction, and takes its snapshot if it `looks`."""

    session: int
    level: str
    looks: bool = False


@dataclass(frozen=True)
class Do:
    """A session calls a function, in a transaction of its own if it has not begun one."""

    session: int
    operation: Operation


@dataclass(frozen=True)
class End:
    """A session ends its transaction."""

    session: int
    commits: bool = True


@dataclass(frozen=True)
class Cancel:
    """The client of a call that waits gives up."""

    session: int


Step = Begin | Do | End | Cancel


@dataclass
class _Transaction:
    level: str
    alone: bool
    """Whether no other transaction has been open at the same time."""
    ends_itself: bool = False
    tried: int = 0
    done: list[Call] = field(default_factory=list[Call])


class _Session:
    def __init__(self, database: Database, number: int) -> None:
        self.number = number
        self.connection = database.connect("accounts", autocommit=True)
        self.pid = self.connection.info.backend_pid
        self.thread = ThreadPoolExecutor(1)
        self.transaction: _Transaction | None = None
        self.call: tuple[Call, Future[Result]] | None = None

    def close(self) -> None:
        self.connection.cancel_safe()
        self.thread.shutdown()
        self.connection.close()


class Books:
    """A database with sessions, for one history after the other, each with accounts of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.monitor = database.connect("root", autocommit=True)
        self.sessions = [_Session(database, number) for number in range(SESSIONS)]

    def play(self, steps: Sequence[Step]) -> list[str]:
        """Plays a history to its end, and returns what happened.

        Raises:
            AssertionError: something happened that must not, with all that happened before.
        """
        history = _History(self)
        try:
            for step in steps:
                history.take(step)
            history.end()
        except AssertionError as failure:
            raise AssertionError("\n".join([*history.events, f"=> {failure}"])) from failure
        finally:
            history.abandon()
        return history.events


@contextmanager
def books(database: Database) -> Generator[Books]:
    """Opens the sessions of a new database."""
    add_assets(database)
    # Only a superuser may set it. Histories with a deadlock wait for it.
    database.run("root", f"ALTER DATABASE {database.name} SET deadlock_timeout = '10ms'")
    made = Books(database)
    try:
        yield made
    finally:
        for session in made.sessions:
            session.close()
        made.monitor.close()


class _History:
    def __init__(self, books: Books) -> None:
        self.books = books
        self.prefix = f"h{next(_numbers)}-"
        self.events: list[str] = []
        self.ids: dict[str, uuid.UUID] = {}
        """Reference → ID of the hold, as the last call returned it."""
        self.model = Ledger(
            {
                ("a", "USD"): Balance(0, DEPOSIT),
                ("b", "USD"): Balance(0, DEPOSIT),
                ("house", "USD"): Balance(None, -2 * DEPOSIT),
                ("house", "EUR"): Balance(None),
            }
        )
        connection = books.sessions[0].connection
        with connection.transaction():
            for account, asset in self.model.balances:
                kind = "house" if account == "house" else "customer"
                lowest = self.model.balances[account, asset].lowest
                name = self.prefix + account
                connection.execute(
                    "SELECT ledger.open_account(%s, %s, 'holder'), ledger.set_limit(%s, %s, %s)",
                    (name, kind, name, asset, lowest),
                )
            lines = [
                (self.prefix + account, "USD", str(balance.amount))
                for (account, asset), balance in self.model.balances.items()
                if asset == "USD"
            ]
            row = connection.execute(POST, arguments(f"{self.prefix}deposit", lines)).fetchone()
            assert row
            self.deposit = row[0]

    # -- what happens ------------------------------------------------------------------------------

    def take(self, step: Step) -> None:
        """Takes a step, unless the session's state makes it impossible."""
        session = self.books.sessions[step.session]
        if isinstance(step, Begin):
            if not session.transaction:
                self._begin(session, step)
        elif isinstance(step, Do):
            if not session.call:
                self._call(session, step.operation)
        elif isinstance(step, End):
            if session.transaction and not session.call:
                self._end(session, commits=step.commits)
        elif session.call:
            self._event(session, "is cancelled")
            self.books.monitor.execute("SELECT pg_cancel_backend(%s)", (session.pid,))
            wait([session.call[1]], STUCK)
        self._settle()

    def end(self) -> None:
        """Commits what is open, and compares the tables with the model."""
        while open_ := [s for s in self.books.sessions if s.transaction]:
            idle = [session for session in open_ if not session.call]
            assert idle, "every transaction waits"
            self._end(idle[0], commits=True)
            self._settle()
        self._compare()

    def abandon(self) -> None:
        """Leaves the sessions without a transaction, also after a failure."""
        for session in self.books.sessions:
            if session.call:
                self.books.monitor.execute("SELECT pg_cancel_backend(%s)", (session.pid,))
                wait([session.call[1]], STUCK)
            if session.transaction:
                session.connection.execute("ROLLBACK")
            session.call = session.transaction = None

    # -- how it happens ----------------------------------------------------------------------------

    def _event(self, session: _Session, text: str) -> None:
        self.events.append(f"session {session.number} {text}")

    def _begin(self, session: _Session, step: Begin) -> _Transaction:
        others = [s.transaction for s in self.books.sessions if s.transaction]
        for other in others:
            other.alone = False
        session.transaction = _Transaction(step.level, alone=not others)
        session.connection.execute(f"BEGIN ISOLATION LEVEL {step.level}".encode())
        if step.looks:
            session.connection.execute("SELECT 1")
        self._event(session, f"begins in {step.level}{' and takes its snapshot' if step.looks else ''}")
        return session.transaction

    def _call(self, session: _Session, operation: Operation) -> None:
        transaction = session.transaction
        if not transaction:
            transaction = self._begin(session, Begin(session.number, LEVELS[0]))
            transaction.ends_itself = True
        transaction.tried += 1
        references: tuple[str, ...] = ()
        if isinstance(operation, Post):
            references = operation.holds
        elif isinstance(operation, Release):
            references = (operation.reference,)
        call = Call(operation, tuple(self.ids.get(reference, UNKNOWN) for reference in references))
        statement, parameters = self._sql(call)

        def execute() -> Result:
            row = session.connection.execute(statement.encode(), parameters).fetchone()
            assert row
            return None if row[0] == "" else row[0]  # `void` is an empty text

        self._event(session, f"calls {operation}")
        session.call = call, session.thread.submit(execute)

    def _sql(self, call: Call) -> tuple[str, tuple[Any, ...]]:
        operation, prefix = call.operation, self.prefix
        if isinstance(operation, Post):
            lines = [(prefix + account, asset, str(amount)) for account, asset, amount in operation.lines]
            return POST, arguments(prefix + operation.key, lines, call.ids)
        if isinstance(operation, Hold):
            values = prefix + operation.reference, prefix + operation.account, operation.asset
            return "SELECT ledger.hold(%s, %s, %s, %s)", (*values, operation.amount)
        if isinstance(operation, Release):
            return "SELECT ledger.release(%s)", call.ids
        if isinstance(operation, Block):
            return "SELECT ledger.block(%s, %s)", (prefix + operation.account, operation.blocked)
        values = prefix + operation.account, operation.asset, operation.lowest
        return "SELECT ledger.set_limit(%s, %s, %s)", values

    def _settle(self) -> None:
        """Returns once each call has ended or waits for a transaction that only a further step can end."""
        latest = time.monotonic() + STUCK
        while True:
            for session in self.books.sessions:
                if session.call and session.call[1].done():
                    self._finish(session)
            running = {s.pid: s.call[1] for s in self.books.sessions if s.call}
            if not running:
                return
            wait(running.values(), 0.002, FIRST_COMPLETED)
            if not any(future.done() for future in running.values()) and self._wait_for_a_step(list(running)):
                return
            assert time.monotonic() < latest, "a call neither ends nor waits"

    def _wait_for_a_step(self, pids: list[int]) -> bool:
        rows = self.books.monitor.execute(
            "SELECT pid, pg_blocking_pids(pid) FROM unnest(%s::int[]) AS pid", (pids,)
        ).fetchall()
        left: dict[int, set[int]] = {pid: set(blockers) for pid, blockers in rows}
        if not all(left.values()):
            return False
        # A deadlock ends by itself. Without one, no call is left once those that don't wait for others are
        # removed.
        while free := [pid for pid, blockers in left.items() if not blockers & left.keys()]:
            for pid in free:
                del left[pid]
        return not left

    def _finish(self, session: _Session) -> None:
        assert session.call
        assert session.transaction
        (call, future), transaction = session.call, session.transaction
        session.call = None
        try:
            result = future.result()
        except EXPECTED as error:
            self._event(session, f"gets {type(error).__name__}: {error.diag.message_primary}")
            seen[f"{transaction.level}: {type(error).__name__}"] += 1
            self._may_fail(transaction, call, error)
            self._close(session, "ROLLBACK")
            return
        except psycopg.Error as error:
            raise AssertionError(f"session {session.number} gets {error!r}") from error
        self._event(session, f"gets {result}")
        if isinstance(call.operation, Hold):
            assert isinstance(result, uuid.UUID)
            self.ids[call.operation.reference] = result
        transaction.done.append(Call(call.operation, call.ids, result))
        if transaction.ends_itself:
            self._end(session, commits=True)

    def _end(self, session: _Session, *, commits: bool) -> None:
        assert session.transaction
        transaction = session.transaction
        try:
            self._close(session, "COMMIT" if commits else "ROLLBACK")
        except errors.SerializationFailure as error:
            self._event(session, "cannot commit")
            seen[f"{transaction.level}: {type(error).__name__} at COMMIT"] += 1
            assert transaction.level == "SERIALIZABLE"
            return
        if not commits:
            return
        seen[f"{transaction.level}: committed"] += 1
        for call in transaction.done:
            try:
                self.model.apply(call)
            except Refused as refused:
                raise AssertionError(f"{call.operation} must not succeed: {refused}") from refused

    def _close(self, session: _Session, statement: str) -> None:
        session.transaction = None
        self._event(session, statement)
        session.connection.execute(statement.encode())

    # -- what must hold ----------------------------------------------------------------------------

    def _may_fail(self, transaction: _Transaction, call: Call, error: psycopg.Error) -> None:
        """Some errors are only allowed under some conditions."""
        if isinstance(error, errors.SerializationFailure):
            assert transaction.level != "READ COMMITTED", error
        elif isinstance(error, errors.DeadlockDetected):
            pids = {int(pid) for pid in re.findall(r"Process (\d+)", error.diag.message_detail or "")}
            others = [s.transaction for s in self.books.sessions if s.pid in pids and s.transaction]
            assert any(other.tried > 1 for other in others), "calls of one each must not lock each other out"
        elif transaction.alone and not isinstance(error, errors.QueryCanceled):
            alone = copy.deepcopy(self.model)
            for done in transaction.done:
                alone.apply(done)
            new = Call(call.operation, call.ids, uuid.uuid4())
            try:
                alone.apply(new)
            except Refused as refused:
                if refused.error != type(error).__name__:
                    raise AssertionError(f"{refused} is the reason, not {error!r}") from error
            except AssertionError:
                raise AssertionError(f"{call.operation} must return a result: {error!r}") from error
            else:
                raise AssertionError(f"{call.operation} must succeed: {error!r}")

    def _compare(self) -> None:
        assert self.books.monitor.execute("SELECT * FROM ledger.discrepancies").fetchall() == []
        assert self._rows("balances", "account_id, asset, amount, held, lowest") == {
            (self.prefix + account, asset, balance.amount, balance.held, balance.lowest)
            for (account, asset), balance in self.model.balances.items()
        }
        blocked = {(self.prefix + account, account in self.model.blocked) for account in ("a", "b", "house")}
        assert self._rows("accounts", "id, blocked") == blocked
        assert self._rows("holds", "reference, id, released_at IS NOT NULL") == {
            (self.prefix + held.hold.reference, known, held.released)
            for known, held in self.model.holds.items()
        }
        posted = {(self.prefix + key, known) for key, (known, *_) in self.model.posts.items()}
        posted.add((f"{self.prefix}deposit", self.deposit))
        assert self._rows("transactions", "idempotency_key, id") == posted

    def _rows(self, table: str, columns: str) -> set[tuple[Any, ...]]:
        name = columns.split(",")[0]
        statement = f"SELECT {columns} FROM ledger.{table} WHERE starts_with({name}, %s)"
        return set(self.books.monitor.execute(statement.encode(), (self.prefix,)).fetchall())


_assets = st.sampled_from(["USD", "USD", "USD", "USD", "EUR"])
_customers = st.sampled_from(["a", "a", "b"])
_amounts = st.integers(1, DEPOSIT // 2)
_references = st.sampled_from(["r0", "r0", "r1"])


@st.composite
def _posts(draw: st.DrawFn, key: str) -> Post:
    """A transfer, sometimes against one of another asset, which sometimes uses up a hold."""
    payer, payee = draw(st.permutations(["a", "b", "house"]))[:2]
    asset, amount = draw(_assets), draw(_amounts)
    lines = [(payer, asset, -amount), (payee, asset, amount)]
    if draw(st.sampled_from([False, False, False, True])):
        other = "USD" if asset == "EUR" else "EUR"
        lines += [(payer, other, amount), (payee, other, -amount)]
    holds = draw(st.sampled_from([(), (), ("r0",), ("r1",), ("r1", "r0")]))
    return Post(key, tuple(lines), holds)


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Steps of which many repeat earlier ones or compete with them: accounts, keys and references are few."""
    sessions = st.integers(0, draw(st.integers(1, SESSIONS - 1)))
    posts = [draw(_posts(key)) for key in ("k0", "k1", "k2", "k2")]
    holds = [
        Hold(reference, draw(_customers), draw(_assets), draw(_amounts)) for reference in ("r0", "r1", "r1")
    ]
    operations: st.SearchStrategy[Operation] = st.one_of(
        st.sampled_from(posts),
        st.sampled_from(holds),
        st.builds(Hold, st.just("r0"), st.just("a"), st.just("USD"), st.just(1)),
        st.builds(Release, _references),
        st.builds(Block, _customers, st.booleans()),
        st.builds(Limit, _customers, _assets, st.sampled_from([0, 0, -5])),
    )
    calls = st.builds(Do, sessions, operations)
    steps: st.SearchStrategy[Step] = st.one_of(
        st.builds(Cancel, sessions),
        st.builds(Begin, sessions, st.sampled_from(LEVELS), st.booleans()),
        st.builds(Begin, sessions, st.sampled_from(LEVELS[1:]), st.just(True)),
        *[calls] * 5,
        *[st.builds(End, sessions, st.sampled_from([True, True, True, False]))] * 2,
    )
    return draw(st.lists(steps, min_size=STEPS, max_size=STEPS))
