"""Takes a lost region out of a stack's state, so that the next deployment doesn't wait for it.

The engine would delete the region's resources through APIs that don't answer. And if the region was the home
region, the tables that are left are replicas of its tables: the provider reads a replica through the API of
the home region, and the program of a stack without that region declares tables (terraform-provider-aws,
`internal/service/dynamodb/table_replica.go` at 050ac11). So this module removes the region's resources, and
makes the replicas that are left tables.

    pulumi stack export --stack STACK >before.json
    python -m operations.forget_region --region REGION <before.json >after.json
    pulumi stack import --stack STACK --file after.json

It calls no API, and changes nothing in AWS. Keep the first file: importing it undoes the change.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Resource = dict[str, Any]

TABLE = "aws:dynamodb/table:Table"
REPLICA = "aws:dynamodb/tableReplica:TableReplica"
CLUSTER = "aws:rds/cluster:Cluster"
PROVIDER = "pulumi:providers:aws"
TABLE_TIER, REPLICA_TIER = "trading:tier:Table", "trading:tier:TableReplica"


class ForgetError(Exception):
    """Raised if the state can't be changed safely. The text is one line that says what to do instead."""


def forget(state: Mapping[str, Any], region: str) -> dict[str, Any]:
    """An exported state without a region.

    Args:
        state: what `pulumi stack export` prints.
        region: the region that is lost.

    Raises:
        ForgetError: the state has no such region, has no other one, or has an unfinished operation.
    """
    deployment: Mapping[str, Any] = state["deployment"]
    resources: list[Resource] = deployment["resources"]
    if deployment.get("pending_operations"):
        raise ForgetError("an operation is unfinished: run `pulumi refresh` or `pulumi cancel` first")
    regions = _regions(resources)
    if region not in regions:
        known = ", ".join(regions)
        raise ForgetError(f"{region} is not a region of this stack; its regions are {known}")
    rest = [name for name in regions if name != region]
    lost = set(_lost(resources, region))
    tables = {_table(r): r for r in resources if r["type"] == TABLE and r["urn"] in lost}
    if not rest:
        raise ForgetError(f"{region} is the only region of this stack: restore it from its backups instead")
    if tables and len(rest) > 1:
        raise ForgetError(
            f"{region} is the home region, and {' and '.join(rest)} have copies of its tables: first remove "
            "all of them but the one that becomes the home region"
        )
    renamed: dict[str, str] = {}
    kept: list[Resource] = []
    for resource in resources:
        if resource["urn"] in lost:
            continue
        one = _as_table(resource, tables, rest[0]) if tables else resource
        if resource["type"] == CLUSTER:
            one = _with_users(one, [r for r in resources if r["type"] == CLUSTER and r["urn"] in lost])
        renamed[resource["urn"]] = one["urn"]
        kept.append(one)
    return {**state, "deployment": {**deployment, "resources": [_linked(r, renamed) for r in kept]}}


def _regions(resources: Sequence[Resource]) -> list[str]:
    """The regions with a provider of their own. The edge's provider doesn't bear a region's name."""
    names = [(r["urn"].rsplit("::", 1)[-1], r) for r in resources if r["type"] == PROVIDER]
    return [r["inputs"]["region"] for name, r in names if name == f"aws-{r['inputs'].get('region')}"]


def _lost(resources: Sequence[Resource], region: str) -> Iterator[str]:
    """The URNs of a region's resources: its provider and what it has created, its components with all that
    is below them, and what an edge component has created there although its provider is elsewhere.

    What the edge has in its own region stays: a stack can't do without it, and a deployment deletes what it
    had for the lost region.
    """
    at = {r["urn"]: r["inputs"].get("region") for r in resources if r["type"] == PROVIDER}
    found: set[str] = set()
    for resource in resources:  # parents and providers come before what needs them
        urn, parent = resource["urn"], resource.get("parent", "")
        name = urn.rsplit("::", 1)[-1]
        provider = resource.get("provider", "").rpartition("::")[0]
        is_components = resource["type"].startswith("trading:tier:") and name.endswith(f"-{region}")
        is_provider = resource["type"] == PROVIDER and name == f"aws-{region}"
        is_there = resource.get("inputs", {}).get("region") == region and at.get(provider, region) != region
        if is_components or is_provider or is_there or parent in found or provider in found:
            found.add(urn)
            yield urn


def _table(table: Resource) -> str:
    """The name of a table in AWS, which its replicas have, too."""
    return str(table["outputs"]["name"])


def _as_table(resource: Resource, tables: Mapping[str, Resource], home: str) -> Resource:
    """A resource of the new home region: a replica becomes a table, and its component the table's."""
    urn = str(resource["urn"]).replace(f"{REPLICA_TIER}$", f"{TABLE_TIER}$")
    if resource["type"] == REPLICA_TIER:
        return {**resource, "type": TABLE_TIER, "urn": urn.replace(REPLICA_TIER, TABLE_TIER)}
    if resource["type"] != REPLICA:
        return {**resource, "urn": urn}
    table = tables[str(resource["outputs"]["arn"]).rsplit("/", 1)[-1]]
    moved: Resource = json.loads(json.dumps(table))
    key = resource["inputs"].get("kmsKeyArn")
    encryption = {"enabled": True, "kmsKeyArn": key}
    arn = resource["outputs"]["arn"]
    for values in (moved["inputs"], moved["outputs"]):
        values["serverSideEncryption"] = {**values.get("serverSideEncryption", {}), **encryption}
    # A refresh reads the stream's ARN, which belongs to the region.
    streams = ("streamArn", "streamLabel")
    outputs = {name: value for name, value in moved["outputs"].items() if name not in streams}
    if "region" in outputs:
        outputs["region"] = home
    taken = {name: resource[name] for name in ("parent", "provider", "dependencies") if name in resource}
    return {
        **moved,
        **taken,
        "urn": urn.replace(REPLICA, TABLE),
        "type": TABLE,
        "outputs": {**outputs, "arn": arn},
        "propertyDependencies": {
            "serverSideEncryption": resource["propertyDependencies"].get("kmsKeyArn", [])
        },
    }


def _with_users(cluster: Resource, lost: Sequence[Resource]) -> Resource:
    """A cluster that began as a secondary, with the database and the user that it has from the first one.

    The program names them for a first cluster, and ignores changes of them, so nothing else would.
    """
    taken = {
        name: first["inputs"][name]
        for first in lost
        for name in ("databaseName", "masterUsername")
        if name in first["inputs"]
    }
    return {**cluster, "inputs": {**cluster["inputs"], **taken}, "outputs": {**cluster["outputs"], **taken}}


def _linked(resource: Resource, renamed: Mapping[str, str]) -> Resource:
    """A resource whose references to others have their new URNs; those to lost ones are left out."""

    def known(urns: Sequence[str]) -> list[str]:
        return [renamed[urn] for urn in urns if urn in renamed]

    changed: Resource = dict(resource)
    if "parent" in changed:
        changed["parent"] = renamed.get(changed["parent"], changed["parent"])
    if "dependencies" in changed:
        changed["dependencies"] = known(changed["dependencies"])
    if "propertyDependencies" in changed:
        by_property: Mapping[str, list[str] | None] = changed["propertyDependencies"]
        changed["propertyDependencies"] = {name: known(urns or []) for name, urns in by_property.items()}
    if changed.get("deletedWith") and changed["deletedWith"] not in renamed:
        del changed["deletedWith"]
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the state from the standard input and prints the changed one."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.forget_region",
        description="Takes a lost region out of an exported state.",
        allow_abbrev=False,
    )
    parser.add_argument("--region", required=True, help="the region that is lost")
    options = parser.parse_args(arguments)
    state: dict[str, Any] = json.load(sys.stdin)
    try:
        changed = forget(state, options.region)
    except ForgetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    before, after = (len(one["deployment"]["resources"]) for one in (state, changed))
    print(f"{options.region}: {before - after} of {before} resources leave the state", file=sys.stderr)
    json.dump(changed, sys.stdout, indent=4)
    return 0


if __name__ == "__main__":
    sys.exit(main())
