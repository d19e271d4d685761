"""Security groups and other lists of networks that admit more than before."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.rule import SECRET, is_list, is_map, listed
from report.differences import UNKNOWN, contains
from report.preview import Change, dependencies
from settings import is_the_internet

_RULES: Mapping[str, str] = {
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "ingress",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "egress",
    "aws:ec2/securityGroupRule:SecurityGroupRule": "",
}
"""Types of rules that are resources of their own → their direction; empty if the property `type` has it."""

_GROUPS = frozenset(
    {"aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"}
)

_LISTS: Mapping[str, Sequence[str]] = {
    "aws:eks/cluster:Cluster": ("vpcConfig", "publicAccessCidrs"),
    "aws:wafv2/ipSet:IpSet": ("addresses",),
    "aws:ec2/managedPrefixList:ManagedPrefixList": ("entries",),
    "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry": ("cidr",),
}
"""Types with a list of networks → its path."""

_NETWORKS = ("cidrIpv4", "cidrIpv6", "cidrBlocks", "ipv6CidrBlocks")
_OTHERS = (
    *("prefixListId", "prefixListIds", "referencedSecurityGroupId", "sourceSecurityGroupId"),
    *("securityGroups", "self"),
)

_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


@dataclass(frozen=True)
class _Opening:
    """Connections that one rule allows."""

    direction: str
    peer: str
    """A network, or the ID of a security group or of a prefix list."""
    protocol: str
    first: float
    last: float

    def covers(self, other: _Opening) -> bool:
        """Whether it allows all that another one allows."""
        return (
            self.direction == other.direction
            and self.protocol in ("-1", other.protocol)
            and (self.protocol == "-1" or (self.first <= other.first and other.last <= self.last))
            and _contains(self.peer, other.peer)
        )

    def __str__(self) -> str:
        if self.protocol == "-1":
            ports = "everything"
        else:
            ports = f"{self.protocol} {self.first:g}" + (
                f" to {self.last:g}" if self.last != self.first else ""
            )
        preposition = "from" if self.direction == "ingress" else "to"
        peer = "a network that is known only after the deployment" if self.peer == UNKNOWN else self.peer
        return f"{ports} {preposition} {'a secret network' if peer == SECRET else peer}"


def opened(change: Change, changes: Sequence[Change]) -> Iterator[tuple[bool, str]]:
    """What a resource admits that was not admitted before: whether that is the internet, and a text.

    A rule of a new security group is only reported if it admits the internet, because nothing is behind the
    group yet.
    """
    if change.operation in ("delete", "discard"):
        if change.type == _POLICY and change.operation == "delete":
            yield False, "no longer limits the connections of pods, which accept all without another policy"
        return
    if change.type in _LISTS:
        yield from _listed(change)
    elif change.type == _POLICY and change.existed:
        yield from _pods(change)
    elif change.type in _GROUPS or change.type in _RULES:
        yield from _group(change, changes)


def _group(change: Change, changes: Sequence[Change]) -> Iterator[tuple[bool, str]]:
    before = list(_openings(change, change.old))
    new_group = (change.type in _GROUPS and not change.existed) or _is_new(change, changes)
    for opening in _openings(change, change.new):
        internet = opening.direction == "ingress" and _is_internet(opening.peer)
        if any(old.covers(opening) for old in before):
            continue
        if opening.peer == UNKNOWN and _same_sources(change):
            continue  # the same resource as before, which is replaced
        if new_group and not internet:
            continue
        if opening.direction == "egress" and not _is_network(opening.peer):
            continue  # the group at the other end must admit it too
        was = f" (before: {', '.join(map(str, before))})" if before else ""
        yield internet, f"{'admits' if opening.direction == 'ingress' else 'allows'} {opening}{was}"


def _is_new(change: Change, changes: Sequence[Change]) -> bool:
    """Whether a rule belongs to a group that is created, too."""
    created = {other.urn for other in changes if other.operation == "create"}
    return any(urn in created for urn in change.sources("securityGroupId"))


def _same_sources(change: Change) -> bool:
    keys = [
        key for key in (*_NETWORKS, *_OTHERS, "ingress", "egress") if contains(change.new.get(key), UNKNOWN)
    ]
    return all(
        change.sources(key) and {*change.sources(key)} <= {*dependencies(change.old_state, key)}
        for key in keys
    )


def _openings(change: Change, inputs: Mapping[str, Any]) -> Iterator[_Opening]:
    if change.type in _RULES:
        direction = _RULES[change.type] or str(inputs.get("type", "ingress"))
        yield from _rule(direction, inputs)
        return
    for direction in ("ingress", "egress"):
        rules = inputs.get(direction)
        if rules in (UNKNOWN, SECRET):
            yield _Opening(direction, str(rules), "-1", 0, 65535)
        for item in listed(rules) if is_list(rules) else ():
            if is_map(item):
                yield from _rule(direction, item)


def _rule(direction: str, inputs: Mapping[str, Any]) -> Iterator[_Opening]:
    protocol = str(inputs.get("ipProtocol", inputs.get("protocol", "-1"))).lower()
    first, last = (_port(inputs.get(key), other) for key, other in (("fromPort", 0), ("toPort", 65535)))
    for key in (*_NETWORKS, *_OTHERS):
        for peer in listed(inputs.get(key)):
            if key == "self":
                continue  # its own members
            yield _Opening(direction, str(peer), "-1" if protocol == "all" else protocol, first, last)


def _port(value: object, other: float) -> float:
    return float(value) if isinstance(value, int | float) and value >= 0 else other


def _listed(change: Change) -> Iterator[tuple[bool, str]]:
    before, after = (_networks(inputs, _LISTS[change.type]) for inputs in (change.old, change.new))
    for network in after:
        internet = _is_internet(network)
        if any(_contains(old, network) for old in before) or not (change.existed or internet):
            continue
        yield internet, f"admits {network}" + (f" (before: {', '.join(before)})" if before else "")


def _networks(inputs: Mapping[str, Any], path: Sequence[str]) -> list[str]:
    value: Any = inputs
    for key in path:
        value = value.get(key) if is_map(value) else None
    return [str(item.get("cidr", item) if is_map(item) else item) for item in listed(value)]


def _pods(change: Change) -> Iterator[tuple[bool, str]]:
    """Peers and ports that a policy for pods admits and did not admit before."""
    before, after = (_spec(inputs) for inputs in (change.old, change.new))
    for direction in ("ingress", "egress"):
        known = {json.dumps(rule, sort_keys=True) for rule in listed(before.get(direction))}
        for rule in listed(after.get(direction)):
            if json.dumps(rule, sort_keys=True) not in known:
                internet = "0.0.0.0/0" in json.dumps(rule) and direction == "ingress"
                yield internet, f"has a new {direction} rule: {json.dumps(rule)}"
    if contains(change.new.get("spec"), UNKNOWN) and not contains(change.old.get("spec"), UNKNOWN):
        return
    lost = {*listed(before.get("policyTypes"))} - {*listed(after.get("policyTypes"))}
    if lost:
        yield False, f"no longer limits {' and '.join(sorted(map(str, lost)))}"


def _spec(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = inputs.get("spec")
    return spec if is_map(spec) else {}


def _contains(peer: str, other: str) -> bool:
    if peer == other:
        return peer not in (UNKNOWN, SECRET)
    try:
        outer, inner = (ipaddress.ip_network(item, strict=False) for item in (peer, other))
    except ValueError:
        return False
    if isinstance(outer, ipaddress.IPv4Network) and isinstance(inner, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(outer, ipaddress.IPv6Network) and isinstance(inner, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _is_network(peer: str) -> bool:
    return "/" in peer or peer.startswith("pl-") or peer in (UNKNOWN, SECRET)


def _is_internet(peer: str) -> bool:
    return "/" in peer and is_the_internet(peer)
