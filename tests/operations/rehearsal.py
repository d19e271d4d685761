"""Runs procedures against moto, whole and with an interruption after every call."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator
from moto import mock_aws

from account.question import READS, Client
from operations.procedure import DONE, Procedure, Runner
from tests.functions.records import MOTO

BOTO: Any = boto3
Factory = Callable[[str, str], Client]


class InterruptionError(Exception):
    """Raised in place of the response of a call that AWS has carried out: the program lost its connection."""


def client(service: str, region: str) -> Client:
    return BOTO.client(service, region_name=region)


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


def interrupting(factory: Factory, after: int) -> Factory:
    """Clients of which the one that makes the write with this number, from 0, is interrupted after it."""
    writes = 0

    def new(service: str, region: str) -> Client:
        made = factory(service, region)

        def count(model: Any, **_: object) -> None:
            nonlocal writes
            if model.name.startswith(READS):
                return
            writes += 1
            if writes == after + 1:
                raise InterruptionError(model.name)

        made.meta.events.register("after-call", count)
        return made

    return new


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
    seed: Callable[[], Procedure],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    factory: Factory = client,
    by_hand: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Interrupts the procedure after its first write, continues to the end, and yields; then the same with a
    new account and the second write, and so on. Ends after the run that has fewer writes.

    Args:
        seed: fills the account and returns the procedure.
        monkeypatch: sets the environment of the clients.
        folder: for the records.
        factory: makes clients.
        by_hand: does what the procedure asks of a person.
    """
    after = 0
    while True:
        with account(monkeypatch):
            procedure = seed()
            record = folder / f"{after}.jsonl"
            try:
                finish(procedure, record, interrupting(factory, after), by_hand)
            except InterruptionError:
                finish(procedure, record, factory, by_hand)
                yield after
            else:
                assert after, "the procedure writes nothing"
                return
        after += 1


def finish(
    procedure: Procedure, record: Path, factory: Factory = client, by_hand: Callable[[], None] = lambda: None
) -> None:
    """Runs the procedure until it is done, and does what it asks of a person."""
    for _ in procedure.steps:
        if run(procedure, record, factory) == DONE:
            return
        by_hand()
    assert run(procedure, record, factory) == DONE


def calls(record: Path) -> list[str]:
    """The calls in a record, such as `rds:DescribeDBClusters in us-east-1`."""
    return [call for line in record.read_text().splitlines() for call in json.loads(line)["calls"]]
