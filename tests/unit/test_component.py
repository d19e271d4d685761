"""Every component: its place in the resource tree, what it reports, and the style of its code."""

from __future__ import annotations

import ast
import re
from dataclasses import replace

import pulumi
import pulumi_aws as aws
import pytest

from components.common.component import Component
from components.common.context import DeploymentContext
from components.common.signals import LogQuery, Objective, Signal
from composition import base, observability
from settings import Settings
from tests.unit.harness import (
    ROOT,
    STACKS,
    Graph,
    context,
    deploy,
    encoded,
    platform,
    platforms_with_everything,
    stack_values,
)

MODULES = [ROOT / "__main__.py", *(ROOT / "composition").rglob("*.py"), *(ROOT / "components").rglob("*.py")]
MOST_LINES = 100
"""Maximum number of lines of a function, so that a reader can keep it in mind."""
MOST_LINES_OF_THE_COMPOSITION = 200

SIGNAL = Signal(
    name="widgets-lost",
    title="Widgets are lost",
    namespace="AWS/Widgets",
    metric="Lost",
    dimensions={},
    statistic="Sum",
    threshold=0,
    reason="No widget may be lost.",
    severity="warning",
)
OBJECTIVE = Objective(
    name="widget-availability",
    title="Too many widgets are lost",
    target=0.99,
    namespace="AWS/Widgets",
    dimensions={},
    metrics={"requests": ("Made", "Sum"), "lost": ("Lost", "Sum")},
    bad_share="lost / requests",
)
QUERY = LogQuery(name="lost-widgets", query="filter lost", log_groups=("widgets",))


class Inner(Component):
    """A component inside another component. It reports its signals itself."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Inner", name, opts)
        self.report(SIGNAL, OBJECTIVE, QUERY)


class Outer(Component):
    """Contains an `Inner`, and reports nothing itself."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Outer", name, opts)
        Inner(f"{name}-inner", self.child())


def test_component_reports_what_is_in_it() -> None:
    outer: list[Outer] = []
    deploy(lambda: outer.append(Outer("outer")))
    assert (outer[0].signals, outer[0].objectives, outer[0].queries) == ([SIGNAL], [OBJECTIVE], [QUERY])


def test_context_records_the_outermost_components_alone() -> None:
    contexts: list[DeploymentContext] = []

    def program() -> None:
        contexts.append(context())
        Outer("outer", contexts[0].options)
        Outer("another", contexts[0].options)

    deploy(program)
    (recorded,) = contexts
    assert [type(component) for component in recorded.components] == [Outer, Outer]
    assert recorded.signals == [SIGNAL, SIGNAL], "what is inside is reported by its container"


BOUNDARY = "arn:aws:iam::123456789012:policy/limit"


class Roles(Component):
    """Two roles, one of them in a component inside."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, depth: int = 1) -> None:
        super().__init__("trading:tier:Roles", name, opts)
        aws.iam.Role(name, assume_role_policy="{}", opts=self.child())
        if depth:
            Roles(f"{name}-inner", self.child(), depth - 1)


@pytest.mark.parametrize("boundary", [BOUNDARY, None])
def test_every_role_has_the_permissions_boundary_of_the_context(boundary: str | None) -> None:
    graph = deploy(lambda: Roles("outer", replace(context(), permissions_boundary=boundary).options))
    roles = graph.of("aws:iam/role:Role")
    assert len(roles) == 2
    assert {role.inputs.get("permissionsBoundary") for role in roles} == {boundary}


def platform_with_a_component() -> Graph:
    values = stack_values("small")

    def program() -> None:
        settings = Settings.load()
        edge = base.context(settings, "edge", "us-east-1")
        foundation = base.foundation(settings, settings.regions[0])
        Outer("widgets", foundation.context.options)
        observability.monitoring(settings, edge, [foundation])

    return deploy(program, config=encoded(values))


def test_signal_of_an_added_component_has_an_alarm() -> None:
    graph = platform_with_a_component()
    region = stack_values("small")["trading:regions"][0]["name"]
    alarm = graph.named(f"monitoring-{region}-{SIGNAL.name}")
    assert alarm.type == "aws:cloudwatch/metricAlarm:MetricAlarm"
    assert graph.named(f"monitoring-{region}-{OBJECTIVE.name}-fast").type.endswith(":CompositeAlarm")
    assert graph.named(f"monitoring-{region}-{QUERY.name}").type.endswith(":QueryDefinition")


def tokens() -> dict[str, str]:
    """Type token → class, for every component in the code."""
    found: dict[str, str] = {}
    for path in MODULES:
        for name, body in re.findall(
            r"^class (\w+)\(Component\):\n((?:(?: .*)?\n)+)", path.read_text(), re.MULTILINE
        ):
            (token,) = re.findall(r'super\(\).__init__\("(.+?)", name, opts\)', body)
            assert token not in found
            found[token] = name
    return found


def test_type_tokens_are_literals_that_keep_their_names() -> None:
    """A token is part of the URN of every resource in the component, so it must never change."""
    assert len(tokens()) > 25
    for token, name in tokens().items():
        assert token == f"trading:tier:{name}"


def test_composition_deploys_every_component_with_the_options_of_a_context() -> None:
    """A component with other options would be deployed, and no alarm would watch it."""
    classes = set(tokens().values())
    calls = [
        node
        for path in (ROOT / "composition").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes
    ]
    assert len(calls) > 20
    for call in calls:
        name, _, options = call.args
        assert isinstance(options, ast.Attribute), ast.unparse(name)
        assert options.attr == "options", ast.unparse(name)


@pytest.mark.parametrize("stack", STACKS)
def test_every_component_has_resources_of_its_own(stack: str) -> None:
    graph = platform(stack)
    parents = {resource.parent_urn for resource in graph.resources}
    components = {r.urn for r in graph.resources if r.type.startswith("trading:tier:")}
    assert components <= parents


def test_every_component_is_in_a_fixture_stack() -> None:
    graphs = [platform("small"), *platforms_with_everything().values()]
    deployed = {r.type for graph in graphs for r in graph.resources if r.type.startswith("trading:")}
    assert deployed == tokens().keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_fit_on_a_screen_or_two(path: object) -> None:
    for node in ast.walk(ast.parse((ROOT / str(path)).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MOST_LINES, node.name


def test_composition_is_a_page() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) <= MOST_LINES_OF_THE_COMPOSITION
