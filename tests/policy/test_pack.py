"""The policy pack does for each resource only what its two policies need."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import gc
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pulumi_policy
import pulumi_policy.policy
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel, ResourceValidationPolicy, StackValidationPolicy

from tests.unit.harness import ROOT

THEIRS: Any = pulumi_policy.policy._PolicyAnalyzerServicer
PACK = ROOT / "policy" / "pack" / "__main__.py"
QUEUE = "aws:sqs/queue:Queue"


def _nothing(*_: Any, **__: Any) -> None:
    """Finds no problem."""


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names in the pack's module, which only the engine runs."""
    for name in ("deserialize_properties", "_PolicyAnalyzerServicer"):
        monkeypatch.setattr(pulumi_policy.policy, name, getattr(pulumi_policy.policy, name))
    monkeypatch.setattr(pulumi_policy, "PolicyPack", _nothing)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the pack adds a folder
    before = gc.get_threshold()
    yield runpy.run_path(str(PACK))
    gc.set_threshold(*before)


def _servicer(kind: Any, policies: list[Any]) -> Any:
    return kind("pack", "1.0.0", policies, EnforcementLevel.MANDATORY)


def _provider(region: str) -> analyzer_pb2.AnalyzerProviderResource:
    provider = analyzer_pb2.AnalyzerProviderResource(type="pulumi:providers:aws", urn=region, name=region)
    provider.properties.update({"region": region})
    return provider


def _request(urn: str = "urn:pulumi:s::p::aws:sqs/queue:Queue::a", **inputs: Any) -> Any:
    request = analyzer_pb2.AnalyzeRequest(type=QUEUE, urn=urn, name="a", provider=_provider("eu-west-1"))
    request.properties.update(inputs)
    return request


@pytest.fixture
def policies() -> list[Any]:
    return [
        ResourceValidationPolicy(name="resources", description="All resources", validate=_nothing),
        StackValidationPolicy(name="stack", description="The stack", validate=_nothing),
    ]


def test_nothing_is_remediated(pack: dict[str, Any], policies: list[Any]) -> None:
    request = _request(name="orders", tags={"Owner": "me"})
    theirs = _servicer(THEIRS, policies).Remediate(request, None)
    assert _servicer(pack["_Servicer"], policies).Remediate(request, None) == theirs


def test_providers_are_read_once(pack: dict[str, Any], policies: list[Any]) -> None:
    theirs, ours = (_servicer(kind, policies) for kind in (THEIRS, pack["_Servicer"]))
    found: list[Any] = []
    for request in (
        analyzer_pb2.AnalyzeRequest(provider=_provider("eu-west-1")),
        analyzer_pb2.AnalyzeRequest(provider=_provider("us-east-1")),
        analyzer_pb2.AnalyzeRequest(),
        analyzer_pb2.AnalyzeRequest(provider=_provider("eu-west-1")),
    ):
        expected: Any = theirs._get_provider_resource(request)
        found.append(ours._get_provider_resource(request))
        seen, wanted = ([it.urn, dict(it.props)] if it else None for it in (found[-1], expected))
        assert seen == wanted
    assert found[0] is found[3]


def test_stack_rules_see_inputs_and_what_resource_rules_found(pack: dict[str, Any]) -> None:
    servicer = _servicer(
        pack["_Servicer"],
        [
            ResourceValidationPolicy(name="resources", description="All", validate=pack["_validate"]),
            StackValidationPolicy(
                name="stack",
                description="All",
                validate=lambda args, _: stacks.append([pack["_resource"](it) for it in args.resources]),
            ),
        ],
    )
    stacks: list[list[Any]] = []
    asked = _request(name="orders", visibilityTimeoutSeconds=30)
    servicer.Analyze(asked, None)
    request = analyzer_pb2.AnalyzeStackRequest()
    for urn, kind in ((asked.urn, QUEUE), ("other", QUEUE), ("stack", "pulumi:pulumi:Stack")):
        resource = request.resources.add(type=kind, urn=urn, name=urn)
        resource.properties.CopyFrom(struct_pb2.Struct())
        resource.properties.update({"url": "https://example.com"})
    servicer.AnalyzeStack(request, None)
    ((first, other, stack),) = stacks
    assert dict(first.properties) == {"name": "orders", "visibilityTimeoutSeconds": 30}
    assert vars(first)["_texts"] is vars(pack["_asked"][asked.urn])["_texts"]
    assert dict(other.properties) == {"url": "https://example.com"}
    assert dict(stack.properties["outputs"]) == {"url": "https://example.com"}


def test_the_environment_is_read_once(
    pack: dict[str, Any], policies: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def config() -> dict[str, str]:
        read.append(1)
        return {}

    monkeypatch.setattr("pulumi.runtime.get_config_env", config)
    servicer = _servicer(pack["_Servicer"], policies)
    for _ in range(3):
        servicer.Analyze(_request(), None)
    assert read == [1]


def test_garbage_is_collected_rarely(pack: dict[str, Any]) -> None:
    assert pack
    assert gc.get_threshold()[0] >= 100_000


def test_no_garbage_is_collected_at_the_end() -> None:
    program = (
        "import gc, runpy\n"
        "gc.callbacks.append(lambda phase, info: print(phase, len(gc.get_objects())))\n"
        f"runpy.run_path({str(PACK)!r}, run_name='__main__')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert any(line.strip().isdigit() for line in running.stdout)  # the port, when the pack is ready
        running.send_signal(signal.SIGINT)
        remaining = running.stdout.read().splitlines()
    assert remaining
    assert all(int(line.split()[1]) < 10_000 for line in remaining)


def test_role_is_held_to_the_boundary_of_the_settings(pack: dict[str, Any]) -> None:
    rules = [ResourceValidationPolicy(name="resources", description="All", validate=pack["_validate"])]
    servicer = _servicer(pack["_Servicer"], rules)
    limit = "arn:aws:iam::123456789012:policy/trading-workloads"
    configuration = {"trading:permissionsBoundary": limit}
    servicer.ConfigureStack(
        analyzer_pb2.AnalyzerStackConfigureRequest(stack="prod", config=configuration), None
    )

    def problems(**inputs: Any) -> str:
        request = analyzer_pb2.AnalyzeRequest(
            type="aws:iam/role:Role", urn="urn:pulumi:s::p::aws:iam/role:Role::a", name="a"
        )
        request.provider.CopyFrom(_provider("eu-west-1"))
        request.properties.update(inputs)
        return "\n".join(it.message for it in servicer.Analyze(request, None).diagnostics)

    assert f'permissionsBoundary is not set: set it to "{limit}"' in problems()
    assert "permissionsBoundary" not in problems(permissionsBoundary=limit)
