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

_CREATES = ("Create", "Allocate", "Request", "Import", "Copy")
_UNTAGS = ("Untag", "RemoveTags", "DeleteTags")
_READS = ("Read", "List")
_WRITES = ("Write", "Permissions management")
_SHARED = "other stacks of the account have the same automatic names"
_RESOURCE_TAG = f"aws:ResourceTag/{TAG}"
_REQUEST_TAG = f"aws:RequestTag/{TAG}"
_TAG_KEYS = "aws:TagKeys"
_EMPTY: Json = {"Version": "2012-10-17", "Statement": []}
_PLACEHOLDER = re.compile(r"\$\{[^}]+\}")


class PolicyError(Exception):
    """Raised if no policies within IAM's limits are possible. The text says what is too large."""


@dataclass(frozen=True)
class Unlimited:
    """An action that writes or returns data, which the policies can't limit to the stack's own resources."""

    action: str
    reason: str


@dataclass(frozen=True)
class Deployer:
    """The permissions of the role that deploys a stack."""

    policies: Sequence[Json]
    """Documents of managed policies, each within IAM's limit."""
    unlimited: Sequence[Unlimited]
    """What could be limited neither by tags nor by names that only this stack has."""
    actions: Sequence[str]
    """All actions."""
    reads: Sequence[Json] = ()
    """Documents with what the resources need and only reads configurations, for a role that previews."""
    sensitive: Sequence[Json] = ()
    """Documents with what the resources need and returns data, which a refresh needs in addition."""

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
    effect: str = "Allow"


def deployer(resources: Sequence[State], also: Iterable[str] = ()) -> Deployer:
    """The permissions that a role needs to deploy, update and destroy a stack.

    ARNs have no account, because a policy only allows what the role's own account owns. The permissions for
    the state backend and for the key of the secrets provider aren't included: neither is part of the stack.

    Args:
        resources: the stack's resources, as from `report.planned.planned`.
        also: further actions that the role that deploys needs, such as those of the preflight. Roles that
            preview or refresh don't get them.

    Raises:
        PolicyError: the policies exceed the quota of managed policies of a role, or the stack's roles have
            different permissions boundaries.
        UnknownTypeError, UnknownActionError: as `account.permissions.needed`.
    """
    stack = _stack(resources)
    own = set(needed(item["type"] for item in resources))
    if stack.boundary:
        # What the boundary limits could otherwise free itself.
        own.discard("iam:DeleteRolePermissionsBoundary")
    actions = sorted({*own, *also})
    scopes: dict[_Scope, list[str]] = defaultdict(list)
    unlimited: list[Unlimited] = []
    for name in actions:
        found, reason = _scopes(name, stack)
        for scope in found:
            scopes[scope].append(name)
        if reason:
            unlimited.append(Unlimited(name, reason))
    refused = (_foreign(stack), _refused(scopes, actions))
    policies = list(_packed([*sorted(_merged(scopes, stack)), refused]))
    if len(policies) > MANAGED_POLICIES:
        raise PolicyError(
            f"the deployer needs {len(policies)} managed policies of {MANAGED_POLICY_LENGTH} characters, "
            f"but a role accepts only {MANAGED_POLICIES} by default: request a higher quota from AWS"
        )
    reading = {
        scope: [it for it in names if it in own and _only_reads(it)] for scope, names in scopes.items()
    }
    sensitive = {
        scope: [it for it in names if it in own and it in data()["sensitive"]]
        for scope, names in scopes.items()
    }
    return Deployer(
        policies,
        unlimited,
        actions,
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


def _scopes(name: str, stack: _Stack) -> tuple[list[_Scope], str]:
    """The scopes of an action, and why they aren't limited to the stack's own resources; an empty reason if
    they are, or if the action only reads."""
    if name == "iam:PassRole":
        condition = {"StringEquals": {"iam:PassedToService": list(stack.services)}}
        return [_Scope(_arns(["iam:role"], stack), compact(condition))], _shared(["iam:role"], stack)
    if name == "iam:CreateServiceLinkedRole":
        return [_Scope(("arn:aws:iam::*:role/aws-service-role/*",))], ""
    action = authorization.actions().get(name.lower())
    if action is None:
        return [_region_scope([], stack)], "it is newer than the reference of what actions accept"
    if _only_reads(name):
        return [_Scope()], ""  # requests that list resources accept no names of single ones
    types = [kind for kind in action.resources if kind not in data()["unused"]]
    if action.level == "Tagging":
        return _tagging(action, types, stack)
    if not types:
        return [_region_scope(action.resources, stack)], "AWS can't limit it to resources"
    tagged, others = _by_tags(action, types, stack)
    arns = _arns(others, stack)
    if others and not arns:
        return [_region_scope(action.resources, stack)], _reason(others, stack)
    bounded = _boundary_condition(name, stack)
    found: list[_Scope] = []
    if tagged:
        # A request is allowed if it is for each of its resources (IAM User Guide, "Policy evaluation logic").
        found.append(_limited(_arns(tagged, stack), {_RESOURCE_TAG: stack.platform, **bounded}))
    if others:
        found.append(_limited(arns, bounded))
    return found, _shared([kind for kind in others if not _has_tags(kind)], stack)


def _limited(arns: tuple[str, ...], conditions: Mapping[str, str]) -> _Scope:
    return _Scope(arns or ("*",), compact({"StringEquals": conditions}) if conditions else "")


def _tagging(action: authorization.Action, types: Sequence[str], stack: _Stack) -> tuple[list[_Scope], str]:
    """The scopes of an action that tags: resources that have the stack's tag, and new ones that get it.

    Whoever could give the tag to other resources, or take it away, would not be limited by it (IAM User
    Guide, "Controlling access to AWS resources using tags", read 2026-11-27). A service asks for the
    permission also when it creates a resource with tags, and few say in a condition key that it does.
    """
    named = [kind for kind in types if kind in stack.names]
    arns = _arns(named, stack)
    removes = action.name.partition(":")[2].startswith(_UNTAGS)
    accepted = (_TAG_KEYS if removes else "aws:RequestTag/${TagKey}") in action.conditions
    if not accepted or not any(map(_has_tags, types)):
        if arns:
            return [_limited(arns, {})], _shared(named, stack)
        return [_region_scope(action.resources, stack)], _reason(types, stack)
    own = {_RESOURCE_TAG: stack.platform}
    if removes:
        # `ForAllValues` holds without any key, as when EC2 removes all tags of a resource.
        keys: Json = {"ForAllValues:StringNotEquals": {_TAG_KEYS: [TAG]}, "Null": {_TAG_KEYS: "false"}}
        return [_Scope(condition=compact({"StringEquals": own, **keys}))], ""
    existing = {"StringEquals": own, "StringEqualsIfExists": {_REQUEST_TAG: stack.platform}}
    new: Json = {"StringEquals": {_REQUEST_TAG: stack.platform}}
    found = [_Scope(condition=compact(existing))]
    creating = f"{action.name.partition(':')[0]}:CreateAction"
    if creating in action.conditions:
        later = [kind for kind in data()["tagged_later"] if kind in types]
        if later:
            found.append(_Scope(tuple(map(_every, later)), compact(new)))
        new["Null"] = {creating: "false"}
    return [*found, _Scope(condition=compact(new))], ""


def _merged(scopes: Mapping[_Scope, Sequence[str]], stack: _Stack) -> list[tuple[_Scope, list[str]]]:
    """The scopes with fewer statements: those of a service with the same condition become one, as long as no
    action gets a resource that it accepts and isn't scoped to. Actions ignore resources of other types."""
    merged: list[tuple[_Scope, dict[str, tuple[str, ...]]]] = []
    for scope, names in sorted(scopes.items()):
        own = dict.fromkeys(names, scope.resources)
        service = scope.resources[0].split(":")[2:3]
        for at, (other, theirs) in enumerate(merged):
            resources = {*other.resources, *scope.resources}
            if (
                (other.condition, other.resources[0].split(":")[2:3]) == (scope.condition, service)
                and not own.keys() & theirs.keys()
                and all(
                    resources & _accepted(name, stack) <= {*kept} for name, kept in {**own, **theirs}.items()
                )
            ):
                wider = _Scope(tuple(sorted(resources)), scope.condition)
                merged[at] = (wider, {**theirs, **own})
                break
        else:
            merged.append((scope, own))
    return [(scope, sorted(own)) for scope, own in merged]


def _accepted(name: str, stack: _Stack) -> set[str]:
    """The ARNs of the stack that an action accepts."""
    action = authorization.actions().get(name.lower())
    return {arn for kind in (action.resources if action else ()) for arn in _arns([kind], stack)}


def _foreign(stack: _Stack) -> _Scope:
    """What has the tag of another stack. Not all actions can be limited to what has the stack's own: some
    create, and some also need resources without the tag."""
    condition = {"StringNotEquals": {_RESOURCE_TAG: stack.platform}, "Null": {_RESOURCE_TAG: "false"}}
    return _Scope(condition=compact(condition), effect="Deny")


def _refused(scopes: Mapping[_Scope, Sequence[str]], actions: Sequence[str]) -> list[str]:
    """Patterns of the actions that are refused for what has the tag of another stack: those that write, and
    that aren't already limited to the stack's own tag.

    The patterns have the first word of the actions, because a policy is too small for all names.
    """
    loose = {
        name
        for scope, names in scopes.items()
        for name in names
        if f'"StringEquals":{{"{_RESOURCE_TAG}"' not in scope.condition and _could_be_foreign(name)
    }
    kept = [name for name in actions if name not in loose and not _could_be_foreign(name)]
    patterns: dict[str, list[str]] = defaultdict(list)
    for name in loose:
        patterns[re.sub(r":([A-Z]?[a-z]+|[A-Z]+).*", r":\1*", name)].append(name)
    return sorted(
        item
        for pattern, names in patterns.items()
        for item in (names if any(fnmatchcase(it, pattern) for it in kept) else [pattern])
    )


def _could_be_foreign(name: str) -> bool:
    """Whether an action writes, and AWS knows the tags of what it writes."""
    if name in data()["untagged"] or _only_reads(name):
        return False
    action = authorization.actions().get(name.lower())
    return action is None or any(map(_has_tags, action.resources))


def _has_tags(kind: str) -> bool:
    return authorization.resource_types()[kind].has_tags


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


def _every(kind: str) -> str:
    """The ARN that covers all resources of a type."""
    return _PLACEHOLDER.sub("*", authorization.resource_types()[kind].arn.replace("${Partition}", "aws"))


def _boundary_condition(name: str, stack: _Stack) -> dict[str, str]:
    """The condition that gives permissions only to roles with the stack's permissions boundary."""
    if not stack.boundary or name not in data()["bounded"]:
        return {}
    return {"iam:PermissionsBoundary": stack.boundary}


def _by_tags(
    action: authorization.Action, types: Sequence[str], stack: _Stack
) -> tuple[list[str], list[str]]:
    """An action's resource types: those whose resources must have the stack's tag, and the others."""
    creates = action.name.partition(":")[2].startswith(_CREATES) and action.name not in data()["existing"]
    if creates or action.name in data()["creating"]:
        return [], [*types]
    tagged = [kind for kind in types if data()["tagged"].get(kind) in stack.types]
    return tagged, [kind for kind in types if kind not in tagged]


def _region_scope(types: Sequence[str], stack: _Stack) -> _Scope:
    """All resources in the stack's regions. Requests to global services go to a region of AWS's choice."""
    arns = [authorization.resource_types()[name].arn for name in types]
    if arns and all("${Region}" in arn for arn in arns):
        return _Scope(condition=compact({"StringEquals": {"aws:RequestedRegion": list(stack.regions)}}))
    return _Scope()


def _reason(types: Sequence[str], stack: _Stack) -> str:
    lacking = [name for name in types if name not in stack.names]
    if not lacking:
        return "AWS can't limit it to resources"
    shown = [*lacking[:3], f"{len(lacking) - 3} others"] if len(lacking) > 4 else lacking
    return f"the platform doesn't choose the names of {', '.join(shown)}"


def _shared(types: Iterable[str], stack: _Stack) -> str:
    """Why names don't limit an action to the stack's own resources: automatic names lack the environment."""
    patterns = {pattern for kind in types for pattern in stack.names[kind]}
    return _SHARED if any(stack.platform not in pattern for pattern in patterns) else ""


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
    statement: Json = {"Effect": scope.effect, "Action": list(actions), "Resource": list(scope.resources)}
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
