"""Runs a program under Pulumi's mocks and records every registration.

Pulumi's own mocks accept a misspelled property and an engine called `not-an-engine`. These mocks validate
every registration of the AWS, Kubernetes, EKS and random packages with the sandbox's schemas, and give
every output the form that it has on AWS. `deploy` returns only when every registration is complete, so that
a test can also assert that something is absent. A graph is read-only, because most graphs are shared
between tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import hashlib
import json
import random
import runpy
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
from google.protobuf import struct_pb2
from pulumi.runtime import mocks
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import callback_pb2, provider_pb2, resource_pb2, source_pb2
from pulumi.runtime.settings import ROOT as STACK_RESOURCE
from pulumi.runtime.settings import SETTINGS

from components.common.context import RegionContext
from policy.values import read_yaml
from sandbox import sdk_schema, values
from sandbox.aws import attributes, rules
from sandbox.aws.account import Account
from sandbox.aws.provider import AwsProvider
from sandbox.rpc import Call, ProviderError, from_struct, invoke_response, to_struct, urn_name
from tests.run import once, read_only

SECRET = "[secret]"
"""Replaces a recorded input that is a secret."""

ACCOUNT = Account.of([{"trading:domain": {"zone": "example.com"}}])
"""What exists in the account in a test of one tier."""

_EKS_CLUSTER = "eks:index:Cluster"


@dataclass(frozen=True)
class Registered:
    """One resource that the program registered."""

    type: str
    name: str
    urn: str
    parent: str
    """Logical name of the parent, or an empty string for the stack."""
    parent_urn: str
    inputs: dict[str, Any]
    """Property names as Pulumi's engine spells them → plain values. A secret is replaced by `SECRET`."""
    depends_on: frozenset[str]
    """Logical names of everything that it depends on, by value or explicitly."""
    dependencies: frozenset[str]
    """URNs of everything that it depends on, by value or explicitly."""
    sources: dict[str, frozenset[str]]
    """Input → URNs of the resources whose outputs it contains."""
    custom: bool
    """Whether a provider creates it. Components are not custom."""
    protect: bool
    provider: str
    """Logical name of its provider, or an empty string for the default provider."""
    provider_urn: str
    """URN of its provider, or an empty string for the default provider."""
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    delete_before_replace: bool
    retain_on_delete: bool
    import_id: str
    """The id of the existing resource that it takes over, or an empty string."""
    id: str
    """The id that other resources refer to. It is the logical name if the sandbox doesn't know the type."""
    outputs: dict[str, Any]
    """Property names as Pulumi's engine spells them → plain values, including secrets."""
    role_inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    """What its transforms add to the inputs of a role among its children."""

    @property
    def refers_to(self) -> frozenset[str]:
        """URNs of the resources whose outputs its inputs contain."""
        return frozenset[str]().union(*self.sources.values())


@dataclass(frozen=True)
class Graph:
    """What a program registered, by name."""

    resources: list[Registered] = field(default_factory=list[Registered])
    looked_up: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    """Token and result of each function call."""
    exports: dict[str, Any] = field(default_factory=dict[str, Any])
    """The stack outputs that are plain values."""

    def of(self, token: str) -> list[Registered]:
        """The resources of a type."""
        return [resource for resource in self.resources if resource.type == token]

    def named(self, name: str, token: str | None = None) -> Registered:
        """The one resource of this logical name (and type)."""
        found = [r for r in self.resources if r.name == name and token in (None, r.type)]
        if len(found) != 1:
            known = ", ".join(sorted(r.name for r in self.resources))
            raise AssertionError(f"{len(found)} resources are named {name}; there are {known}")
        return found[0]

    def only(self, token: str) -> Registered:
        """The one resource of a type."""
        found = self.of(token)
        assert len(found) == 1, f"{len(found)} resources of {token}: {[r.name for r in found]}"
        return found[0]

    def read_only(self) -> Graph:
        """A read-only copy of the graph."""
        resources = [
            replace(
                resource,
                inputs=read_only(resource.inputs),
                sources=read_only(resource.sources),
                outputs=read_only(resource.outputs),
                role_inputs=read_only(resource.role_inputs),
            )
            for resource in self.resources
        ]
        return Graph(read_only(resources), read_only(self.looked_up), read_only(self.exports))


class _Mocks(mocks.Mocks):
    """`MockMonitor` requires mocks, but the monitor below never calls them."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        raise AssertionError(args.typ)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(args.token)


class _Aws(AwsProvider):
    """The sandbox's AWS. A test of a single tier may refer to resources that do not exist."""

    def __init__(self, directory: Path, check_references: bool, account: Account) -> None:
        super().__init__(directory, account=account)
        self._check_references = check_references

    def enforce(self, change: rules.Change) -> None:
        if self._check_references and change.type != "aws:eks/cluster:Cluster":
            super().enforce(change)


class _Callbacks:
    """Keeps the transforms that the program registers. With mocks, nobody else calls them."""

    def __init__(self) -> None:
        self._transforms: dict[str, pulumi.ResourceTransform] = {}

    def register_transform(self, transform: pulumi.ResourceTransform) -> callback_pb2.Callback:
        token = str(len(self._transforms))
        self._transforms[token] = transform
        return callback_pb2.Callback(token=token)

    def role_inputs(self, request: Any) -> dict[str, Any]:
        """What the transforms in a registration add to a role."""
        props: Any = {}
        for callback in request.transforms:
            args = pulumi.ResourceTransformArgs(
                True, "aws:iam/role:Role", "", props, pulumi.ResourceOptions()
            )
            found: Any = self._transforms[callback.token](args)
            props = found.props if found else props
        return props


class _Monitor(mocks.MockMonitor):
    """A resource monitor that validates and records registrations, and answers them."""

    def __init__(self, directory: Path, check_references: bool, account: Account) -> None:
        super().__init__(_Mocks())
        self.graph = Graph()
        self.problems: list[str] = []
        self.aws = _Aws(directory, check_references, account)
        self.regions: dict[str, str] = {}
        self.callbacks = _Callbacks()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The engine's URN, which has the types of all parents but the stack. Pulumi's mocks have one."""
        types = "" if not parent or "::pulumi:pulumi:Stack::" in parent else f"{parent.split('::')[2]}$"
        return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{types}{type_}::{name}"

    def RegisterResource(self, request: Any) -> resource_pb2.RegisterResourceResponse:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs, recorded = _values(request.object)
        identifier, outputs = self._answer(urn, request, inputs)
        self.graph.resources.append(
            Registered(
                type=request.type,
                name=request.name,
                urn=urn,
                parent=_name(request.parent),
                parent_urn=request.parent,
                inputs=recorded,
                depends_on=frozenset(map(_name, _dependencies(request))),
                dependencies=frozenset(_dependencies(request)),
                sources={
                    name: frozenset(dependencies.urns)
                    for name, dependencies in request.propertyDependencies.items()
                },
                custom=request.custom,
                protect=request.protect,
                provider=request.provider.split("::")[-2] if request.provider else "",
                provider_urn=request.provider.rpartition("::")[0],
                ignore_changes=tuple(request.ignoreChanges),
                replace_on_changes=tuple(request.replaceOnChanges),
                delete_before_replace=request.deleteBeforeReplace,
                retain_on_delete=request.retainOnDelete,
                import_id=request.importId,
                id=identifier,
                outputs=outputs,
                role_inputs=self.callbacks.role_inputs(request),
            )
        )
        self.resources[urn] = mocks.MockMonitor.ResourceRegistration(urn, identifier, outputs)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identifier, object=to_struct(outputs))

    def _answer(self, urn: str, request: Any, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        token, name = str(request.type), str(request.name)
        try:
            problems = sdk_schema.validate(token, inputs)
        except sdk_schema.UnknownTypeError as error:
            self.problems.append(f"{name}: {error}")
            return name, inputs
        self.problems += [f"{token} {name}: {problem}" for problem in problems]
        if token == "pulumi:providers:aws":
            self.regions[urn] = str(inputs.get("region", ""))
        if problems or (not request.custom and token != _EKS_CLUSTER):
            return name, inputs
        if token == _EKS_CLUSTER:
            return name, self._eks_cluster(urn, name, self._config(request.providers.get("aws", "")), inputs)
        if token.startswith("aws:"):
            config = self._config(request.provider)
            return self._aws(urn, token, name, config, inputs, imported=request.importId)
        if token.startswith("kubernetes:"):
            metadata = {"name": name, **inputs.get("metadata", {})}
            return metadata["name"], {**inputs, "metadata": metadata}
        if token.startswith("random:"):
            return name, {**inputs, "result": "x" * int(inputs.get("length", 16)), "hex": "0a1b2c3d"}
        return name, inputs

    def _config(self, provider: str) -> dict[str, Any]:
        return {"region": self.regions.get(provider.rsplit("::", 1)[0], "us-east-1")}

    def _aws(
        self,
        urn: str,
        token: str,
        name: str,
        config: dict[str, Any],
        inputs: dict[str, Any],
        imported: str = "",
    ) -> tuple[str, dict[str, Any]]:
        attributes.draw.set(random.Random(urn))
        checked, failures = self.aws.check(Call(config, urn, inputs=inputs, seed=urn.encode()))
        self.problems += [f"{token} {name}: {f.property and f'{f.property}: '}{f.reason}" for f in failures]
        if failures:
            return name, inputs
        if imported:
            found = self.aws.read(Call(config, urn, imported))
            assert found, f"{imported} can't be imported: it doesn't exist"
            return imported, {**found[1], **checked}
        return self.aws.create(Call(config, urn, inputs=checked))

    def _eks_cluster(
        self, urn: str, name: str, config: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """The outputs of the EKS component that programs read. Its cluster is registered as a resource."""
        cluster = f"{name}-eksCluster"
        cluster_urn = self.make_urn(urn, "aws:eks/cluster:Cluster", cluster)
        roles = {
            role: self._aws(
                self.make_urn(urn, "aws:iam/role:Role", f"{name}-{role}"),
                "aws:iam/role:Role",
                f"{name}-{role}",
                config,
                {"assumeRolePolicy": "{}"},
            )[1]
            for role in ("eksRole-role", "nodeRole-role")
        }
        cluster_inputs = {
            "name": inputs.get("name", name),
            "roleArn": roles["eksRole-role"].get("arn", ""),
            "vpcConfig": {"subnetIds": inputs.get("privateSubnetIds", [])},
        }
        identifier, outputs = self._aws(
            cluster_urn, "aws:eks/cluster:Cluster", cluster, config, cluster_inputs
        )
        self.resources[cluster_urn] = mocks.MockMonitor.ResourceRegistration(cluster_urn, identifier, outputs)
        return {
            **inputs,
            "eksCluster": values.reference(cluster_urn, identifier),
            "kubeconfigJson": json.dumps({"clusters": []}),
            "kubeconfig": {},
            "autoModeNodeRoleName": roles["nodeRole-role"]["name"],
            "clusterSecurityGroupId": outputs["vpcConfig"]["clusterSecurityGroupId"],
        }

    def Invoke(self, request: Any) -> provider_pb2.InvokeResponse:
        if request.tok == "pulumi:pulumi:getResource":
            urn = from_struct(request.args)["urn"]
            found: Any = self.resources[urn]
            result = {"urn": urn, "id": found.id, "state": found.state}
        else:
            args, _ = _values(request.args)
            try:
                problems = sdk_schema.validate_function(request.tok, args)
                self.problems += [f"{request.tok}: {problem}" for problem in problems]
                result = self.aws.invoke(self._config(request.provider), request.tok, args)
                self.graph.looked_up.append((request.tok, result))
            except ProviderError as error:
                # A program can catch it: the SDK treats it as an answer, and not as a failed call.
                reason = provider_pb2.CheckFailure(reason=str(error))
                return provider_pb2.InvokeResponse(failures=[reason])
            except Exception as error:
                self.problems.append(f"{request.tok}: {error}")
                raise
        return invoke_response(result)


def _values(struct: struct_pb2.Struct) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plain values of a registration, and the same values with secrets hidden."""
    raw = from_struct(struct)
    return _plain(raw, None), _plain(raw, SECRET)


def _plain(value: Any, secret: str | None) -> Any:
    if values.is_dict(value):
        match value.get(values.SIGNATURE):
            case values.SECRET:
                return _plain(value["value"], secret) if secret is None else secret
            case values.RESOURCE:
                return value.get("id") or value["urn"]
            case _:
                return {key: _plain(item, secret) for key, item in value.items()}
    return [_plain(item, secret) for item in value] if values.is_list(value) else value


def _dependencies(request: Any) -> Iterator[str]:
    """URNs of what a resource depends on."""
    yield from request.dependencies
    for dependencies in request.propertyDependencies.values():
        yield from dependencies.urns


def _name(urn: str) -> str:
    """The logical name at the end of a URN, or an empty string for no parent and for the stack."""
    return "" if not urn or "::pulumi:pulumi:Stack::" in urn else urn_name(urn)


class _Caller(ThreadPoolExecutor):
    """Runs each call at once, in the thread that submits it.

    The SDK sends each registration from a thread of its own, which waits for the engine. The monitor above
    computes its answers, so threads would only wait for one another.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done = Future[Any]()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


@contextlib.contextmanager
def _cheaply() -> Generator[None]:
    """Turns off two things that take a third of a deployment's time and that no test needs.

    The garbage collector repeatedly searches the tasks and outputs of a whole platform, which all live until
    the deployment ends. The SDK sends the engine the file and line of every call that led to a resource.
    """
    trace: Any = sdk_resource._get_stack_trace  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
    sdk_resource._get_stack_trace = source_pb2.StackTrace  # pyright: ignore[reportPrivateUsage]
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sdk_resource._get_stack_trace = trace  # pyright: ignore[reportPrivateUsage]


def deploy(
    program: Callable[[], Any],
    *,
    config: Mapping[str, str] | None = None,
    stack: str = "test",
    check_references: bool = False,
    account: Account = ACCOUNT,
) -> Graph:
    """Runs `program` to its end and returns what it registered.

    With `check_references`, ids and ARNs that do not exist are refused, as in the sandbox. `account` is what
    exists without being registered.

    Raises:
        AssertionError: the schemas refuse a registration. The text lists every problem.
    """
    with tempfile.TemporaryDirectory() as directory, _cheaply(), asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())  # The SDK uses the loop of the thread.
        runner.get_loop().set_default_executor(_Caller())
        monitor = _Monitor(Path(directory), check_references, account)
        STACK_RESOURCE.set(None)  # Otherwise, it would be that of the deployment before.
        pulumi.runtime.set_mocks(_Mocks(), project="trading", stack=stack, preview=False, monitor=monitor)
        sdk: Any = SETTINGS
        sdk.feature_support["transforms"] = True
        sdk.callbacks = monitor.callbacks
        set_all_config(dict(config or {}))
        try:
            # Returns when every registration is complete.
            mocks.test(program)()  # pyright: ignore[reportUnknownMemberType]
        except Exception as error:
            if not monitor.problems:
                raise
            error.add_note("\n".join(monitor.problems))
            raise
        finally:
            set_all_config({})
    assert not monitor.problems, "\n" + "\n".join(monitor.problems)
    stack_resource: Any = pulumi.runtime.get_root_resource()
    exports = {
        name: value for name, value in stack_resource.outputs.items() if not isinstance(value, pulumi.Output)
    }
    # The order of registrations says nothing.
    resources = sorted(monitor.graph.resources, key=lambda resource: (resource.name, resource.type))
    return Graph(resources, monitor.graph.looked_up, exports).read_only()


KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def context(
    *,
    platform: str = "trading-test",
    region: str = "us-east-1",
    key_arn: pulumi.Input[str] = KEY_ARN,
    log_retention_days: int = 30,
    protect: bool = False,
    provider: aws.Provider | None = None,
) -> RegionContext:
    """The context for a component's test. Call it in the program that the test deploys."""
    return RegionContext(
        platform=platform,
        region=region,
        key_arn=key_arn,
        log_retention_days=log_retention_days,
        protect=protect,
        provider=provider or aws.Provider("aws-test", region=region),
    )


ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "stacks"
STACKS = ("small", "full")
"""The stacks of the tests. `small` has every tier in one region and is unprotected. `full` is protected, and
has two regions and everything that is optional. `Pulumi.*.yaml` belong to the user, so only the tests of the
stack files and of the exceptions read them."""


def config_of(path: Path) -> dict[str, Any]:
    """The keys of a stack file."""
    return read_yaml(path)["config"]


def stack_values(stack: str) -> dict[str, Any]:
    """The keys of a fixture stack."""
    return config_of(FIXTURES / f"{stack}.yaml")


def without_namespace(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a stack file without the namespace `trading`, as the settings name them."""
    return {key.removeprefix("trading:"): value for key, value in values.items()}


def encoded(values: Mapping[str, Any]) -> dict[str, str]:
    """The keys of a stack file in the form in which the engine passes them to the program."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def deploy_platform(stack: str, values: Mapping[str, Any] | None = None) -> Graph:
    """The graph of the real `__main__.py` with a fixture stack, or with other values of its keys.

    Each graph is deployed once per test run, by the first test that needs it.
    """
    return _deployed(stack, json.dumps(stack_values(stack) if values is None else values))


platform = deploy_platform
"""The graph of a fixture stack."""


@functools.cache
def _deployed(stack: str, values: str) -> Graph:
    name = hashlib.sha256(f"{stack} {values}".encode()).hexdigest()
    return once(f"graph-{name}", lambda: _deploy_main(stack, json.loads(values))).read_only()


def _deploy_main(stack: str, values: dict[str, Any]) -> Graph:
    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"))

    return deploy(
        program, config=encoded(values), stack=stack, check_references=True, account=Account.of([values])
    )


def platforms_with_everything() -> dict[str, Graph]:
    """The platform's name → its graph. Together, the graphs contain every alarm.

    An external issuer excludes the user pool and the canary, so only the small stack has one here. One of
    its services names its image by a tag.
    """
    values = stack_values("small")
    values["trading:services"]["accounts"] |= {"image": "ghcr.io/example/accounts:1.4.2"}
    values["trading:api"] |= {"jwt": {"issuer": "https://login.example.com", "audience": "trading"}}
    return {"trading-full": platform("full"), "trading-small": deploy_platform("small", values)}
