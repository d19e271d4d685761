"""The SDK's packages have the same names as without lazy imports."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from components import lazy_sdk

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


TYPES = """
import importlib, inspect, json, pulumi
from pulumi import _types
found = {}
for name in ("s3.bucket", "s3._inputs", "lb._inputs", "msk.cluster", "rds.outputs", "iam._inputs"):
    module = importlib.import_module(f"pulumi_aws.{name}")
    for kind in (it for it in vars(module).values() if inspect.isclass(it)):
        if _types.is_input_type(kind):
            found[f"{name} {kind.__name__}"] = repr(_types.input_type_types(kind))
        elif _types.is_output_type(kind):
            found[f"{name} {kind.__name__}"] = repr(_types.output_type_types(kind))
        elif issubclass(kind, pulumi.Resource):
            found[f"{name} {kind.__name__}"] = repr(_types.resource_types(kind))
print(json.dumps([" = ".join(it) for it in sorted(found.items())]))
"""


def test_types_are_those_of_the_sdk() -> None:
    found = python(f"import components\n{TYPES}")
    assert found == python(TYPES)
    assert len(found) > 300


def test_annotations_are_not_evaluated() -> None:
    found = python(
        "import json, components, pulumi_aws as aws; from pulumi_aws.s3 import _inputs; "
        "print(json.dumps([_inputs.BucketCorsConfigurationCorsRuleArgs.__init__.__annotations__"
        "['allowed_methods'], *_inputs.BucketCorsConfigurationCorsRuleArgsDict.__annotations__]))"
    )
    assert found == ["pulumi.Input[Sequence[pulumi.Input[_builtins.str]]]"]


def code(path: Path) -> tuple[list[str], list[Path]]:
    """The names that a module defines, and the compiled files beside it."""
    namespace: dict[str, object] = {}
    compiled = lazy_sdk._Module("it", str(path)).get_code("it")  # pyright: ignore[reportPrivateUsage]
    assert compiled
    exec(compiled, namespace)
    names = sorted(name for name in namespace if not name.startswith("_"))
    return names, list((path.parent / "__pycache__").iterdir())


def test_compiled_modules_are_kept_until_their_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "__pycache__").mkdir()
    path = tmp_path / "it.py"
    path.write_text("first: Unknown = 1")
    names, (kept,) = code(path)
    assert (names, kept.name.split(".", 2)[2]) == (["first"], "opt-annotations.pyc")
    with monkeypatch.context() as patch:
        patch.setattr(lazy_sdk.ast, "parse", None)
        assert code(path) == (["first"], [kept])
    path.write_text("second_one: Unknown = 1")
    assert code(path) == (["second_one"], [kept])


def test_read_only_folders_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__pycache__").mkdir()

    def access(*_: object) -> bool:
        return False

    monkeypatch.setattr(lazy_sdk.os, "access", access)
    monkeypatch.setattr(lazy_sdk.sys, "dont_write_bytecode", True)
    (tmp_path / "it.py").write_text("first = 1")
    assert code(tmp_path / "it.py") == (["first"], [])
