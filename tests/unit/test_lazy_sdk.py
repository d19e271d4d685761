"""The SDK's packages have the same names as without lazy imports."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("pulumi_aws.iam", "pulumi_aws.sqs", "pulumi_aws.lambda_", "pulumi_kubernetes.core.v1")


def python(program: str) -> list[str]:
    """What a program prints, as JSON, in a process that has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there(package: str) -> None:
    names = python(
        f"import json, {package} as package; package._utilities; "
        "print(json.dumps([n for n in vars(package) if not n.startswith('_')]))"
    )
    importlib.import_module("components")
    lazy = importlib.import_module(package)
    defined = [name for name in names if name[0].isupper() or name.startswith("get_") or name == "outputs"]
    assert len(defined) >= 10
    for name in defined:
        assert getattr(lazy, name)


def test_only_the_used_modules_are_imported() -> None:
    modules = python(
        "import json, sys, components, pulumi_aws as aws; aws.ec2.Vpc; "
        "print(json.dumps([m for m in sys.modules if m.startswith('pulumi_aws.ec2.')]))"
    )
    assert "pulumi_aws.ec2.vpc" in modules
    assert "pulumi_aws.ec2.instance" not in modules
    assert len(modules) < 10


def test_a_wrong_name_is_reported_as_usual() -> None:
    (message,) = python(
        "import json, components, pulumi_aws as aws\n"
        "try:\n    aws.ec2.Vcp\nexcept AttributeError as error:\n    print(json.dumps([str(error)]))"
    )
    assert message == "module 'pulumi_aws.ec2' has no attribute 'Vcp'"


def test_names_of_types_and_enums_are_found() -> None:
    found = python(
        "import json, components, pulumi_aws as aws; "
        "types = aws.iam.GetPolicyDocumentStatementArgs, aws.iam.ManagedPolicy; "
        "print(json.dumps([t.__module__ for t in types]))"
    )
    assert found == ["pulumi_aws.iam._inputs", "pulumi_aws.iam._enums"]
