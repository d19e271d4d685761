"""The policy pack: what the engine runs with `--policy-pack policy/pack`."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# The engine runs this file by its path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

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
from pulumi_policy.proxy import UnknownValueError

from policy import exceptions
from policy.rule import Resource, Rule, Stack, StackRule
from policy.rules import RULES, STACK_RULES

TODAY = datetime.datetime.now(datetime.UTC).date()
EXCEPTIONS = exceptions.load(known_rules=[rule.name for rule in (*RULES, *STACK_RULES)])


def _excepted(rule: Rule | StackRule, resource: Resource) -> bool:
    return any(exception.covers(rule.name, resource, TODAY) for exception in EXCEPTIONS)


def _validate(rule: Rule) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if rule.types and args.resource_type not in rule.types:
            return
        resource = Resource(
            type=args.resource_type,
            name=args.name,
            urn=args.urn,
            properties=args.props,
            provider=_properties(args.provider),
            protect=args.opts.protect,
            refers_to=frozenset(),
        )
        if _excepted(rule, resource):
            return
        try:
            for problem in rule.check(resource):
                report(problem, args.urn)
        except UnknownValueError:
            return  # a preview; the deployment knows the value before it creates anything

    return validate


def _validate_stack(rule: StackRule) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        stack = Stack([_resource(resource) for resource in args.resources])
        try:
            for resource, problem in rule.check(stack):
                if not _excepted(rule, resource):
                    report(problem, resource.urn)
        except UnknownValueError:
            return

    return validate


def _resource(resource: PolicyResource) -> Resource:
    return Resource(
        type=resource.resource_type,
        name=resource.name,
        urn=resource.urn,
        properties=resource.props,
        provider=_properties(resource.provider),
        protect=resource.opts.protect,
        refers_to=frozenset(
            other.urn for others in resource.property_dependencies.values() for other in others
        ),
    )


def _properties(provider: PolicyProviderResource | None) -> Mapping[str, Any]:
    return provider.props if provider else {}


PolicyPack(
    name="trading-platform",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        *(
            ResourceValidationPolicy(name=rule.name, description=rule.title, validate=_validate(rule))
            for rule in RULES
        ),
        *(
            StackValidationPolicy(name=rule.name, description=rule.title, validate=_validate_stack(rule))
            for rule in STACK_RULES
        ),
    ],
)
