"""The fixture stacks as rules see them."""

from __future__ import annotations

import datetime
import functools
from typing import Any

from policy import exceptions, production
from policy.rule import SECRET, Resource, Stack, is_list, is_map
from policy.rules import NAMES, RULES, STACK_RULES
from tests.unit.harness import Graph, platform, stack_values

TODAY = datetime.datetime.now(datetime.UTC).date()


def stack_of(graph: Graph, *, is_production: bool = True) -> Stack:
    """The resources of a graph."""
    providers = {resource.name: resource.inputs for resource in graph.of("pulumi:providers:aws")}
    # The engine keeps what RandomPassword makes as a secret; mocks have it as plain text.
    secrets = {
        resource.outputs["result"] for resource in graph.of("random:index/randomPassword:RandomPassword")
    }
    return Stack(
        [
            Resource(
                type=resource.type,
                name=resource.name,
                urn=resource.urn,
                properties=_hidden(resource.inputs, secrets),
                provider=providers.get(resource.provider, {}),
                protect=resource.protect,
                refers_to=resource.refers_to,
                is_production=is_production,
            )
            for resource in graph.resources
        ]
    )


def _hidden(value: Any, secrets: set[str]) -> Any:
    if is_map(value):
        return {key: _hidden(item, secrets) for key, item in value.items()}
    if is_list(value):
        return [_hidden(item, secrets) for item in value]
    return SECRET if value in secrets else value


@functools.cache
def fixture(stack: str) -> Stack:
    """A fixture stack."""
    return stack_of(platform(stack), is_production=is_production(stack))


def is_production(stack: str) -> bool:
    """Whether a fixture stack protects its data."""
    return stack_values(stack).get(production.SETTING, True)


Finding = tuple[str, Resource, str]
"""A rule's name, the resource, and what is wrong with it."""


def all_findings(stack: Stack) -> list[Finding]:
    """What the rules find in a stack, exceptions or not."""
    return [
        *(
            (rule.name, resource, problem)
            for rule in RULES
            for resource in stack.resources
            if rule.applies_to(resource)
            for problem in rule.check(resource)
        ),
        *(
            (rule.name, resource, problem)
            for rule in STACK_RULES
            for resource in stack.resources
            if rule.applies_to(resource)
            for problem in rule.check(resource, stack)
        ),
    ]


def findings(stack: Stack) -> list[str]:
    """What the rules find in a stack, but for the exceptions."""
    excepted = exceptions.load(known_rules=NAMES)
    return [
        f"{rule}: {resource.type} {resource.name}: {problem}"
        for rule, resource, problem in all_findings(stack)
        if exceptions.judged(excepted, rule, resource, problem, TODAY)
    ]
