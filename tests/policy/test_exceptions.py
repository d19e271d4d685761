"""An exception covers only what it names, and only until it expires. Unused exceptions are refused."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from policy import exceptions
from policy.exceptions import ExceptionsError, RuleException, ended, judged
from policy.rule import Resource, Stack
from policy.rules import NAMES
from tests.account import bootstrap
from tests.policy.stacks import TODAY, USERS_FILES, all_findings, stack_of, unneeded, users_graph
from tests.policy.states import state_of, whole, with_children
from tests.policy.test_rules import resource
from tests.unit.harness import STACKS, platforms_with_everything

LAST_DAY = datetime.date(2026, 12, 31)
NEXT_DAY = datetime.date(2027, 1, 1)
RULE = "rds-cluster-is-encrypted"
TYPES = "trading:tier:Database$aws:rds/cluster:Cluster"
ENTRY = RuleException(
    rule=RULE,
    resources=[f"{TYPES}::database-*"],
    reason="there is a good reason for it",
    owner="team-data",
    expires=LAST_DAY,
)


def cluster(name: str, types: str = TYPES, *, is_production: bool = True) -> Resource:
    """A resource with a name, below parents of these types."""
    it = resource(types.rsplit("$", 1)[-1], name=name, is_production=is_production)
    return replace(it, urn=f"urn:pulumi:dev::trading::{types}::{name}")


@pytest.mark.parametrize(
    ("rule", "name", "today", "expected"),
    [
        (RULE, "database-us-east-1", LAST_DAY, None),
        (RULE, "database-us-east-1", NEXT_DAY, "wrong (team-data's exception expired on 2026-12-31)"),
        (RULE, "cache-us-east-1", LAST_DAY, "wrong"),
        ("key-is-rotated", "database-us-east-1", LAST_DAY, "wrong"),
    ],
)
def test_exception_holds_for_its_rule_and_resources_until_it_ends(
    rule: str, name: str, today: datetime.date, expected: str | None
) -> None:
    assert judged([ENTRY], rule, cluster(name), "wrong", today) == expected


@pytest.mark.parametrize(
    "types",
    [
        "aws:rds/cluster:Cluster",
        "trading:tier:Cache$aws:rds/cluster:Cluster",
        "trading:tier:Database$trading:tier:Other$aws:rds/cluster:Cluster",
        "other:tier:Database$aws:rds/cluster:Cluster",
        "trading:tier:Database$aws:s3/bucket:Bucket",
        "trading:tier:Database$aws:docdb/cluster:Cluster",
    ],
)
def test_name_alone_excepts_nothing(types: str) -> None:
    """Anybody can give a resource of another type, or elsewhere in the program, a name that is excepted."""
    assert not ENTRY.covers(RULE, cluster("database-us-east-1", types))


@pytest.mark.parametrize("name", ["Database-x", " database-x", "x-database-", "database", "database -x"])
def test_another_spelling_of_a_name_excepts_nothing(name: str) -> None:
    assert not ENTRY.covers(RULE, cluster(name))


@pytest.mark.parametrize(("narrowed", "holds_in"), [(None, [True, False]), (True, [True]), (False, [False])])
def test_exception_can_be_for_production_alone_or_for_all_else(
    narrowed: bool | None, holds_in: list[bool]
) -> None:
    entry = ENTRY.model_copy(update={"production": narrowed})
    found = [
        is_production
        for is_production in (True, False)
        if entry.covers(RULE, cluster("database-us-east-1", is_production=is_production))
    ]
    assert found == holds_in


def test_ended_entry_is_named() -> None:
    assert ended([ENTRY], LAST_DAY) == []
    assert ended([ENTRY], NEXT_DAY) == [
        "exceptions.yaml: exceptions[0] (rds-cluster-is-encrypted, "
        "trading:tier:Database$aws:rds/cluster:Cluster::database-*) expired on 2026-12-31: "
        "team-data must fix the resources and delete the entry, or renew it"
    ]


def test_no_committed_entry_has_ended() -> None:
    assert ended(exceptions.load(), TODAY) == []


def _others() -> Iterator[Stack]:
    """The small stack with images by tag, the project that prepares an account, and the stacks of the stack
    files."""
    yield stack_of(bootstrap.graph())
    small = platforms_with_everything()["trading-small"]
    yield with_children(small, state_of(small))
    yield from map(stack_of, map(users_graph, USERS_FILES))


def test_every_committed_entry_is_needed() -> None:
    """Each pattern covers something that a rule finds in a fixture stack or in one of the stack files.

    For Checkov's checks see `test_checkov.py`.
    """
    stacks = itertools.chain(map(whole, STACKS), _others())
    found = ([(rule, it) for rule, it, _ in all_findings(stack)] for stack in stacks)
    entries = [entry for entry in exceptions.load(known_rules=NAMES) if entry.rule in NAMES]
    assert unneeded(entries, found) == [], "nothing is found there any more: delete it"


def test_exception_for_one_stack_is_needed_there_and_a_stale_one_nowhere() -> None:
    mine = ENTRY.model_copy(update={"resources": [f"{TYPES}::database-mine-*", f"{TYPES}::database-gone-*"]})
    found = cluster("database-mine-1")
    assert unneeded([mine], [[], [(RULE, found)]]) == [f"{RULE}: {TYPES}::database-gone-*"]
    narrowed = mine.model_copy(update={"resources": [f"{TYPES}::database-mine-*"], "production": False})
    assert unneeded([narrowed], [[(RULE, found)]]) == [f"{RULE}: {TYPES}::database-mine-*"]


def test_stacks_are_only_deployed_while_an_entry_is_not_needed_yet() -> None:
    def stacks() -> Iterator[list[tuple[str, Resource]]]:
        yield [(RULE, cluster("database-1"))]
        raise AssertionError("nothing was left to look for")

    assert unneeded([ENTRY], stacks()) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("rule: key-is-rotatd", "exceptions[0].rule: key-is-rotatd: unknown rule"),
        ("rule: CKV_AWS", "exceptions[0].rule: CKV_AWS: unknown rule"),
        ("owner: ''", "exceptions[0].owner: "),
        ("resources: []", "exceptions[0].resources: "),
        ("resources: ['*']", "exceptions[0].resources.0: Value error, '*' is not a place"),
        (
            "resources: ['foundation-*']",
            "Value error, 'foundation-*' is not a place",
        ),
        ("resources: ['*::foundation-*']", "has a wildcard in the types: name them"),
        ("resources: ['a:b:?::foundation-*']", "has a wildcard in the types: name them"),
        ("resources: ['a:b:C::*']", "holds for nearly every name: give at least 3 letters of the name"),
        ("resources: ['a:b:C::*-?*']", "holds for nearly every name: give at least 3 letters of the name"),
        ("resources: ['a:b:C::[a-z]*[!-]*']", "holds for nearly every name: give at least 3 letters"),
        (
            "expires: 2999-12-31",
            "exceptions[0].expires: 2999-12-31 is over 366 days away: name a day",
        ),
        ("expires: 2027-11-29", "exceptions[0].expires: 2027-11-29 is over 366 days away"),
        ("reason: because", "exceptions[0].reason: "),
        ("expires: never", "exceptions[0].expires: "),
        ("until: 2027-01-01", "exceptions[0].until: "),
        ("environments: [dev]", "exceptions[0].environments: "),
    ],
)
def test_wrong_entry_is_named(tmp_path: Path, change: str, error: str) -> None:
    lines = [
        "rule: key-is-rotated",
        "resources: ['trading:tier:Foundation$aws:kms/key:Key::foundation-*']",
        "reason: there is a good reason for it",
        "owner: team",
        "expires: 2027-01-01",
    ]
    key = change.split(":")[0]
    kept = [line for line in lines if not line.startswith(f"{key}:")]
    path = tmp_path / "exceptions.yaml"
    path.write_text("exceptions:\n  - " + "\n    ".join([*kept, change]) + "\n")
    with pytest.raises(ExceptionsError) as raised:
        exceptions.load(path, known_rules=NAMES, today=datetime.date(2026, 11, 27))
    assert error in str(raised.value)
