"""Generates the figures and charts of `docs/makespan.md` from the graphs of the fixture stacks.

Run `python -m tests.report.makespan` to update them after an intended change, and review the diff like code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from report.gantt import draw
from report.makespan import another_region, duration, makespans
from report.schedule import Makespan, Plan, Resource
from tests.pages import filled
from tests.unit.harness import ROOT, STACKS, Graph, Registered, deploy_platform, stack_values

PAGE = ROOT / "docs" / "makespan.md"
DRAWN = "full"
CHARTS = {"up": "makespan-up.svg", "add a region": "makespan-region.svg", "down": "makespan-down.svg"}
TITLES = {
    "up": "First deployment of the full stack",
    "add a region": "Adding the second region to the full stack",
    "down": "Destruction of the full stack",
}


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A dependency that no value expresses and that delays a resource, and why AWS or Kubernetes needs it."""

    of: str
    """The resources that wait: how their types begin."""
    for_: str
    """What they wait for: how its types begin."""
    why: str


WAITS = [
    Wait(
        of="aws:amp/ruleGroupNamespace:",
        for_="aws:amp/scraperLoggingConfiguration:",
        why="Rules on series that nothing writes yet would alert, so they wait for scraper and services.",
    ),
    Wait(
        of="kubernetes:keda.sh/v1alpha1:ScaledObject",
        for_="kubernetes:helm.sh/v4:Chart",
        why="KEDA rejects a CPU trigger for a Deployment that doesn't exist.",
    ),
    Wait(
        of="kubernetes:helm.sh/v4:Chart",
        for_="aws:eks/podIdentityAssociation:",
        why="A pod that starts before its association gets no credentials.",
    ),
    Wait(
        of="aws:eks/podIdentityAssociation:",
        for_="aws:iam/rolePolicy:",
        why="A role must have its permissions, which name the data stores, before a pod uses it.",
    ),
    Wait(
        of="aws:rds/proxy:",
        for_="aws:iam/rolePolicy:",
        why="A proxy refers only to its role, but needs the role's permissions.",
    ),
    Wait(
        of="aws:cloudwatch/logGroup:",
        for_="aws:kms/keyPolicy:",
        why="CloudWatch Logs rejects a key whose policy doesn't allow it. The web tier's names the "
        "distribution.",
    ),
    Wait(
        of="aws:rds/globalCluster:",
        for_="aws:rds/clusterInstance:",
        why="A cluster without a writer can't become a primary cluster.",
    ),
    Wait(
        of="aws:rds/proxyTarget:",
        for_="aws:rds/clusterInstance:",
        why="A cluster without instances can't be a target.",
    ),
    Wait(
        of="aws:rds/proxyEndpoint:",
        for_="aws:rds/proxyTarget:",
        why="A read-only endpoint requires a reader, which the proxy knows only through its target.",
    ),
    Wait(
        of="aws:appautoscaling/target:",
        for_="aws:rds/clusterInstance:",
        why="Before the declared readers exist, auto scaling would add its own.",
    ),
    Wait(
        of="aws:appautoscaling/target:",
        for_="aws:lambda/provisionedConcurrencyConfig:",
        why="Otherwise, scaling could start before any concurrency is provisioned.",
    ),
    Wait(
        of="aws:secretsmanager/secretRotation:",
        for_="aws:rds/clusterInstance:",
        why="Secrets Manager tests the rotation function when the rotation is set up.",
    ),
    Wait(
        of="kubernetes:keda.sh/v1alpha1:ClusterTriggerAuthentication",
        for_="kubernetes:helm.sh/v3:Release",
        why="The release installs the definition of this kind.",
    ),
    Wait(
        of="kubernetes:",
        for_="kubernetes:keda.sh/v1alpha1:ClusterTriggerAuthentication",
        why="Services are deployed once they can be scaled.",
    ),
    Wait(
        of="kubernetes:",
        for_="aws:eks/addon:",
        why="Pods need the add-ons, such as the one that mounts secrets, and nodes to run on.",
    ),
    Wait(
        of="aws:route53/record:",
        for_="kubernetes:helm.sh/v4:Chart",
        why="A new health check of orders counts as unhealthy until its region answers.",
    ),
    Wait(
        of="aws:cloudfront/distribution:",
        for_="aws:lb/listenerRule:",
        why="CloudFront may send a secret to the load balancers once they accept it.",
    ),
]


def resources(graph: Graph) -> list[Resource]:
    """The resources of a graph as the engine has them.

    The mocks shorten URNs, and don't register the resources of the EKS component, so they are added.
    """
    urns = {it.urn: it for it in graph.resources}
    stack = next(it.parent_urn for it in graph.resources if it.parent_urn not in urns)
    project = stack.partition("::pulumi:pulumi:Stack::")[0]

    def full(urn: str) -> str:
        if urn in urns:
            return f"{types(urn)}::{urns[urn].name}"
        cluster = next((it for it in urns.values() if urn.endswith(f"::{it.name}-eksCluster")), None)
        return f"{types(cluster.urn)}$aws:eks/cluster:Cluster::{cluster.name}-eksCluster" if cluster else urn

    def types(urn: str) -> str:
        it = urns[urn]
        return f"{types(it.parent_urn)}${it.type}" if it.parent_urn in urns else f"{project}::{it.type}"

    def all_full(found: Iterable[str]) -> frozenset[str]:
        return frozenset(map(full, found))

    known = [_resource(it, full, all_full) for it in graph.resources]
    return known + [child for it in known if it.type == "eks:index:Cluster" for child in _eks(it)]


def _resource(
    it: Registered, full: Callable[[str], str], all_full: Callable[[Iterable[str]], frozenset[str]]
) -> Resource:
    return Resource(
        urn=full(it.urn),
        type=it.type,
        custom=it.custom,
        inputs=it.inputs,
        parent=full(it.parent_urn),
        provider=full(it.provider_urn),
        dependencies=all_full(it.dependencies),
        by_value={name: all_full(found) for name, found in it.sources.items()},
        retained=it.retain_on_delete,
    )


def _eks(component: Resource) -> Iterator[Resource]:
    """The EKS component's cluster and the chain of its role (pulumi-eks 4.4.0)."""
    chain = (
        ("eks:index:ServiceRole", "eksRole", False),
        ("aws:iam/role:Role", "eksRole-role", True),
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "eksRole-policy", True),
        ("aws:eks/cluster:Cluster", "eksCluster", True),
    )
    types, _, name = component.urn.rpartition("::")
    before = frozenset[str]()
    for token, suffix, custom in chain:
        urn = f"{types}${token}::{name}-{suffix}"
        yield Resource(
            urn=urn,
            type=token,
            custom=custom,
            inputs={},
            parent=component.urn,
            provider="",
            dependencies=before | component.dependencies,
            by_value={"chain": before, **component.by_value},
            retained=False,
        )
        before = frozenset((urn,))


@functools.cache
def plan(stack: str, regions: str = "as in the file") -> Plan:
    """The plan of a fixture stack.

    Args:
        stack: its name.
        regions: `without` or `added`: the stack before and after `another_region`.
    """
    if regions == "as in the file":
        return Plan(resources(deploy_platform(stack)))
    without, added = another_region(stack_values(stack))
    return Plan(resources(deploy_platform(stack, without if regions == "without" else added)))


def makespans_of(stack: str) -> dict[str, Makespan]:
    """The makespans of a fixture stack."""
    return makespans(plan(stack), plan(stack, "without"), plan(stack, "added"))


def delays(of: Plan, waits: Sequence[Wait] = WAITS) -> dict[str, int]:
    """The resources that end at least a minute later than values and `waits` demand.

    Returns:
        Logical name and type → how much later, in seconds, by start.
    """
    demanded = {
        urn: of.waits(resource, _allowed(of, resource, waits)) for urn, resource in of.resources.items()
    }
    needed = {step.resource.urn: step.end for step in of.up(demanded).steps}
    late = [(step.resource, step.end - needed[step.resource.urn]) for step in of.up().steps]
    return {f"{it.name} {it.type}": seconds for it, seconds in late if seconds >= 60}


def _allowed(of: Plan, resource: Resource, waits: Iterable[Wait]) -> set[str]:
    types = tuple(wait.for_ for wait in waits if resource.type.startswith(wait.of))
    return {urn for urn in of.waits(resource) if of.resources[urn].type.startswith(types)} if types else set()


def render(stack: str) -> Iterator[str]:
    """A stack's makespans in Markdown."""
    found, first = makespans_of(stack), plan(stack)
    yield f"### The `{stack}` fixture stack\n\n"
    yield "| | makespan | critical path |\n|---|---:|---|\n"
    for name, makespan in found.items():
        path = [
            f"`{step.resource.name}` ({_kind(step.resource)}, {duration(step.end - step.start)})"
            for step in makespan.path
            if step.end - step.start >= 60
        ]
        yield f"| {name} | {duration(makespan.seconds)} | {' → '.join(path)} |\n"
    by_workers = ", ".join(
        f"{duration(first.with_workers(workers))} with `--parallel {workers}`" for workers in (8, 16, 32)
    )
    yield f"\nThe first deployment takes {by_workers}.\n"
    yield "If each deletion waited only for what depends on it, and not for whole layers, the destruction\n"
    yield f"would take {duration(first.down_without_layers())}.\n\n"
    yield "| tier | up: ends | slack | add a region: ends | slack | down: ends | slack |\n"
    yield "|---|---:|---:|---:|---:|---:|---:|\n"
    tiers = [makespan.tiers() for makespan in found.values()]
    for tier in tiers[0]:
        cells = [text for by_tier in tiers for text in _cells(by_tier, tier)]
        yield f"| {tier} | {' | '.join(cells)} |\n"
    yield "\n"


def _kind(resource: Resource) -> str:
    """The last part of its type, for example `Cluster`."""
    return resource.type.rpartition(":")[2]


def _cells(by_tier: Mapping[str, tuple[int, int, int]], tier: str) -> list[str]:
    if tier not in by_tier:
        return ["", ""]
    _, end, slack = by_tier[tier]
    return [duration(end), duration(slack)]


def render_waits() -> str:
    """The dependencies that delay a resource without a value."""
    rows = "".join(f"| `{wait.of}` | `{wait.for_}` | {wait.why} |\n" for wait in WAITS)
    return f"| resources | wait for | because |\n|---|---|---|\n{rows}"


def page() -> str:
    """The page with current figures."""
    figures = "".join(text for stack in STACKS for text in render(stack))
    text = filled(PAGE.read_text(), "makespan", figures)
    return filled(text, "waits", render_waits())


def charts() -> dict[Path, str]:
    """File → chart."""
    found = makespans_of(DRAWN)
    return {PAGE.with_name(file): draw(found[name], TITLES[name]) for name, file in CHARTS.items()}


def main() -> None:
    """Writes the page and the charts."""
    for path, text in {PAGE: page(), **charts()}.items():
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
