"""The policy pack, which the engine runs with `--policy-pack policy/pack`.

It has only two policies, one for resources and one for the whole stack, instead of one for each rule:
pulumi_policy deserializes every resource again for each policy, which takes minutes with a hundred policies.
"""

from __future__ import annotations

import atexit
import datetime
import functools
import gc
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The engine runs this file by its path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import grpc
import pulumi_policy.policy
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    PolicyProviderResource,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.proxy import UnknownValueError

from policy import exceptions, production
from policy.rule import Resource, Rule, Stack, StackRule
from policy.rules import NAMES, RULES, STACK_RULES
from policy.rules.access import BOUNDARY
from policy.rules.data import STATEFUL
from policy.rules.secrets import CONFIGURATION, STACK
from policy.secrets import without_secrets
from policy.switches import RESULT_VARIABLE, Result

# All resources live until the end, so that looking for garbage among them finds little. When Python ends, it
# would look for it once more, which takes a third of the pack's time.
gc.set_threshold(100_000, 50)
atexit.register(gc.freeze)

TODAY = datetime.datetime.now(datetime.UTC).date()
EXCEPTIONS = exceptions.load(known_rules=NAMES)

_asked: dict[str, Resource] = {}
"""URN → the resource with its inputs. For stack policies the engine sends outputs, most of which a preview
doesn't know."""


def _deserialize(props: dict[str, Any], proxy_secrets: bool = False) -> dict[str, Any]:
    return deserialize_properties(without_secrets(props), proxy_secrets)


# pulumi_policy unwraps secrets, so a rule could not tell them from plain text, and a message could reveal
# one.
pulumi_policy.policy.deserialize_properties = _deserialize  # pyright: ignore[reportPrivateImportUsage]


@dataclass
class _StackFacts:
    """What the engine says about the stack. Until it has, every stack counts as production."""

    is_production: bool = True
    environment: str = ""
    configuration: Mapping[str, str] = field(default_factory=dict[str, str])
    """The configuration that isn't secret."""
    previewed: Result | None = None
    """The result of the preview with which a deployment began, if the command that runs the engine keeps it.
    The engine runs the pack anew for each, and tells it only which of both it is."""


_stack = _StackFacts()


@dataclass
class _Counts:
    """What the rules did."""

    preview: bool = False
    problems: int = 0
    excepted: int = 0
    waiting: int = 0
    data: set[str] = field(default_factory=set[str])


_counts = _Counts()


class _Servicer(pulumi_policy.policy._PolicyAnalyzerServicer):  # pyright: ignore[reportPrivateUsage]
    """Records the configuration that the engine sends before it analyzes any resource, refuses to be
    weakened, and leaves out what pulumi_policy does for each resource although this pack doesn't need it.

    The engine sends it to every pack with ConfigureStack, but pulumi_policy keeps only the stack's tags. The
    engine sets PULUMI_CONFIG only for packs in languages without a language host, and Python has one
    (pulumi/pulumi, `sdk/go/common/resource/plugin/analyzer_plugin.go`).
    """

    def ConfigureStack(self, request: Any, _context: Any) -> Any:  # noqa: N802 (the protocol's name)
        config = dict(request.config)
        _stack.is_production = production.by_configuration(config, request.stack, dict(request.tags))
        _stack.environment = production.environment_of(config)
        secret = set(request.config_secret_keys)
        _stack.configuration = {key: value for key, value in config.items() if key not in secret}
        _counts.preview = request.dry_run
        if not request.dry_run and (path := os.environ.get(RESULT_VARIABLE)):
            _stack.previewed = Result.load(Path(path))
        return super().ConfigureStack(request, _context)  # pyright: ignore[reportUnknownMemberType]

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802 (the protocol's name)
        """Refuses a configuration of the pack with which a policy is not mandatory."""
        weakened = sorted(
            name
            for name, config in request.policyConfig.items()
            if config.enforcementLevel != analyzer_pb2.MANDATORY
        )
        if weakened:
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the pack's configuration changes the enforcement level of {', '.join(weakened)}: only "
                "mandatory is accepted. For a resource that has to break a rule, add an entry to "
                "policy/exceptions.yaml",
            )
        return super().Configure(request, context)  # pyright: ignore[reportUnknownMemberType]

    def Remediate(self, request: Any, _context: Any) -> analyzer_pb2.RemediateResponse:  # noqa: ARG002, N802
        """Changes nothing: both policies are mandatory. pulumi_policy converts all properties first."""
        return analyzer_pb2.RemediateResponse()

    def AnalyzeStack(self, request: Any, context: Any) -> Any:  # noqa: N802 (the protocol's name)
        """Leaves out the outputs of the resources whose inputs are known (`_asked`)."""
        for resource in request.resources:
            if resource.type != STACK and resource.urn in _asked:
                resource.ClearField("properties")
        return super().AnalyzeStack(request, context)  # pyright: ignore[reportUnknownMemberType]

    def _get_provider_resource(self, request: Any) -> Any:
        """The resource's provider. Most resources have one of a few."""
        provider = request.provider.SerializeToString() if request.HasField("provider") else b""
        if provider not in self._providers:
            found = super()._get_provider_resource(request)  # pyright: ignore[reportUnknownMemberType]
            self._providers[provider] = found
        return self._providers[provider]

    def _configure_runtime_settings(self) -> None:
        """Reads the environment once, and not for each resource."""
        if not self._configured:
            super()._configure_runtime_settings()  # pyright: ignore[reportUnknownMemberType]
            self._configured = True

    _configured = False

    @functools.cached_property
    def _providers(self) -> dict[bytes, PolicyProviderResource | None]:
        return {}


pulumi_policy.policy._PolicyAnalyzerServicer = _Servicer  # pyright: ignore[reportPrivateUsage]


def _validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
    resource = Resource(
        type=args.resource_type,
        name=args.name,
        urn=args.urn,
        properties=args.props,
        provider=_properties(args.provider),
        protect=args.opts.protect,
        sources={},
        is_production=_stack.is_production,
        environment=_stack.environment,
        permissions_boundary=_stack.configuration.get(BOUNDARY, ""),
        is_component=_is_component(args.resource_type, args.provider),
    )
    _asked[args.urn] = resource
    if resource.type in STATEFUL:
        _counts.data.add(args.urn)
        _hold_to_preview(resource, report)
    for rule in _rules(resource.type):
        _judge(rule, resource, lambda rule=rule: rule.check(resource), report)


@functools.cache
def _rules(type_: str) -> list[Rule]:
    return [rule for rule in RULES if rule.applies_to(type_)]


def _hold_to_preview(resource: Resource, report: ReportViolation) -> None:
    """Refuses data that was not in the preview: no rule over several resources has judged it.

    Those rules run at the end, when a deployment has already created the resource.
    """
    previewed = _stack.previewed
    if previewed and previewed.preview and resource.urn not in previewed.data:
        _counts.problems += 1
        report(
            f"{resource.name} holds data and was not in the preview of this deployment, so rules over "
            "several resources have not checked it: make the program register it in previews too, or preview "
            "again if something has changed since",
            resource.urn,
        )


def _validate_stack(args: StackValidationArgs, report: ReportViolation) -> None:
    stack = Stack([_resource(resource) for resource in args.resources])
    for rule in STACK_RULES:
        for resource in stack.resources:
            if rule.applies_to(resource.type):
                _judge(rule, resource, lambda rule=rule, it=resource: rule.check(it, stack), report)
    # Exceptions to Checkov's checks only concern the scan: deployments don't run Checkov.
    for problem in exceptions.ended([entry for entry in EXCEPTIONS if entry.rule in NAMES], TODAY):
        _counts.problems += 1
        report(problem, None)
    _conclude(len(stack.resources))


def _conclude(resources: int) -> None:
    """Says what the rules did, and stores it for the command that runs the engine."""
    result = Result(
        preview=_counts.preview,
        rules=len(NAMES),
        resources=resources,
        problems=_counts.problems,
        excepted=_counts.excepted,
        waiting=_counts.waiting,
        data=sorted(_counts.data),
    )
    print(result, file=sys.stderr, flush=True)
    if path := os.environ.get(RESULT_VARIABLE):
        result.save(Path(path))


def _judge(
    rule: Rule | StackRule, resource: Resource, check: Callable[[], Any], report: ReportViolation
) -> None:
    try:
        for problem in check():
            text = exceptions.judged(EXCEPTIONS, rule.name, resource, problem, TODAY)
            if text is None:
                _counts.excepted += 1
                continue
            _counts.problems += 1
            controls = f" [{', '.join(rule.controls)}]" if rule.controls else ""
            report(f"{rule.name}{controls}: {rule.title}. {resource.name}: {text}", resource.urn)
    except UnknownValueError as unknown:
        # A preview doesn't know every value. The deployment checks the rule before it creates the resource.
        if _counts.preview:
            _counts.waiting += 1
            return
        _counts.problems += 1
        report(
            f"{rule.name}: {rule.title}. {resource.name}: the rule can't be checked, because a value is "
            f"unknown even in the deployment ({unknown}): make the program compute it",
            resource.urn,
        )


def _resource(resource: PolicyResource) -> Resource:
    asked = None if resource.resource_type == STACK else _asked.get(resource.urn)
    if asked:
        properties = asked.properties
    else:
        properties = _shown(resource) if resource.resource_type == STACK else resource.props
    found = Resource(
        type=resource.resource_type,
        name=resource.name,
        urn=resource.urn,
        properties=properties,
        provider=_properties(resource.provider),
        protect=resource.opts.protect,
        sources={
            key: frozenset(other.urn for other in others)
            for key, others in resource.property_dependencies.items()
        },
        is_production=_stack.is_production,
        environment=_stack.environment,
        permissions_boundary=_stack.configuration.get(BOUNDARY, ""),
        is_component=_is_component(resource.resource_type, resource.provider),
    )
    if asked:
        found.reuse(asked)
    return found


def _shown(stack: PolicyResource) -> Mapping[str, Any]:
    """What a stack shows to everybody who can read its state or its file."""
    return {"outputs": stack.props, CONFIGURATION: _stack.configuration}


def _is_component(type_: str, provider: PolicyProviderResource | None) -> bool:
    # The engine gives every resource that a provider creates its provider (pulumi/pulumi 3.255,
    # `pkg/resource/deploy/step_generator.go`, `getProviderResource`). Only providers have none of their own.
    return provider is None and not type_.startswith("pulumi:providers:")


def _properties(provider: PolicyProviderResource | None) -> Mapping[str, Any]:
    return provider.props if provider else {}


PolicyPack(
    name="trading-platform",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        ResourceValidationPolicy(
            name="resource-rules",
            description="Every resource follows the rules in docs/controls.md, or has an exception in "
            "policy/exceptions.yaml",
            validate=_validate,
        ),
        StackValidationPolicy(
            name="stack-rules",
            description="The whole stack follows the rules in docs/controls.md, and no exception has expired",
            validate=_validate_stack,
        ),
    ],
)
