"""The committed stacks as rules see them."""

from __future__ import annotations

import datetime
import functools

from policy import exceptions
from policy.rule import Resource, Stack
from policy.rules import RULES, STACK_RULES
from tests.unit.harness import Graph, platform

TODAY = datetime.datetime.now(datetime.UTC).date()


def stack_of(graph: Graph) -> Stack:
    """The resources of a graph."""
    providers = {resource.name: resource.inputs for resource in graph.of("pulumi:providers:aws")}
    return Stack(
        [
            Resource(
                type=resource.type,
                name=resource.name,
                urn=resource.urn,
                properties=resource.inputs,
                provider=providers.get(resource.provider, {}),
                protect=resource.protect,
                refers_to=resource.refers_to,
            )
            for resource in graph.resources
        ]
    )


@functools.cache
def committed(stack: str) -> Stack:
    """A committed stack."""
    return stack_of(platform(stack))


def findings(stack: Stack) -> list[str]:
    """What the rules find in a stack, but for the exceptions."""
    excepted = exceptions.load(known_rules=[rule.name for rule in (*RULES, *STACK_RULES)])
    found = [
        (rule.name, resource, problem)
        for rule in RULES
        for resource in stack.resources
        if rule.applies_to(resource)
        for problem in rule.check(resource)
    ]
    found += [
        (rule.name, resource, problem) for rule in STACK_RULES for resource, problem in rule.check(stack)
    ]
    return [
        f"{rule}: {resource.type} {resource.name}: {problem}"
        for rule, resource, problem in found
        if not any(exception.covers(rule, resource, TODAY) for exception in excepted)
    ]
