# ruff: noqa: ARG002, D102 (the methods are the base class's, whose documentation holds)
"""The `aws` provider of the sandbox: the engine's calls, answered from schemas and the store."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from sandbox import sdk_schema
from sandbox.aws import attributes, cloudformation, invokes, regions, rules
from sandbox.aws.store import Row, Store
from sandbox.rpc import (
    CheckFailure,
    Difference,
    Properties,
    Provider,
    ProviderError,
    plain_difference,
    urn_name,
    urn_type,
)

# Types of which AWS allows one at a time in its place, so the bridged provider deletes the old one first
# (pulumi-aws: `provider/resources.go`).
_DELETED_FIRST = {
    "aws:apigateway/integration:Integration",
    "aws:ec2/securityGroupRule:SecurityGroupRule",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
}


class ApiServers(Protocol):
    """Starts and ends the Kubernetes API server behind each EKS cluster."""

    def start(self, name: str, /) -> attributes.Cluster:
        """The running API server of a cluster, started if need be."""
        ...

    def remove(self, name: str, /) -> None:
        """Ends a cluster's API server and deletes its data."""
        ...


class AwsProvider(Provider):
    """AWS in one SQLite file.

    Args:
        directory: where the account's state lives; it survives the process.
        api_servers: gives EKS clusters an endpoint that answers; without it they have one that does not.
    """

    name = "aws"
    version = metadata.version("pulumi-aws")

    def __init__(self, directory: Path, api_servers: ApiServers | None = None) -> None:
        super().__init__()
        self.store = Store(directory)
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
        if region is not None and region != sdk_schema.UNKNOWN and region not in regions.names():
            failures.append(CheckFailure("region", f"region: {region!r} is not an AWS region"))
        return failures

    # -- resources -----------------------------------------------------------------------------

    def check(
        self, config: Properties, urn: str, olds: Properties, news: Properties, seed: bytes
    ) -> tuple[Properties, list[CheckFailure]]:
        token, name = urn_type(urn), urn_name(urn)
        news = {key: value for key, value in news.items() if key != "__defaults"}
        try:
            problems = sdk_schema.validate(token, news)
        except sdk_schema.UnknownTypeError as error:
            return news, [CheckFailure("", str(error))]
        if token not in attributes.forms():
            return news, [CheckFailure("", f"{token} is an AWS type that the sandbox does not know yet")]
        region = news.get("region")
        if region and region != sdk_schema.UNKNOWN and region not in regions.names():
            problems.append(sdk_schema.Problem("region", region, f"{region!r} is not an AWS region"))
        if not problems:
            problems = list(cloudformation.value_problems(token, news))
        inputs = attributes.with_defaults(token, name, news, olds, seed) if not problems else news
        return inputs, [CheckFailure(p.path, f"{token} {name}: {p}") for p in problems]

    def diff(
        self,
        config: Properties,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: list[str],
    ) -> Difference:
        token = urn_type(urn)
        found = plain_difference(_comparable(old_inputs), _comparable(news))
        if "tagsAll" in old_outputs and "tags" not in ignore_changes and not found.changes:
            tags: dict[str, str] = {**_default_tags(config), **(news.get("tags") or {})}
            if sdk_schema.UNKNOWN not in tags.values() and tags != old_outputs["tagsAll"]:
                found.changes["tagsAll"] = "update"
        region = _region(config, news)
        if region and old_outputs.get("region", region) != region:
            found.changes["region"] = "update"
        found.replaces = {path for path in found.changes if cloudformation.replaces(token, path)}
        found.replaces |= rules.forced_replacements(token, old_inputs, news, set(found.changes))
        named = attributes.named_property(token)
        fixed = (
            named is not None
            and named not in news.get("__defaults", [])
            and old_inputs.get(named) == news.get(named)
        )
        found.delete_before_replace = bool(found.replaces) and (fixed or token in _DELETED_FIRST)
        return found

    def create(
        self, config: Properties, urn: str, inputs: Properties, preview: bool
    ) -> tuple[str, Properties]:
        change = self._change(config, urn, inputs, preview)
        with self._lock:
            self.enforce(change)
            builder = self._builder(change)
            outputs = builder.outputs()
            if preview:
                self._planned.add((change.type, builder.planned_id()))
                return "", outputs
            row = self._row(change, builder.id, builder.arn, outputs)
            if self.store.get(*row.key):
                raise ProviderError(f"{change.type} {change.name}: {row.id} already exists")
            self.store.put(row)
            return row.id, outputs

    def update(
        self,
        config: Properties,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
    ) -> Properties:
        change = self._change(config, urn, news, preview)
        with self._lock:
            row = self._existing(change, identifier)
            change.current = row
            self.enforce(change)
            outputs = self._builder(change, (identifier, old_inputs, old_outputs)).outputs()
            if not preview:
                self.store.put(self._row(change, identifier, row.arn if row else "", outputs))
            return outputs

    def read(
        self, config: Properties, urn: str, identifier: str, inputs: Properties, outputs: Properties
    ) -> tuple[Properties, Properties] | None:
        row = self._existing(self._change(config, urn, inputs or outputs, preview=True), identifier)
        return (row.inputs, row.outputs) if row else None

    def delete(
        self, config: Properties, urn: str, identifier: str, inputs: Properties, outputs: Properties
    ) -> None:
        with self._lock:
            row = self._existing(self._change(config, urn, inputs or outputs, preview=False), identifier)
            if row is None:
                return  # somebody else deleted it: the goal is reached
            rules.check_deletion(self.store, row)
            self._remove(row)

    def take_back(self, config: Properties, urn: str, inputs: Properties, known: set[str]) -> None:
        for row in self.store.all(urn_type(urn)):
            if row.urn == urn and row.id not in known:
                self._remove(row)

    def invoke(self, config: Properties, token: str, args: Properties) -> Properties:
        try:
            problems = sdk_schema.validate_function(token, args)
        except sdk_schema.UnknownTypeError as error:
            raise ProviderError(str(error)) from None
        if problems:
            raise ProviderError(f"{token}: " + "; ".join(map(str, problems)))
        return invokes.call(token, args, args.get("region") or _region(config, {}), self.store)

    def enforce(self, change: rules.Change) -> None:
        """Raises what AWS would answer to a change; a test of one tier alone has nothing to refer to."""
        rules.check(change)

    # -- helpers -------------------------------------------------------------------------------

    def _remove(self, row: Row) -> None:
        if row.type == "aws:eks/cluster:Cluster" and self._api_servers:
            self._api_servers.remove(row.id)
        self.store.remove(row)

    def _change(self, config: Properties, urn: str, inputs: Properties, preview: bool) -> rules.Change:
        return rules.Change(
            type=urn_type(urn),
            name=urn_name(urn),
            urn=urn,
            region=_region(config, inputs),
            inputs={key: value for key, value in inputs.items() if key != "__defaults"},
            given=inputs,
            default_tags=_default_tags(config),
            preview=preview,
            store=self.store,
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
        place = change.region if "region" in sdk_schema.schema(change.type).outputs else ""
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

    def _existing(self, change: rules.Change, identifier: str) -> Row | None:
        for place in (change.region, ""):
            row = self.store.get(change.type, place, identifier, attributes.scope(change.type, change.inputs))
            if row:
                return row
        return None


def _region(config: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    return str(inputs.get("region") or config.get("region") or "")


def _default_tags(config: Mapping[str, Any]) -> dict[str, str]:
    """The provider's `defaultTags`, which the engine passes as JSON text."""
    value: Any = config.get("defaultTags") or {}
    return (json.loads(value) if isinstance(value, str) else value).get("tags") or {}


def _comparable(inputs: Mapping[str, Any]) -> Any:
    """Inputs as AWS compares them: a policy document is the same whatever its spacing and key order."""
    return {key: _canonical(value) for key, value in inputs.items() if key != "__defaults"}


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_canonical(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value
