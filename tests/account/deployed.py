"""The fixture stacks as if they were deployed: their resources with outputs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from account.stack import Stack
from policy.scan.plan import State
from settings import Settings
from tests.policy.states import fixture_state
from tests.unit.harness import platform, stack_values, without_namespace


@functools.cache
def deployed_state(name: str) -> list[State]:
    """The resources of a fixture stack, in the form of `pulumi stack export`."""
    outputs = {item.urn: item.outputs for item in platform(name).resources}
    cluster = {"endpoint": "https://cluster.example.com", "certificateAuthority": {"data": ""}}
    return [
        {
            **item,
            "outputs": outputs.get(item["urn"], cluster if item["type"] == "aws:eks/cluster:Cluster" else {}),
        }
        for item in fixture_state(name)
    ]


def deployed(name: str, state: Sequence[State] | None = None) -> Stack:
    """A fixture stack.

    Args:
        name: the stack.
        state: its resources, if they aren't those of the fixture.
    """
    values: dict[str, Any] = without_namespace(stack_values(name))
    return Stack(
        settings=Settings.parse(values),
        resources=deployed_state(name) if state is None else state,
        secrets_key=None,
        caller=None,
    )
