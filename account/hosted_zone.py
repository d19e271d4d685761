"""The hosted zone of a stack, which several checks look for."""

from __future__ import annotations

from account.question import Client


def public_zones(route53: Client, name: str) -> list[str]:
    """The ids of the public hosted zones with a name."""
    return [
        item["Id"].rpartition("/")[2]
        for item in route53.list_hosted_zones_by_name(DNSName=f"{name}.")["HostedZones"]
        if item["Name"] == f"{name}." and not item.get("Config", {}).get("PrivateZone")
    ]
