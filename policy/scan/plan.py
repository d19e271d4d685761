"""Converts a stack's state to a Terraform plan, in the format of `terraform show -json` ("JSON Output
Format").

A plan has the values that a program requests, so the values are a resource's inputs. Outputs are left out:
checks would evaluate what the provider reports and not what is under review, and the sandbox invents many
outputs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from policy import production
from policy.rule import SECRET, Resource, default_tags, is_list, is_map
from policy.scan.names import attribute, terraform_type
from policy.secrets import without_secrets
from sandbox import sdk_schema
from sandbox.sdk_schema import Property, Type
from sandbox.values import SECRET as SECRET_SIGNATURE
from sandbox.values import SIGNATURE

State = Mapping[str, Any]
"""One resource of a state, as `pulumi stack export` shows it."""

Json = dict[str, Any]

PROVIDER = "hashicorp/aws"

_NO_PROVIDER: State = {"urn": "default"}


class PlanError(Exception):
    """Raised if the state cannot be converted to a plan. The text names the resource and the reason."""


@dataclass(frozen=True)
class Plan:
    """A plan, and the resources that its addresses stand for."""

    document: Mapping[str, Any]
    resources: Mapping[str, Resource]
    """Address, such as `aws_s3_bucket.web-app`, or `aws.us-east-1` for a provider → resource."""
    hidden: Sequence[str]
    """Blocks, lists and policies that are secret as a whole in the state, so their contents are unknown."""


@dataclass
class _Values:
    """Converts the properties of one resource to Terraform's attributes."""

    type: str
    resource: str
    unknown: set[str] = field(default_factory=set[str])
    """Pulumi's names of the blocks, lists and policies that are secret as a whole."""

    def block(self, known: Mapping[str, Property], properties: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of a resource or block that have a value."""
        block: dict[str, Any] = {}
        for name, value in properties.items():
            if name == "__defaults":
                continue
            if name not in known:
                raise PlanError(
                    f"{self.resource} has the property {name}, which the installed pulumi_aws does not know: "
                    "scan with the version that the stack was deployed with"
                )
            kind = known[name].type
            if (converted := self._value(kind, value, name)) is not None:
                block[attribute(self.type, name, kind)] = converted
        return block

    def _value(self, kind: Type, value: Any, name: str) -> Any:
        if is_map(value) and value.get(SIGNATURE) == SECRET_SIGNATURE:
            if not _is_composite(kind) and not _is_document(name):
                return SECRET
            self.unknown.add(name)
            return None
        if is_map(value):
            return self._object(kind, value, name)
        if is_list(value):
            item = (kind.option("list") or Type("list")).item or Type("any")
            converted = (self._value(item, member, name) for member in value)
            # A block within a list is not wrapped in another list.
            return [
                member[0] if item.option("object") and is_list(member) else member for member in converted
            ]
        # The engine has no integers, but Terraform does.
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def _object(self, kind: Type, value: Mapping[str, Any], name: str) -> Any:
        if kind.option("asset") or SIGNATURE in value:
            return None
        if kind.option("string"):
            return json.dumps(without_secrets(value))  # a policy's document
        block = kind.option("object")
        if block and block.cls:
            # Terraform puts every block into a list, even one that can occur only once.
            return [self.block(sdk_schema.properties(block.cls), value)]
        item = (kind.option("map") or Type("map")).item or Type("any")
        return {key: self._value(item, member, name) for key, member in value.items()}


def plan(state: Sequence[State]) -> Plan:
    """Converts the resources of a stack to a plan.

    Raises:
        PlanError: the installed SDK does not know a property.
        sandbox.sdk_schema.UnknownTypeError: the installed SDK does not know a type.
    """
    resources = [item for item in state if item["type"].startswith("aws:") and not item.get("delete")]
    providers = {
        f"{item['urn']}::{item['id']}": item for item in state if item["type"] == "pulumi:providers:aws"
    }
    by_urn = {item["urn"]: item for item in resources}
    addresses = _addresses(resources)
    is_production = production.by_state(state)
    planned: list[Json] = []
    configured: list[Json] = []
    hidden: list[str] = []
    for item in resources:
        schema = sdk_schema.schema(item["type"])
        provider = providers.get(item.get("provider", ""), _NO_PROVIDER)
        address = addresses[item["urn"]]
        kind, name = address.split(".", 1)
        values = _Values(kind, f"{item['type']} {logical_name(item)}")
        attributes = values.block(schema.inputs, _inputs(item))
        if "tagsAll" in schema.outputs:
            attributes["tags_all"] = {**default_tags(_inputs(provider)), **attributes.get("tags", {})}
        expressions = {
            attribute(kind, key, schema.inputs[key].type): {
                "references": [addresses[urn] for urn in _sources(item, key, by_urn)]
            }
            for key in item.get("propertyDependencies", {})
            # Checkov takes a reference for a value, so properties without a value get none.
            if key in schema.inputs and _inputs(item).get(key) is not None
        }
        head = {"address": address, "mode": "managed", "type": kind, "name": name}
        planned.append({**head, "provider_name": PROVIDER, "schema_version": 0, "values": attributes})
        configured.append(
            {**head, "provider_config_key": _provider_address(provider), "expressions": expressions}
        )
        hidden += [f"{key} of {values.resource}" for key in sorted(values.unknown)]
    return Plan(
        {
            "format_version": "1.2",
            "terraform_version": "1.9.0",
            "planned_values": {"root_module": {"resources": planned}},
            "resource_changes": [_creation(resource) for resource in planned],
            "configuration": {
                "provider_config": {_provider_address(item): _provider(item) for item in providers.values()},
                "root_module": {"resources": configured},
            },
        },
        {addresses[item["urn"]]: _resource(item, providers, is_production) for item in resources}
        | {_provider_address(item): _resource(item, providers, is_production) for item in providers.values()},
        hidden,
    )


def _creation(resource: Json) -> Json:
    change: Json = {"actions": ["create"], "before": None, "after": resource["values"], "after_unknown": {}}
    head = {key: value for key, value in resource.items() if key not in ("values", "schema_version")}
    return {**head, "change": change}


def _addresses(resources: Sequence[State]) -> dict[str, str]:
    """URN → address. Terraform distinguishes resources by type and name, Pulumi also by their parents."""
    addresses: dict[str, str] = {}
    taken: set[str] = set()
    for item in resources:
        base = address = (
            f"{terraform_type(item['type'])}.{re.sub(r'[^A-Za-z0-9_-]', '_', logical_name(item))}"
        )
        number = 1
        while address in taken:
            number += 1
            address = f"{base}_{number}"
        taken.add(address)
        addresses[item["urn"]] = address
    return addresses


def _sources(item: State, key: str, by_urn: Mapping[str, State]) -> Iterator[str]:
    """URNs of the resources from which a property's value comes.

    They include indirect sources: a bucket's versioning, for example, only passes the bucket's name on.
    """
    value = _inputs(item).get(key)
    for urn in item["propertyDependencies"][key]:
        if urn not in by_urn:
            continue
        yield urn
        giver = by_urn[urn]
        for passed in giver.get("propertyDependencies", {}):
            if isinstance(value, str) and _inputs(giver).get(passed) == value:
                yield from _sources(giver, passed, by_urn)


def _resource(item: State, providers: Mapping[str, State], is_production: bool) -> Resource:
    """The resource in the form that exceptions use."""
    provider = item if item["type"] == "pulumi:providers:aws" else providers.get(item.get("provider", ""))
    return Resource(
        type=item["type"],
        name=logical_name(item),
        urn=item["urn"],
        properties={},
        provider=_inputs(provider or _NO_PROVIDER),
        protect=item.get("protect", False),
        sources={},
        is_production=is_production,
    )


def _provider(item: State) -> Json:
    """The settings of a provider that checks evaluate."""
    settings = {"region": "region", "accessKey": "access_key", "secretKey": "secret_key"}
    return {
        "name": "aws",
        "full_name": PROVIDER,
        "alias": logical_name(item),
        "expressions": {
            name: {"constant_value": value}
            for key, name in settings.items()
            if isinstance(value := _inputs(item).get(key), str)
        },
    }


def _provider_address(provider: State) -> str:
    return f"aws.{logical_name(provider)}"


def _inputs(item: State) -> Mapping[str, Any]:
    return item.get("inputs", {})


def logical_name(item: State) -> str:
    """The name that the program gives a resource."""
    return item["urn"].rsplit("::", 1)[-1]


def _is_document(name: str) -> bool:
    """Whether a property is a policy document, which is meaningless without its secret parts."""
    return name.lower().endswith("policy")


def _is_composite(kind: Type) -> bool:
    return any(kind.option(wanted) for wanted in ("list", "map", "object"))
