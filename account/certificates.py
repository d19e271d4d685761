"""The records that validate certificates, which a stack shares with everything else in the hosted zone.

ACM gives all certificates of an account for a name the same record, in every region, and those of other
accounts another one. A wildcard uses the record of its parent ("DNS validation", ACM User Guide, read
2026-11-27: "created specifically for your domain and your account"; "the CNAME validation token works for any
AWS Region"). A stack overwrites the record (`components/domain.py`). It isn't known before the account's
first certificate for the name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from account.hosted_zone import public_zones
from account.question import Answer, Client, judged, pages, some

_KEYS = [
    *("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096"),
    *("EC_prime256v1", "EC_secp384r1", "EC_secp521r1"),
]
"""All kinds of keys (`KeyAlgorithm`, ACM API Reference, read 2026-11-27). Without this filter, ACM lists only
certificates with RSA keys of up to 2048 bits (`Filters`, the same reference)."""
_ACM = ".acm-validations.aws"
"""End of the values of ACM's records ("DNS validation")."""


@dataclass(frozen=True)
class _Needed:
    """A record that certificates of the account need."""

    record: str
    value: str
    certificates: list[str] = field(default_factory=list[str])
    """Their ARNs."""


def validated_name(name: str) -> str:
    """The name whose record validates a name of a certificate."""
    return name.removeprefix("*.")


def validation_records(
    route53: Client, acm: Mapping[str, Client], zone: str, names: Collection[str]
) -> Answer:
    """The deployment overwrites no validation record that has another value.

    Args:
        route53: asks the hosted zone.
        acm: region → a client for the certificates there.
        zone: the name of the hosted zone.
        names: the names that the stack's certificates validate.
    """
    zones = public_zones(route53, zone)
    if len(zones) != 1:
        return Answer("unknown", f"{len(zones)} public hosted zones are named {zone}", "see `hosted-zone`")
    needed = _needed(acm.values(), names)
    problems: list[str] = []
    texts: list[str] = []
    for name in names:
        existing = _existing(route53, zones[0], name)
        ours = needed.get(name, [])
        for item in ours:
            who, value = some(item.certificates, 1), existing.pop(item.record, None)
            if value is None:
                texts.append(f"{item.record}, of {who}, isn't in {zone} yet")
            elif value == item.value:
                texts.append(f"{item.record} is shared with {who}, and the stack never deletes it")
            else:
                problems.append(f"{item.record} is {value}, and {who} needs {item.value}")
        others = [record for record, value in existing.items() if value.endswith(_ACM)]
        if others:
            texts.append(f"{some(others, 1)} is of another account or region, and stays beside ours")
        elif not ours:
            texts.append(f"{name} has no record yet")
    return judged(
        problems,
        "; ".join(texts),
        "the deployment would overwrite it: find out who set this value. A certificate of theirs can't be "
        "renewed without it. If nobody needs it, delete the record, or else choose another `domain.host`",
    )


def _needed(clients: Iterable[Client], names: Collection[str]) -> dict[str, list[_Needed]]:
    """Name → the records that the account's certificates for it need."""
    found: dict[str, list[_Needed]] = {}
    for acm in clients:
        summaries = pages(acm, "list_certificates", "CertificateSummaryList", Includes={"keyTypes": _KEYS})
        for arn in [item["CertificateArn"] for item in summaries if _names(item) & set(names)]:
            certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
            for option in certificate.get("DomainValidationOptions", ()):
                record, name = option.get("ResourceRecord"), validated_name(option["DomainName"])
                if record and name in names:
                    _add(found.setdefault(name, []), _plain(record["Name"]), _plain(record["Value"]), arn)
    return found


def _names(summary: Mapping[str, Any]) -> set[str]:
    """The names that a certificate validates, of which a list has up to 100."""
    names = (summary["DomainName"], *summary.get("SubjectAlternativeNameSummaries", ()))
    return {validated_name(name) for name in names}


def _add(found: list[_Needed], record: str, value: str, arn: str) -> None:
    item = next((item for item in found if (item.record, item.value) == (record, value)), None)
    if item is None:
        found.append(item := _Needed(record, value))
    if arn not in item.certificates:  # a name and its wildcard have the same record
        item.certificates.append(arn)


def _existing(route53: Client, zone: str, name: str) -> dict[str, str]:
    """The validation records of a name in a hosted zone → their values.

    One page has them all, because they are the first records from this start on ("ListResourceRecordSets",
    Route 53 API Reference, read 2026-11-27: names are sorted with their labels reversed, and a page has up to
    300 records).
    """
    page = route53.list_resource_record_sets(HostedZoneId=zone, StartRecordName=f"_0.{name}")
    return {
        _plain(item["Name"]): _plain(item["ResourceRecords"][0]["Value"])
        for item in page["ResourceRecordSets"]
        if item["Type"] == "CNAME"
        and item.get("ResourceRecords")
        and re.fullmatch(rf"_[0-9a-f]+\.{re.escape(name)}", _plain(item["Name"]))
    }


def _plain(name: str) -> str:
    return name.rstrip(".").lower()
