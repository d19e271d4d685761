"""The hosted zone of a stack, which several checks look for."""

from __future__ import annotations

from account.question import Client, UnansweredError


def public_zones(route53: Client, name: str) -> list[str]:
    """The ids of the public hosted zones with a name."""
    return [
        item["Id"].rpartition("/")[2]
        for item in route53.list_hosted_zones_by_name(DNSName=f"{name}.")["HostedZones"]
        if item["Name"] == f"{name}." and not item.get("Config", {}).get("PrivateZone")
    ]


def public_zone(route53: Client, name: str) -> str:
    """The id of the only public hosted zone with a name.

    Raises:
        UnansweredError: there is none, or more than one.
    """
    found = public_zones(route53, name)
    if len(found) != 1:
        raise UnansweredError(f"{len(found)} public hosted zones are named {name}", "see `hosted-zone`")
    return found[0]
