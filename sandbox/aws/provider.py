# ruff: noqa: D102 (the base class documents the methods)
"""The sandbox's `aws` provider, which answers the engine's calls from schemas and the store."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from sandbox import sdk_schema, values
from sandbox.aws import (
    attributes,
    cloudformation,
    database_rules,
    edge_rules,
    inheritance,
    invokes,
    read_back,
    regions,
    rules,
)
from sandbox.aws.account import NOTHING, Account
from sandbox.aws.store import Row, Store
from sandbox.rpc import Call, CheckFailure, Difference, Provider, ProviderError, plain_difference
from sandbox.values import UNKNOWN, Properties, is_dict, is_list

# Importing a module of rules registers them.
_ = database_rules

# Types of which AWS doesn't allow two with the same key, so the bridged provider deletes the old one first
# (pulumi-aws: `provider/resources.go`).
_DELETED_FIRST = {
    "aws:apigateway/integration:Integration",
    "aws:ec2/securityGroupRule:SecurityGroupRule",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
}

# Types that are managed in one `region` but exist in all regions.
_GLOBAL = {"aws:rds/globalCluster:GlobalCluster"}


class ApiServers(Protocol):
    """Starts and removes the Kubernetes API server of each EKS cluster."""

    def start(self, name: str, /) -> attributes.Cluster:
        """Returns the API server of a cluster, and starts it unless it is running."""
        ...

    def remove(self, name: str, /) -> None:
        """Stops a cluster's API server and deletes its data."""
        ...


class AwsProvider(Provider):
    """Simulates AWS, with all state in one SQLite file.

    Args:
        directory: folder of the account's state, which is kept between processes.
        api_servers: provides the endpoints of EKS clusters. Without it, the endpoints don't work.
        account: resources that exist without having been deployed.
    """

    name = "aws"
    version = metadata.version("pulumi-aws")

    def __init__(
        self, directory: Path, api_servers: ApiServers | None = None, account: Account = NOTHING
    ) -> None:
        super().__init__()
        self.store = Store(directory, account.resources)
        self._account = account
        self._api_servers = api_servers
        self._lock = threading.RLock()
        self._planned: set[tuple[str, str]] = set()

    # -- configuration -------------------------------------------------------------------------

    def check_config(self, news: Properties) -> list[CheckFailure]:
        failures = [
            CheckFailure(problem.path, str(problem))
            for problem in sdk_schema.validate("pulumi:providers:aws", news)
        ]
        region = news.get("region")
        if region is not None and region != UNKNOWN and region not in regions.names():
            failures.append(CheckFailure("region", f"region: {region!r} is not an AWS region"))
        return failures

    # -- resources -----------------------------------------------------------------------------

    def check(self, call: Call) -> tuple[Properties, list[CheckFailure]]:
        news = {key: value for key, value in call.inputs.items() if key != "__defaults"}
        try:
            problems = sdk_schema.validate(call.type, news)
        except sdk_schema.UnknownTypeError as error:
            return news, [CheckFailure("", str(error))]
        if call.type not in attributes.forms():
            return news, [
                CheckFailure(
                    "",
                    f"{call.type}: the sandbox does not support this AWS type yet: add it to "
                    "sandbox/aws/attributes.toml",
                )
            ]
        region = news.get("region")
        if region and region != UNKNOWN and region not in regions.names():
            problems.append(sdk_schema.Problem("region", region, f"{region!r} is not an AWS region"))
        problems = problems or list(cloudformation.value_problems(call.type, news))
        if problems:
            return news, [CheckFailure(p.path, f"{call.type} {call.name}: {p}") for p in problems]
        return attributes.with_defaults(call.type, call.name, news, call.old_inputs, call.seed), []

    def diff(self, call: Call) -> Difference:
        state = call.outputs
        old, new = _comparable(call.type, call.old_inputs), _comparable(call.type, call.inputs)
        found = plain_difference(old, new)
        if "tagsAll" in state and "tags" not in call.ignore_changes and not found.changes:
            tags: dict[str, str] = {**_default_tags(call.config), **(new.get("tags") or {})}
            if UNKNOWN not in tags.values() and tags != state["tagsAll"]:
                found.changes["tagsAll"] = "update"
        for name in inheritance.pending(call.type, state, new).difference(call.ignore_changes):
            found.changes.setdefault(name, "update")
        region = _region(call)
        if region and state.get("region", region) != region:
            found.changes["region"] = "update"
        for name in read_back.differing(call.type, new, state):
            if name not in call.ignore_changes:
                found.changes.setdefault(name, "update")
        found.replaces = {
            path
            for path in found.changes
            if cloudformation.replaces(call.type, path, values.at(old, path), values.at(new, path))
        }
        found.replaces |= rules.forced_replacements(call.type, old, new, set(found.changes))
        named = attributes.named_property(call.type)
        automatic: list[str] = call.inputs.get("__defaults", [])
        fixed = named and named not in automatic and old.get(named) == new.get(named)
        found.delete_before_replace = bool(found.replaces) and (bool(fixed) or call.type in _DELETED_FIRST)
        return found

    def create(self, call: Call) -> tuple[str, Properties]:
        change = self._change(call)
        with self._lock:
            self.enforce(change)
            builder = self._builder(change)
            outputs = builder.outputs()
            if call.preview:
                self._planned.add((change.type, builder.planned_id()))
                return "", outputs
            row = self._row(change, builder.id, builder.arn, outputs)
            if self.store.get(*row.key) and not edge_rules.overwrites(change):
                raise ProviderError(f"{change.type} {change.name}: {row.id} already exists")
            row = inheritance.inherited(self.store, row, created=True)
            self.store.put(row)
            inheritance.pass_on(self.store, row, None)
            return row.id, row.outputs

    def update(self, call: Call) -> Properties:
        change = self._change(call)
        with self._lock:
            change.current = before = self._existing(call)
            unchanged = inheritance.unchanged(before, call.old_inputs, call.inputs)
            change.inputs, change.given = {**change.inputs, **unchanged}, {**change.given, **unchanged}
            self.enforce(change)
            outputs = self._builder(change, (call.id, call.old_inputs, call.outputs)).outputs()
            pending = inheritance.pending(call.type, call.outputs, change.inputs)
            outputs |= {name: change.inputs[name] for name in pending}
            if call.preview:
                return outputs
            row = self._row(change, call.id, before.arn if before else "", outputs)
            row = inheritance.inherited(self.store, row, created=False)
            self.store.put(row)
            inheritance.pass_on(self.store, row, before)
            return row.outputs

    def read(self, call: Call) -> tuple[Properties, Properties] | None:
        row = self._existing(call)
        return (row.inputs, row.outputs) if row else None

    def delete(self, call: Call) -> None:
        with self._lock:
            row = self._existing(call)
            if row is None:
                return  # it is already deleted
            rules.check_deletion(self.store, row)
            edge_rules.check_shared_deletion(self.store, row, call.urn)
            if snapshot := rules.final_snapshot(row):
                self.store.keep_snapshot(row, snapshot)
            self._remove(row)

    def take_back(self, call: Call, known: set[str]) -> None:
        for row in self.store.all(call.type):
            if row.urn == call.urn and row.id not in known:
                self._remove(row)

    def invoke(self, config: Properties, token: str, args: Properties) -> Properties:
        try:
            problems = sdk_schema.validate_function(token, args)
        except sdk_schema.UnknownTypeError as error:
            raise ProviderError(str(error)) from None
        if problems:
            raise ProviderError(f"{token}: " + "; ".join(map(str, problems)))
        region = args.get("region") or config.get("region", "")
        return invokes.call(token, args, region, self.store, self._account.hint)

    def enforce(self, change: rules.Change) -> None:
        """Raises AWS's error for a change. Tests of a single tier override this, as references are
        missing."""
        rules.check(change)

    # -- helpers -------------------------------------------------------------------------------

    def _remove(self, row: Row) -> None:
        if row.type == "aws:eks/cluster:Cluster" and self._api_servers:
            self._api_servers.remove(row.id)
        self.store.remove(row)

    def _change(self, call: Call) -> rules.Change:
        return rules.Change(
            type=call.type,
            name=call.name,
            urn=call.urn,
            region=_region(call),
            inputs={key: value for key, value in call.inputs.items() if key != "__defaults"},
            given=call.inputs,
            default_tags=_default_tags(call.config),
            preview=call.preview,
            store=self.store,
            hint=self._account.hint,
            planned=self._planned,
        )

    def _builder(
        self, change: rules.Change, old: tuple[str, Properties, Properties] | None = None
    ) -> attributes.Builder:
        return attributes.Builder(
            change.type,
            change.inputs,
            region=change.region,
            default_tags=change.default_tags,
            store=self.store,
            preview=change.preview,
            old=old,
            start_cluster=self._api_servers.start if self._api_servers else None,
        )

    def _row(self, change: rules.Change, identifier: str, arn: str, outputs: Properties) -> Row:
        regional = "region" in sdk_schema.schema(change.type).outputs and change.type not in _GLOBAL
        place = change.region if regional else ""
        return Row(
            change.type,
            place,
            identifier,
            attributes.scope(change.type, change.inputs),
            arn,
            change.urn,
            change.given,
            outputs,
        )

    def _existing(self, call: Call) -> Row | None:
        scope = attributes.scope(call.type, call.inputs or call.outputs)
        rows = (self.store.get(call.type, place, call.id, scope) for place in (_region(call), ""))
        return next(filter(None, rows), None)


def _region(call: Call) -> str:
    return str((call.inputs or call.outputs).get("region") or call.config.get("region") or "")


def _default_tags(config: Mapping[str, Any]) -> dict[str, str]:
    """The provider's `defaultTags`, which the engine passes as JSON."""
    value: Any = config.get("defaultTags") or {}
    return (json.loads(value) if isinstance(value, str) else value).get("tags") or {}


# Lists that are sets in Terraform's provider. They have no order, so a refresh can return another one.
_SETS = {
    "aws:dynamodb/table:Table": ("attributes", "globalSecondaryIndexes", "localSecondaryIndexes", "replicas"),
    "aws:elasticache/parameterGroup:ParameterGroup": ("parameters",),
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": ("parameters",),
    "aws:rds/parameterGroup:ParameterGroup": ("parameters",),
}


def _comparable(kind: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as AWS compares them: spacing and key order of policy documents don't matter, nor does the order
    of a set."""
    found = {key: _canonical(value) for key, value in inputs.items() if key != "__defaults"}
    for name in _SETS.get(kind, ()):
        if is_list(items := found.get(name)):
            found[name] = sorted(items, key=_position)
    return found


def _position(item: Any) -> str:
    name = item.get("name", "") if is_dict(item) else ""
    return f"{name} {json.dumps(item, sort_keys=True)}"


def _canonical(value: Any) -> Any:
    if is_dict(value):
        return {key: _canonical(item) for key, item in value.items()}
    if is_list(value):
        return [_canonical(item) for item in value]
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value
