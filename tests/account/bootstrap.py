"""The project `bootstrap` under the mocks, with the policies of a fixture stack."""

from __future__ import annotations

import functools
import json
import runpy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from account.__main__ import as_json
from account.policy import deployer
from sandbox.aws.account import Account
from tests.policy.scans import fixture_state
from tests.unit.harness import ROOT, Graph, config_of, deploy, encoded

PROJECT = ROOT / "bootstrap"
STACK = PROJECT / "Pulumi.account.yaml"


@functools.cache
def policies(stack: str = "full") -> str:
    """The file of a stack's roles, as `make deployer-policy` writes it."""
    return json.dumps(as_json(deployer(fixture_state(stack))))


@functools.cache
def graph() -> Graph:
    """The graph of the real program with its stack file, in an empty account."""
    return deployed({})


def deployed(values: Mapping[str, Any], account: Account | None = None) -> Graph:
    """The graph with other values of some keys, in an account in which something exists.

    Every stack gets the policies of the fixture stack with most resources.
    """
    found = {**config_of(STACK), **values}
    with tempfile.TemporaryDirectory() as folder:
        for stack in found["trading:stacks"]:
            Path(folder, f"{stack}.json").write_text(policies())
        with mock.patch("bootstrap.config.DEPLOYER", Path(folder)):
            return deploy(
                lambda: runpy.run_path(str(PROJECT / "__main__.py")),
                config=encoded(found),
                stack="account",
                check_references=True,
                account=account or Account(),
            )
