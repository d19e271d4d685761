"""Policies that allow more than before: which principal may now do what, and what everyone may do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from policy.documents.admission import is_public
from policy.documents.parse import documents
from policy.rule import SECRET, is_list, is_map, listed
from report.differences import UNKNOWN
from report.preview import Change, name_of
from report.structure import document, shown

_ATTACHED: Mapping[str, tuple[str, str]] = {
    "aws:iam/role:Role": ("name", "managedPolicyArns"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("role", "policyArn"),
    "aws:iam/userPolicyAttachment:UserPolicyAttachment": ("user", "policyArn"),
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment": ("group", "policyArn"),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": ("principalArn", "policyArn"),
    "aws:eks/accessEntry:AccessEntry": ("principalArn", "kubernetesGroups"),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ("serviceAccount", "roleArn"),
    "aws:lambda/permission:Permission": ("principal", "action"),
    "aws:elasticache/user:User": ("userId", "accessString"),
    "aws:elasticache/userGroup:UserGroup": ("userGroupId", "userIds"),
    "aws:kms/grant:Grant": ("granteePrincipal", "operations"),
}
"""Types that grant without a policy document → the properties of the principal and of what it may do."""

_BROAD = re.compile(
    r"(AdministratorAccess|PowerUserAccess|IAMFullAccess|\w*FullAccess|\w*ClusterAdminPolicy)$"
)
"""Names of AWS's policies that allow nearly everything."""

_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
"""Its policy only limits callers that are in the VPC already and have permissions of their own (AWS
PrivateLink Guide, "Control access to VPC endpoints using endpoint policies")."""

_TARGETS: Mapping[str, str] = {
    "aws:lambda/permission:Permission": "function",
    "aws:eks/accessEntry:AccessEntry": "clusterName",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "clusterName",
    "aws:kms/grant:Grant": "keyId",
}
"""Types that grant something on one resource → the property that names it."""

_RBAC = re.compile(r"kubernetes:rbac\.authorization\.k8s\.io/v1:(Cluster)?Role(Binding)?$")

_DOCUMENTS = re.compile(r"polic(y|ies|ydocument)$", re.IGNORECASE)
"""Names of properties that hold policy documents."""


@dataclass(frozen=True)
class _Grant:
    """One action that a statement allows, or denies, to one principal on one resource."""

    principal: str
    action: str
    resource: str
    condition: str
    """As JSON; empty if there is none."""
    names_principal: bool
    """Whether the policy is one of a resource, which names principals."""

    def covers(self, other: _Grant) -> bool:
        """Whether it allows all that another one allows."""
        return (
            self.condition in ("", other.condition)
            and fnmatchcase(other.principal, self.principal)
            and fnmatchcase(other.action.lower(), self.action.lower())
            and fnmatchcase(other.resource, self.resource)
        )


def granted(change: Change, changes: Sequence[Change]) -> Iterator[str]:
    """Which principal a resource allows which action, other than before.

    What a new policy allows on resources that are new, too, is not reported, unless it is nearly everything.
    """
    if change.operation in ("delete", "discard"):
        yield from _lifted(change, {})
        return
    if change.type in _ATTACHED:
        yield from _attached(change, changes)
    elif _RBAC.match(change.type):
        yield from _kubernetes(change)
    for key in change.new:
        if change.type == _ENDPOINT and not change.existed:
            continue  # without a policy, it would allow everything
        if _DOCUMENTS.search(key) or any(map(_holds_policy, (change.old.get(key), change.new[key]))):
            yield from _document(change, key, changes)
    yield from _lifted(change, change.new)


def _document(change: Change, key: str, changes: Sequence[Change]) -> Iterator[str]:
    old, new = change.old.get(key), change.new[key]
    if new in (UNKNOWN, SECRET):
        yield from _unreadable(change, key, changes)
        return
    before = list(_grants(change, old, "Allow"))
    owner = _owner(change)
    new_actions: dict[tuple[str, str, str], list[str]] = {}
    for grant in _grants(change, new, "Allow"):
        if any(other.covers(grant) for other in before):
            continue
        if not change.existed and not _matters(change, key, grant, changes):
            continue
        who = grant.principal if grant.principal != owner else f"role {owner}"
        new_actions.setdefault((who, grant.resource, grant.condition), []).append(grant.action)
    for (who, resource, condition), actions in new_actions.items():
        limit = f" if {condition}" if condition else ""
        yield f"{key}: {who} may now {', '.join(dict.fromkeys(actions))} on {shown(resource)}{limit}"


def _unreadable(change: Change, key: str, changes: Sequence[Change]) -> Iterator[str]:
    if change.new[key] == SECRET:
        yield f"{key} is secret, so nobody can see what it allows"
    elif change.existed:
        yield f"{key} changes, and its text is known only after the deployment"
    elif change.type.startswith("aws:iam/"):
        existing = _existing(change, [key], changes)
        if existing and not _is_trust(key):
            names = ", ".join(map(name_of, existing))
            yield f"{key} is new, and its text, which uses {names}, is known only after the deployment"
    elif _is_about_existing(change, key, changes):
        yield f"{key} is new, and its text is known only after the deployment"


def _matters(change: Change, key: str, grant: _Grant, changes: Sequence[Change]) -> bool:
    """Whether a new policy allows something on what existed before, or nearly everything."""
    if _is_trust(key):
        return not grant.principal.endswith(".amazonaws.com")
    if grant.names_principal:
        return _is_about_existing(change, key, changes)
    if grant.action == "*" or (grant.action.endswith(":*") and grant.resource == "*"):
        return True
    # An ARN that is known in a preview belongs to something that exists, or that the program names itself.
    return bool(_existing(change, [key], changes))


def _is_about_existing(change: Change, key: str, changes: Sequence[Change]) -> bool:
    """Whether a new policy with principals belongs to a resource that existed before.

    A policy that is a property of a new resource does not. If a policy is a resource of its own, its other
    properties name the resource.
    """
    if not change.type.endswith("Policy"):
        return False
    others = [other for other in change.new if other != key]
    return bool(_existing(change, others, changes)) or not any(change.sources(other) for other in others)


def _existing(change: Change, keys: Iterable[str], changes: Sequence[Change]) -> list[str]:
    """URNs of resources that are not created, and whose outputs some properties use."""
    created = {other.urn for other in changes if other.operation == "create"}
    return [urn for key in keys for urn in change.sources(key) if urn not in created]


def _is_trust(key: str) -> bool:
    return key == "assumeRolePolicy"


def _lifted(change: Change, new: Mapping[str, Any]) -> Iterator[str]:
    """Statements that denied something and no longer do."""
    if not new and change.operation == "replace":
        return
    for key, old in change.old.items():
        if new.get(key) in (UNKNOWN, SECRET):
            continue
        after = list(_grants(change, new.get(key), "Deny"))
        lost = [
            grant for grant in _grants(change, old, "Deny") if not any(other.covers(grant) for other in after)
        ]
        for principal in dict.fromkeys(grant.principal for grant in lost):
            actions = dict.fromkeys(grant.action for grant in lost if grant.principal == principal)
            yield f"{key}: no longer denies {principal} {', '.join(actions)}"


def _grants(change: Change, value: Any, effect: str) -> Iterator[_Grant]:
    for statement in _statements(value):
        if statement.get("Effect") != effect:
            continue
        condition = statement.get("Condition")
        text = json.dumps(condition, sort_keys=True) if condition else ""
        named = _principals(statement)
        for principal in named or [_owner(change)]:
            for action in _items(statement, "Action"):
                for resource in _items(statement, "Resource") or ["this resource"]:
                    yield _Grant(principal, action, resource, text, bool(named))


def _statements(value: Any) -> Iterator[Mapping[str, Any]]:
    """The statements of all policy documents in a value."""
    parsed = document(value)
    if parsed is not None:
        value = parsed
    if is_map(value):
        found = value.get("Statement")
        for item in [found] if is_map(found) else listed(found):
            if is_map(item) and "Effect" in item:
                yield item
        for key, item in value.items():
            if key != "Statement":
                yield from _statements(item)
    elif is_list(value):
        for item in value:
            yield from _statements(item)


def _holds_policy(value: Any) -> bool:
    return any(True for _ in _statements(value))


def _principals(statement: Mapping[str, Any]) -> list[str]:
    for key, prefix in (("Principal", ""), ("NotPrincipal", "everyone but ")):
        value = statement.get(key)
        found = (
            [str(item) for part in value.values() for item in listed(part)]
            if is_map(value)
            else listed(value)
        )
        if found:
            return [f"{prefix}{item}" for item in found]
    return []


def _items(statement: Mapping[str, Any], key: str) -> list[str]:
    if f"Not{key}" in statement:
        return [f"everything but {', '.join(map(str, listed(statement[f'Not{key}'])))}"]
    return [str(item) for item in listed(statement.get(key))]


def _owner(change: Change) -> str:
    """Who has the permissions of a policy without principals."""
    role = change.new.get("role") or change.old.get("role")
    return role if isinstance(role, str) and role != UNKNOWN else change.name


def _attached(change: Change, changes: Sequence[Change]) -> Iterator[str]:
    who_key, what_key = _ATTACHED[change.type]
    old = [str(item) for item in listed(change.old.get(what_key))]
    added = [str(item) for item in listed(change.new.get(what_key)) if str(item) not in old]
    if what_key == "accessString":
        words = " ".join(old).split()
        added = [" ".join(word for word in " ".join(added).split() if word not in words and word[0] != "-")]
    target = _TARGETS.get(change.type, "")
    if not change.existed and (
        change.type.startswith("aws:elasticache/")  # a group that exists must get the user
        or (change.sources(target) and not _existing(change, [target], changes))
    ):
        return
    moved = change.existed and change.old.get(who_key) != change.new.get(who_key)
    created = {other.urn for other in changes if other.operation == "create"}
    new_holder = any(urn in created for urn in change.sources(who_key))
    if not change.existed and new_holder and not any(_BROAD.search(item) for item in added):
        return
    if any(urn in created for urn in change.sources(what_key)):
        return  # a new role, whose own policies say what it may do
    if change.existed and change.new.get(who_key) == UNKNOWN:
        moved = False  # the principal is replaced
    if moved and not added:
        added = [str(item) for item in listed(change.new.get(what_key))]
    added = [item for item in added if item]
    if added or (not change.existed and change.type.endswith("AccessEntry")):
        who = shown(change.new.get(who_key, "somebody"))
        yield f"{who} now has {', '.join(map(shown, added)) or 'access to the cluster'}"


def _kubernetes(change: Change) -> Iterator[str]:
    """Rules of roles, and subjects of bindings, in a cluster."""
    for key in ("rules", "subjects"):
        known = {json.dumps(item, sort_keys=True) for item in listed(change.old.get(key))}
        for item in listed(change.new.get(key)):
            if json.dumps(item, sort_keys=True) not in known:
                yield f"{key} has a new entry: {json.dumps(item)}"


def published(change: Change) -> Iterator[str]:
    """Policies that allow everyone something, and did not before."""
    for key, new in change.new.items():
        if change.type != _ENDPOINT and _open(new) and not _open(change.old.get(key)):
            yield f"{key} allows everyone something, without a condition that names the caller"
    if change.existed and (
        opened := _without_token(change.new.get("body")) - _without_token(change.old.get("body"))
    ):
        yield f"body: callers need no token for {', '.join(sorted(opened))}"
    principals = [inputs.get("principal") for inputs in (change.old, change.new)]
    if change.type == "aws:lambda/permission:Permission" and principals[1] == "*" != principals[0]:
        yield "everyone may call the function"
    before, after = (
        {str(item.get("name")) for item in listed(inputs.get("subjects")) if is_map(item)}
        for inputs in (change.old, change.new)
    )
    anonymous = {"system:anonymous", "system:unauthenticated"} & (after - before)
    if anonymous and _RBAC.match(change.type):
        yield f"{', '.join(sorted(anonymous))} has rights in the cluster"


_METHODS = frozenset(
    {"delete", "get", "head", "patch", "post", "put", "trace", "x-amazon-apigateway-any-method"}
)
"""Methods of an OpenAPI document that do something. `options` only answers browsers."""


def _without_token(body: Any) -> frozenset[str]:
    """The operations of an OpenAPI document that need no identity (OpenAPI 3.0, "Operation Object")."""
    api = document(body)
    paths = api.get("paths") if is_map(api) else None
    found = {
        f"{method.upper()} {path}": operation.get("security", api.get("security"))
        for path, methods in (paths.items() if is_map(paths) else ())
        for method, operation in (methods.items() if is_map(methods) else ())
        if method in _METHODS and is_map(operation)
    }
    return frozenset(name for name, security in found.items() if not security or {} in listed(security))


def _open(value: Any) -> bool:
    return any(map(is_public, documents({"policy": value})))
