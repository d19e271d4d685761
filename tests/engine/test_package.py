"""Deployment packages under the real engine: the same sources give the same package on every machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.engine.project import ROOT, Project

PROGRAM = """
import pulumi, pulumi_aws as aws
from components.common.function import function_package
opts = pulumi.ResourceOptions(provider=aws.Provider("ireland", region="eu-west-1"))
role = aws.iam.Role("functions", assume_role_policy="{}", opts=opts)
for name in ("order_intake", "token_authorizer"):
    code = function_package(name)
    aws.lambda_.Function(name, runtime="python3.13", handler="h", code=code, role=role.arn, opts=opts)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = Project.make(tmp_path)
    (found.folder / "__main__.py").unlink()
    (found.folder / "__main__.py").write_text(PROGRAM)
    (found.folder / "functions").unlink()
    return found


def copy(to: Path, *, age: int, mode: int, backwards: bool) -> None:
    """Another machine's checkout of the functions: dates, modes, order differ, and Python has run there."""
    shutil.rmtree(to, ignore_errors=True)
    sources = sorted((ROOT / "functions").rglob("*.py"), reverse=backwards)
    for source in sources:
        path = to / source.relative_to(ROOT / "functions")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
        path.chmod(mode)
        os.utime(path, (age, age))
    if backwards:
        (to / "order_intake" / "__pycache__").mkdir()
        (to / "order_intake" / "__pycache__" / "handler.cpython-313.pyc").write_bytes(b"compiled")


def hashes(project: Project) -> dict[str, str]:
    return {
        resource["urn"].rsplit("::", 1)[-1]: resource["inputs"]["code"]["hash"]
        for resource in project.resources("small")
        if resource["type"] == "aws:lambda/function:Function"
    }


def test_same_sources_are_the_same_package_whatever_their_dates_modes_and_order(project: Project) -> None:
    functions = project.folder / "functions"
    copy(functions, age=1_000_000_000, mode=0o644, backwards=False)
    project.pulumi("up", "--stack", "small", "--yes", "--skip-preview")
    first = hashes(project)
    assert first.keys() == {"order_intake", "token_authorizer"}

    copy(functions, age=1_700_000_000, mode=0o755, backwards=True)
    assert project.preview("small") == {}
    project.pulumi("up", "--stack", "small", "--yes", "--skip-preview")
    assert hashes(project) == first

    with (functions / "token_authorizer" / "token.py").open("a") as source:
        source.write("# changed\n")
    assert project.preview("small") == {"token_authorizer": "update"}
