"""Runs procedures against moto, whole and with an interruption after every call."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import copy
import functools
import gc
import json
import os
import traceback
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.hooks import HierarchicalEmitter
from botocore.validate import ParamValidator
from moto import mock_aws

from account.question import READS, Client
from operations.procedure import DONE, Procedure, Runner
from tests.functions.records import MOTO

BOTO: Any = boto3.Session(MOTO["AWS_ACCESS_KEY_ID"], MOTO["AWS_SECRET_ACCESS_KEY"])
Factory = Callable[[str, str], Client]


class InterruptionError(Exception):
    """Raised in place of the response of a call that AWS has carried out: the program lost its connection."""


@functools.cache
def _made(service: str, region: str) -> Any:
    return BOTO.client(service, region_name=region)


class _Events:
    """The events of a shared client, with handlers of one copy of it."""

    def __init__(self, shared: Any) -> None:
        self._shared = shared
        self._own: Any = HierarchicalEmitter()
        self.register = self._own.register
        self.register_last = self._own.register_last

    def emit(self, name: str, **values: Any) -> list[Any]:
        return [*self._shared.emit(name, **values), *self._own.emit(name, **values)]

    def emit_until_response(self, name: str, **values: Any) -> tuple[Any, Any]:
        found = self._shared.emit_until_response(name, **values)
        return self._own.emit_until_response(name, **values) if found[1] is None else found


def client(service: str, region: str) -> Client:
    """A client with its own handlers of events. It is a copy, because making one takes longer than a call."""
    made: Any = _made(service, region)
    kind: type[Any] = made.__class__
    new: Any = object.__new__(kind)
    new.__dict__.update(made.__dict__)
    new.meta = copy.copy(made.meta)
    new.meta.events = _Events(made.meta.events)
    return new


def answering(answers: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]) -> Factory:
    """Clients for which functions answer the operations that moto lacks, by `rds:ModifyGlobalCluster`.

    The answers are validated against botocore's models.
    """

    def new(service: str, region: str) -> Client:
        made = client(service, region)
        asked: dict[str, Any] = {}

        def note(params: Mapping[str, Any], **_: object) -> None:
            asked.clear()
            asked.update(params)

        def answer(model: Any, **_: object) -> tuple[Any, dict[str, Any]] | None:
            found = answers.get(f"{service}:{model.name}")
            if found is None:
                return None
            response = found(asked)
            report = ParamValidator().validate(response, model.output_shape)
            assert not report.has_errors(), report.generate_report()
            return SimpleNamespace(status_code=200), response

        made.meta.events.register("before-parameter-build", note)
        # After the procedure's own handler, which the first answer would end.
        made.meta.events.register_last("before-call", answer)
        return made

    return new


def after_every_write(factory: Factory, do: Callable[[str, int], None]) -> Factory:
    """Clients that call a function after every write, with the operation and the write's number, from 0."""
    writes = 0

    def new(service: str, region: str) -> Client:
        made = factory(service, region)

        def count(model: Any, **_: object) -> None:
            nonlocal writes
            if not model.name.startswith(READS):
                writes += 1
                do(model.name, writes - 1)

        made.meta.events.register("after-call", count)
        return made

    return new


def interrupting(factory: Factory, after: int) -> Factory:
    """Clients of which the one that makes the write with this number, from 0, is interrupted after it."""

    def interrupt(operation: str, number: int) -> None:
        if number == after:
            raise InterruptionError(operation)

    return after_every_write(factory, interrupt)


@contextmanager
def account(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """moto's empty account."""
    for name, value in MOTO.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield


def run(
    procedure: Procedure,
    record: Path,
    factory: Factory = client,
    *,
    confirmed: str | None = None,
    said: list[str] | None = None,
) -> int:
    """Runs the procedure with a confirmation in advance and without waiting."""
    lines = [] if said is None else said
    return Runner(
        procedure,
        factory,
        record,
        confirmed=procedure.stack if confirmed is None else confirmed,
        say=lines.append,
        sleep=lambda _: None,
    ).run()


def continued_after_every_interruption(
    procedure: Procedure,
    check: Callable[[], None],
    folder: Path,
    factory: Factory = client,
    by_hand: Callable[[], None] = lambda: None,
) -> int:
    """Runs a procedure to its end. After each write, a copy of this process, with its moto account, takes the
    place of a run that is interrupted there: it starts the procedure again.

    Args:
        procedure: what to run.
        check: checks the account at the end of the run and of every copy. If the last step is a person's, the
            copies end before it.
        folder: for the records.
        factory: makes clients.
        by_hand: does what the procedure asks of a person.

    Returns:
        The number of writes.
    """
    number = -1

    def interrupt(operation: str, write: int) -> None:
        nonlocal number
        number = write
        if not _is_original():
            raise InterruptionError(operation)

    try:
        finish(procedure, folder / "record.jsonl", after_every_write(factory, interrupt), by_hand)
    except InterruptionError:
        # This is a copy, which must not return to the test.
        status = 1
        try:
            finish(procedure, folder / f"{number}.jsonl", factory, by_hand, ends_by_hand=False)
            check()
            status = 0
        except BaseException:
            os.write(2, f"interrupted after write {number}:\n{traceback.format_exc()}".encode())
        finally:
            os._exit(status)
    check()
    return number + 1


def _is_original() -> bool:
    """Copies this process, and waits for the copy.

    Returns:
        False in the copy.

    Raises:
        AssertionError: the copy has failed, and has written why to the standard error stream.
    """
    with warnings.catch_warnings():
        # Python 3.12 warns of threads, and pytest-xdist has one. It has none of the locks that a copy needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        copied = os.fork()
    if not copied:
        gc.disable()  # it would copy the whole memory
        return False
    _, status = os.waitpid(copied, 0)
    assert status == 0, "see the standard error stream"
    return True


def finish(
    procedure: Procedure,
    record: Path,
    factory: Factory = client,
    by_hand: Callable[[], None] = lambda: None,
    *,
    ends_by_hand: bool = True,
) -> None:
    """Runs the procedure until it is done, and does what it asks of a person.

    Without `ends_by_hand`, it leaves out the last step if that is a person's.
    """
    for _ in procedure.steps:
        if run(procedure, record, factory) == DONE:
            return
        if not ends_by_hand and steps(record)[-1] == procedure.steps[-1].title:
            return
        by_hand()
    assert run(procedure, record, factory) == DONE


def steps(record: Path) -> list[str]:
    """The titles of the steps in a record."""
    return [json.loads(line)["step"] for line in record.read_text().splitlines()]


def calls(record: Path) -> list[str]:
    """The calls in a record, such as `rds:DescribeDBClusters in us-east-1`."""
    return [call for line in record.read_text().splitlines() for call in json.loads(line)["calls"]]
