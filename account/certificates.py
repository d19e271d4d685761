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
from typing import Any

from account.hosted_zone import public_zone
from account.question import Answer, Client, judged, pages, some

_KEYS = [
    *("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096"),
    *("EC_prime256v1", "EC_secp384r1", "EC_secp521r1"),
]
"""All kinds of keys (`KeyAlgorithm`, ACM API Reference, read 2026-11-27). Without this filter, ACM lists only
certificates with RSA keys of up to 2048 bits (`Filters`, the same reference)."""
_ACM = ".acm-validations.aws"
"""End of the values of ACM's records ("DNS validation")."""


_Needed = dict[tuple[str, str], list[str]]
"""Name and value of a record → the ARNs of the account's certificates that need it."""


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
    zone_id = public_zone(route53, zone)
    needed = _needed(acm.values(), names)
    problems: list[str] = []
    texts: list[str] = []
    for name in names:
        existing = _existing(route53, zone_id, name)
        ours = needed.get(name, {})
        for (record, wanted), certificates in ours.items():
            who, value = some(certificates, 1), existing.pop(record, None)
            if value is None:
                texts.append(f"{record}, of {who}, isn't in {zone} yet")
            elif value == wanted:
                texts.append(f"{record} is shared with {who}, and the stack never deletes it")
            else:
                problems.append(f"{record} is {value}, and {who} needs {wanted}")
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


def _needed(clients: Iterable[Client], names: Collection[str]) -> dict[str, _Needed]:
    """Name → the records that the account's certificates for it need."""
    found: dict[str, _Needed] = {}
    for acm in clients:
        summaries = pages(acm, "list_certificates", "CertificateSummaryList", Includes={"keyTypes": _KEYS})
        for arn in [item["CertificateArn"] for item in summaries if _names(item) & set(names)]:
            certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
            for option in certificate.get("DomainValidationOptions", ()):
                record, name = option.get("ResourceRecord"), validated_name(option["DomainName"])
                if record and name in names:
                    wanted = _plain(record["Name"]), _plain(record["Value"])
                    arns = found.setdefault(name, {}).setdefault(wanted, [])
                    if arn not in arns:  # a name and its wildcard have the same record
                        arns.append(arn)
    return found


def _names(summary: Mapping[str, Any]) -> set[str]:
    """The names that a certificate validates, of which a list has up to 100."""
    names = (summary["DomainName"], *summary.get("SubjectAlternativeNameSummaries", ()))
    return {validated_name(name) for name in names}


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
