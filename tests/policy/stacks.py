"""The fixture stacks in the form in which rules receive them."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable
from typing import Any

from policy import exceptions, production
from policy.exceptions import RuleException
from policy.rule import SECRET, Resource, Stack, is_list, is_map
from policy.rules import NAMES, RULES, STACK_RULES
from policy.rules.access import BOUNDARY
from tests.unit.harness import ROOT, Graph, config_of, deploy_platform, platform, stack_values

TODAY = datetime.datetime.now(datetime.UTC).date()


def stack_of(graph: Graph, permissions_boundary: str = "") -> Stack:
    """The resources of a graph, with what the stack's settings say about the boundary of its roles."""
    is_production = production.by_state([stack_state(graph)])
    providers = {resource.name: resource.inputs for resource in graph.of("pulumi:providers:aws")}
    # The engine stores RandomPassword's result as a secret, but with mocks, it is plain text.
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
                sources=resource.sources,
                is_production=is_production,
                permissions_boundary=permissions_boundary,
                is_component=not resource.custom,
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
    return stack_of(platform(stack), boundary_of(stack))


def boundary_of(stack: str) -> str:
    """The permissions boundary in the settings of a fixture stack."""
    return stack_values(stack).get(BOUNDARY, "")


def stack_state(graph: Graph) -> dict[str, Any]:
    """The stack resource in the form of `pulumi stack export`."""
    return {"urn": "urn:pulumi:stack", "type": "pulumi:pulumi:Stack", "outputs": graph.exports}


Finding = tuple[str, Resource, str]
"""A rule's name, the resource, and what is wrong with it."""


def all_findings(stack: Stack) -> list[Finding]:
    """All findings of the rules in a stack, whether excepted or not."""
    return [
        *(
            (rule.name, resource, problem)
            for rule in RULES
            for resource in stack.resources
            if rule.applies_to(resource.type)
            for problem in rule.check(resource)
        ),
        *(
            (rule.name, resource, problem)
            for rule in STACK_RULES
            for resource in stack.resources
            if rule.applies_to(resource.type)
            for problem in rule.check(resource, stack)
        ),
    ]


def findings(stack: Stack) -> list[str]:
    """The findings of the rules in a stack that no exception covers."""
    excepted = exceptions.load(known_rules=NAMES)
    return [
        f"{rule}: {resource.type} {resource.name}: {problem}"
        for rule, resource, problem in all_findings(stack)
        if exceptions.judged(excepted, rule, resource, problem, TODAY)
    ]


def unneeded(
    entries: Iterable[RuleException], findings_of_stacks: Iterable[Iterable[tuple[str, Resource]]]
) -> list[str]:
    """The patterns of exceptions that cover no finding (a rule's name and a resource) in any stack.

    Reads one stack after the other, as long as unused patterns remain.
    """
    left = [
        entry.model_copy(update={"resources": [pattern]}) for entry in entries for pattern in entry.resources
    ]
    stacks = iter(findings_of_stacks)
    while left and (found := next(stacks, None)) is not None:
        here = list(found)
        left = [entry for entry in left if not any(entry.covers(rule, it) for rule, it in here)]
    return [f"{entry.rule}: {', '.join(entry.resources)}" for entry in left]


USERS_FILES = {path.name.split(".")[1]: path for path in sorted(ROOT.glob("Pulumi.*.yaml"))}
"""The name of the stack → the project's stack file."""


def users_graph(stack: str) -> Graph:
    """The graph of one of the project's stack files: an exception may apply to only one of them."""
    return deploy_platform(stack, config_of(USERS_FILES[stack]))
