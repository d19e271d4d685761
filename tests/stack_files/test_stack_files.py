"""Every stack file must satisfy these tests, whatever its values are. They read `Pulumi.*.yaml`.

If a value is wrong, a test fails with the error that names the value.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from settings.show import problems
from settings.stack_file import read
from tests.policy.scans import scan, state_of
from tests.policy.stacks import findings, stack_of
from tests.unit.harness import ROOT, Graph, config_of, deploy_platform

FILES = sorted(ROOT.glob("Pulumi.*.yaml"))

REMEDY = "change the value, or say in policy/exceptions.yaml why it is right"

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


@functools.cache
def deployed(path: Path) -> Graph:
    return deploy_platform(path.name.split(".")[1], config_of(path))


@every_file
def test_stack_file_is_accepted_by_settings(path: Path) -> None:
    """Uses the check, because the schema is for editors and lacks the forms that the engine writes."""
    assert [str(problem) for problem in problems(read(path))] == []


@every_file
def test_stack_keeps_every_rule_of_the_policy_pack(path: Path) -> None:
    assert findings(stack_of(deployed(path))) == [], REMEDY


@every_file
def test_checkov_finds_nothing_that_is_not_explained(path: Path) -> None:
    assert scan(state_of(deployed(path))).unexplained() == [], REMEDY
