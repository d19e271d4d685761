"""Policies that let a role deploy a stack, limited to the stack's names and tags where AWS allows it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from account import authorization
from account.permissions import data, needed
from account.question import READS
from policy.rule import default_tags, is_map, listed
from policy.scan.plan import State
from report.planned import AUTO_NAME, UNKNOWN, region_of
from settings.aws_limits import EDGE_REGION, MANAGED_POLICIES, MANAGED_POLICY_LENGTH

Json = dict[str, Any]

TAG = "platform"
"""Key of the tag that all resources of a stack carry."""

_CREATES = ("Create", "Tag", "Untag", "AddTags", "RemoveTags", "Allocate", "Request", "Import", "Copy")
_READS = ("Read", "List")
_WRITES = ("Write", "Permissions management")
_EMPTY: Json = {"Version": "2012-10-17", "Statement": []}
_PLACEHOLDER = re.compile(r"\$\{[^}]+\}")


class PolicyError(Exception):
    """Raised if no policies within IAM's limits are possible. The text says what is too large."""


@dataclass(frozen=True)
class Unlimited:
    """A writing action that the policies allow for all resources, and why."""

    action: str
    reason: str


@dataclass(frozen=True)
class Deployer:
    """The permissions of the role that deploys a stack."""

    policies: Sequence[Json]
    """Documents of managed policies, each within IAM's limit."""
    unlimited: Sequence[Unlimited]
    """What could be limited neither by names nor by tags."""
    actions: Sequence[str]
    """All actions."""
    reads: Sequence[Json] = ()
    """Documents with those of the actions that only read configurations, for a role that previews."""
    sensitive: Sequence[Json] = ()
    """Documents with the reading actions that return data, which a refresh needs in addition."""

    @property
    def sizes(self) -> list[int]:
        """Characters of each policy, as IAM counts them."""
        return [len(compact(policy)) for policy in self.policies]


@dataclass(frozen=True)
class _Stack:
    """What the policies have to know about a stack."""

    platform: str
    regions: Sequence[str]
    types: frozenset[str]
    names: Mapping[str, Sequence[str]]
    """Resource type of the reference → name patterns."""
    services: Sequence[str]
    """Services that the stack's roles trust."""
    boundary: str
    """ARN of the permissions boundary of the stack's roles, or an empty string."""


@dataclass(frozen=True, order=True)
class _Scope:
    """What a statement is limited to. Actions with the same scope share a statement."""

    resources: tuple[str, ...] = ("*",)
    condition: str = ""
    """The condition as JSON, or an empty string."""


def deployer(resources: Sequence[State], also: Iterable[str] = ()) -> Deployer:
    """The permissions that a role needs to deploy, update and destroy a stack.

    ARNs have no account, because a policy only allows what the role's own account owns. The permissions for
    the state backend and for the key of the secrets provider aren't included: neither is part of the stack.

    Args:
        resources: the stack's resources, as from `report.planned.planned`.
        also: further actions that read, such as those of the preflight.

    Raises:
        PolicyError: the policies exceed the quota of managed policies of a role, or the stack's roles have
            different permissions boundaries.
        UnknownTypeError, UnknownActionError: as `account.permissions.needed`.
    """
    stack = _stack(resources)
    actions = {*needed(item["type"] for item in resources), *also}
    if stack.boundary:
        # What the boundary limits could otherwise free itself.
        actions.discard("iam:DeleteRolePermissionsBoundary")
    scopes: dict[_Scope, list[str]] = defaultdict(list)
    unlimited: list[Unlimited] = []
    for name in sorted(actions):
        scope, reason = _scope(name, stack)
        scopes[scope].append(name)
        if reason:
            unlimited.append(Unlimited(name, reason))
    policies = list(_packed(sorted(scopes.items())))
    if len(policies) > MANAGED_POLICIES:
        raise PolicyError(
            f"the deployer needs {len(policies)} managed policies of {MANAGED_POLICY_LENGTH} characters, "
            f"but a role accepts only {MANAGED_POLICIES} by default: request a higher quota from AWS"
        )
    reading = {scope: [name for name in names if _only_reads(name)] for scope, names in scopes.items()}
    sensitive = {
        scope: [name for name in names if name in data()["sensitive"]] for scope, names in scopes.items()
    }
    return Deployer(
        policies,
        unlimited,
        sorted(actions),
        reads=list(_packed(sorted(reading.items()))),
        sensitive=list(_packed(sorted(sensitive.items()))),
    )


def _only_reads(name: str) -> bool:
    """Whether an action reads configurations, and no data."""
    action = authorization.actions().get(name.lower())
    verb = name.partition(":")[2]
    if name in data()["sensitive"]:
        return False
    return action.level in _READS if action else verb.startswith(READS)


def compact(value: object) -> str:
    """JSON without white space, which IAM doesn't count."""
    return json.dumps(value, separators=(",", ":"))


def _scope(name: str, stack: _Stack) -> tuple[_Scope, str]:
    """The scope of an action, and why it is unlimited; an empty reason if it is limited or only reads."""
    if name == "iam:PassRole":
        condition = {"StringEquals": {"iam:PassedToService": list(stack.services)}}
        return _Scope(_arns(["iam:role"], stack), compact(condition)), ""
    if name == "iam:CreateServiceLinkedRole":
        return _Scope(("arn:aws:iam::*:role/aws-service-role/*",)), ""
    action = authorization.actions().get(name.lower())
    if action is None:
        return _region_scope([], stack), "it is newer than the reference of what actions accept"
    if _only_reads(name):
        return _Scope(), ""  # requests that list resources accept no names of single ones
    types = [kind for kind in action.resources if kind not in data()["unused"]]
    arns = _arns(types, stack)
    conditions = {**_tag_condition(action, types, stack), **_boundary_condition(name, stack)}
    if arns or conditions:
        condition = compact({"StringEquals": conditions}) if conditions else ""
        return _Scope(arns or ("*",), condition), ""
    return _region_scope(action.resources, stack), _reason(action, types, stack)


def _arns(types: Iterable[str], stack: _Stack) -> tuple[str, ...]:
    """The ARNs that cover all of an action's resource types; none if one has no names."""
    found: set[str] = set()
    for name in types:
        patterns = stack.names.get(name)
        if not patterns:
            return ()
        arn = authorization.resource_types()[name].arn.replace("${Partition}", "aws")
        arn = arn.replace("${Region}", "*").replace("${Account}", "*")
        head, _, tail = arn.partition("${")
        found |= {
            re.sub(r"\*+", "*", head + pattern + _PLACEHOLDER.sub("*", tail.partition("}")[2]))
            for pattern in patterns
        }
    return tuple(sorted(found))


def _boundary_condition(name: str, stack: _Stack) -> dict[str, str]:
    """The condition that gives permissions only to roles with the stack's permissions boundary."""
    if not stack.boundary or name not in data()["bounded"]:
        return {}
    return {"iam:PermissionsBoundary": stack.boundary}


def _tag_condition(action: authorization.Action, types: Sequence[str], stack: _Stack) -> dict[str, str]:
    """The condition that limits an action to the platform's resources, if there is one."""
    verb = action.name.partition(":")[2]
    creates = verb.startswith(_CREATES) and action.name not in data()["existing"]
    if creates or action.level not in _WRITES or action.name in data()["untagged"] or not types:
        return {}
    for name in types:
        if data()["tagged"].get(name) not in stack.types or not authorization.resource_types()[name].has_tags:
            return {}
    return {f"aws:ResourceTag/{TAG}": stack.platform}


def _region_scope(types: Sequence[str], stack: _Stack) -> _Scope:
    """All resources in the stack's regions. Requests to global services go to a region of AWS's choice."""
    arns = [authorization.resource_types()[name].arn for name in types]
    if arns and all("${Region}" in arn for arn in arns):
        return _Scope(condition=compact({"StringEquals": {"aws:RequestedRegion": list(stack.regions)}}))
    return _Scope()


def _reason(action: authorization.Action, types: Sequence[str], stack: _Stack) -> str:
    if action.name in data()["untagged"]:
        return str(data()["untagged"][action.name])
    lacking = [name for name in types if name not in stack.names]
    if not lacking:
        return "AWS can't limit it to resources"
    shown = [*lacking[:3], f"{len(lacking) - 3} others"] if len(lacking) > 4 else lacking
    return f"the platform doesn't choose the names of {', '.join(shown)}"


def _packed(scopes: Iterable[tuple[_Scope, list[str]]]) -> Iterator[Json]:
    """Managed policies with a statement for each scope, divided where a policy is full."""
    policy: Json = {**_EMPTY, "Statement": []}
    for scope, actions in scopes:
        rest = actions
        while rest:
            fitting = _fitting(policy, scope, rest)
            # A statement isn't divided if it fits as a whole in the next policy.
            if not fitting or (fitting < len(rest) == _fitting(_EMPTY, scope, rest)):
                if not policy["Statement"]:
                    raise PolicyError(f"{rest[0]} with all of its resources exceeds a managed policy")
                yield policy
                policy = {**_EMPTY, "Statement": []}
                continue
            policy["Statement"].append(_statement(scope, rest[:fitting]))
            rest = rest[fitting:]
    if policy["Statement"]:
        yield policy


def _fitting(policy: Json, scope: _Scope, actions: Sequence[str]) -> int:
    """How many of the actions fit in a further statement of a policy."""
    for count in range(len(actions), 0, -1):
        statements = [*policy["Statement"], _statement(scope, actions[:count])]
        if len(compact({**policy, "Statement": statements})) <= MANAGED_POLICY_LENGTH:
            return count
    return 0


def _statement(scope: _Scope, actions: Sequence[str]) -> Json:
    statement: Json = {"Effect": "Allow", "Action": list(actions), "Resource": list(scope.resources)}
    if scope.condition:
        statement["Condition"] = json.loads(scope.condition)
    return statement


def _stack(resources: Sequence[State]) -> _Stack:
    known = {item["urn"]: item for item in resources}
    regions = {region_of(item, known) for item in resources if item["type"].startswith("aws:")} - {None}
    platforms = {default_tags(item.get("inputs", {})).get(TAG) for item in resources} - {None}
    if len(platforms) != 1:
        raise PolicyError(f"the stack's providers have {len(platforms)} values of the tag {TAG}, and not one")
    (platform,) = platforms
    return _Stack(
        platform=str(platform),
        regions=sorted({*map(str, regions), EDGE_REGION}),
        types=frozenset(item["type"] for item in resources),
        names=dict(_names(resources, str(platform), regions)),
        services=sorted({service for item in resources for service in _trusted(item)}),
        boundary=_boundary(resources),
    )


def _boundary(resources: Sequence[State]) -> str:
    roles = [item.get("inputs", {}) for item in resources if item["type"] == "aws:iam/role:Role"]
    found = {str(inputs.get("permissionsBoundary") or "") for inputs in roles}
    if len(found) > 1:
        named = ", ".join(name or "none" for name in sorted(found))
        raise PolicyError(
            f"the stack's roles have different permissions boundaries ({named}): set "
            "trading:permissionsBoundary, and let every role have it"
        )
    return found.pop() if found else ""


def _names(
    resources: Sequence[State], platform: str, regions: Iterable[str | None]
) -> Iterator[tuple[str, list[str]]]:
    """Resource types and the name patterns of the stack's resources of each."""
    named, static = data()["named"], data()["static"]
    for name in dict.fromkeys((*named, *static)):
        owners = named.get(name, {})
        found = {static[name]} if name in static else set[str]()
        for item in resources:
            key = owners.get(item["type"])
            physical = item.get("inputs", {}).get(key)
            unknown = isinstance(physical, str) and UNKNOWN in physical
            if key and not (unknown or any(fnmatchcase(str(physical), pattern) for pattern in found)):
                found.add(_pattern(item, physical, platform, regions))
        if found:
            yield name, sorted(found)


def _pattern(item: State, physical: object, platform: str, regions: Iterable[str | None]) -> str:
    """A pattern of a resource's physical name. Names of a tier in a region share a pattern."""
    logical = item["urn"].rpartition("::")[2]
    if isinstance(physical, str) and AUTO_NAME.sub("", physical) != logical:
        head, found, _ = physical.partition(platform)
        return f"{head}{platform}*" if found else f"{physical}*"
    for region in regions:
        head, found, _ = logical.partition(f"-{region}")
        if found:
            return f"{head}{found}*"
    return f"{logical}-*"


def _trusted(item: State) -> Iterator[str]:
    """The services that a role's trust policy names."""
    document = item.get("inputs", {}).get("assumeRolePolicy")
    if not isinstance(document, str) or "Statement" not in document:
        return
    for statement in json.loads(document)["Statement"]:
        principal = statement.get("Principal")
        yield from listed(principal.get("Service")) if is_map(principal) else ()
