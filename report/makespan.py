"""Prints how long a deployment of a stack to AWS takes, and which resources decide it.

`python -m report.makespan --stack STACK` prints the makespan, the critical path and the slack of each tier
for a first deployment (`up`), for adding a region, and for the destruction (`down`). It needs no account: the
real engine previews the stack in the sandbox. In the preview of a new stack, components of the Kubernetes
provider, which has no cluster yet, have no dependencies (pulumi/pulumi v3.255.0: `Construct` in
`pkg/resource/plugin/provider_plugin.go`), so the services' charts appear too early.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from policy.scan.plan import State
from policy.values import read_yaml
from report.planned import PlannedError, planned
from report.schedule import SHORT, Makespan, Plan, Resource
from settings import Region
from settings.aws_values import zones

PARALLEL = 16
"""Operations at the same time on four processors, which a runner of GitHub has in a public repository."""

Values = dict[str, Any]


def resources_of(states: Iterable[State]) -> list[Resource]:
    """The resources of a stack, from `planned` or a state."""
    return [
        Resource(
            urn=state["urn"],
            type=state["type"],
            custom=bool(state.get("custom")),
            inputs=state.get("inputs", {}),
            parent=state.get("parent", ""),
            provider=state.get("provider", "").rpartition("::")[0],
            dependencies=frozenset(state.get("dependencies", ())),
            by_value={name: frozenset(urns) for name, urns in _by_value(state).items()},
            retained=bool(state.get("retainOnDelete")),
        )
        for state in states
    ]


def _by_value(state: State) -> Mapping[str, list[str]]:
    return state.get("propertyDependencies") or {}


def another_region(config: Values) -> tuple[Values, Values]:
    """A stack's configuration without a region, and with it.

    The region is the stack's last one. A stack with one region gets the first one that it doesn't have.
    """
    without, added = copy.deepcopy(config), copy.deepcopy(config)
    regions: list[Values] = added["trading:regions"]
    if len(regions) > 1:
        without["trading:regions"].pop()
        return without, added
    number = next(it for it in range(256) if not any(f"10.{it}." in str(region) for region in regions))
    name = next(it for it in get_args(Region) if it not in {region["name"] for region in regions})
    count = len(regions[0]["availabilityZones"])
    new = {"name": name, "cidr": f"10.{number}.0.0/16", "availabilityZones": zones(name)[:count]}
    regions.append({**regions[0], **new})
    added["trading:homeRegion"] = regions[0]["name"]
    return without, added


def makespans(first: Plan, without: Plan, added: Plan) -> dict[str, Makespan]:
    """Name → makespan of a first deployment, of adding a region, and of the destruction."""
    return {"up": first.up(), "add a region": added.add(without), "down": first.down()}


def duration(seconds: int) -> str:
    """For example `42 min 15 s`."""
    minutes, rest = divmod(seconds, 60)
    return (
        " ".join(text for text in (f"{minutes} min" if minutes else "", f"{rest} s" if rest else "") if text)
        or "0 s"
    )


def render(found: Mapping[str, Makespan], at_a_time: Mapping[int, int]) -> str:
    """The makespans as text."""
    lines: list[str] = []
    for name, makespan in found.items():
        lines += [f"{name}: {duration(makespan.seconds)}", "", "  critical path"]
        lines += [
            f"  {duration(step.start):>13} to {duration(step.end):<13} {step.resource.name} "
            f"({step.resource.type})"
            for step in makespan.path
            if step.end - step.start > SHORT
        ]
        lines += ["", "  tier                           starts         ends           slack"]
        lines += [
            f"  {tier:<30} {duration(start):<14} {duration(end):<14} {duration(slack)}"
            for tier, (start, end, slack) in makespan.tiers().items()
        ]
        lines.append("")
    for workers, seconds in at_a_time.items():
        lines.append(f"up with --parallel {workers}: {duration(seconds)}")
    return "\n".join(lines)


def as_json(found: Mapping[str, Makespan], at_a_time: Mapping[int, int]) -> Values:
    """The makespans, with times in seconds."""
    return {
        "makespans": {
            name: {
                "seconds": makespan.seconds,
                "path": [
                    {
                        "name": step.resource.name,
                        "type": step.resource.type,
                        "tier": step.tier,
                        "start": step.start,
                        "end": step.end,
                    }
                    for step in makespan.path
                ],
                "tiers": {
                    tier: {"start": start, "end": end, "slack": slack}
                    for tier, (start, end, slack) in makespan.tiers().items()
                },
            }
            for name, makespan in found.items()
        },
        "upWithParallel": {str(workers): seconds for workers, seconds in at_a_time.items()},
    }


def plan_of(stack: str, config: Values, program: Path) -> Plan:
    """The plan of a stack, from a preview by the real engine.

    Args:
        stack: its name, which is part of names on AWS.
        config: what a stack file would contain. The project needs no such file.
        program: the folder of `Pulumi.yaml`.

    Raises:
        PlannedError: the preview failed.
    """
    with tempfile.TemporaryDirectory(prefix="trading-makespan-") as folder:
        project: Values = read_yaml(program / "Pulumi.yaml")
        main = str((program / project.get("main", ".")).resolve())
        Path(folder, "Pulumi.yaml").write_text(yaml.safe_dump({**project, "main": main}))
        Path(folder, f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))
        return Plan(resources_of(planned(stack, Path(folder))))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m report.makespan", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--stack", required=True, help="a stack with a file Pulumi.STACK.yaml")
    parser.add_argument("--json", action="store_true", help="print JSON, with times in seconds")
    parser.add_argument(
        "--parallel",
        type=int,
        default=PARALLEL,
        help=f"how many operations Pulumi runs at the same time (default: {PARALLEL})",
    )
    options = parser.parse_args(arguments)
    if options.parallel < 1:
        parser.error(f"--parallel: {options.parallel} is not a number of operations: give 1 or more")
    program = Path()
    try:
        config: Values = read_yaml(program / f"Pulumi.{options.stack}.yaml")["config"]
        without, added = (plan_of(options.stack, it, program) for it in another_region(config))
    except (OSError, PlannedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    first = added if len(config["trading:regions"]) > 1 else without
    found = makespans(first, without, added)
    at_a_time = {options.parallel: first.with_workers(options.parallel)}
    print(json.dumps(as_json(found, at_a_time), indent=2) if options.json else render(found, at_a_time))
    return 0


if __name__ == "__main__":
    sys.exit(main())
