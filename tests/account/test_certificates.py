"""Who else needs the validation records of a stack. Responses are validated against botocore's models."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from account.certificates import validation_records
from account.preflight import questions
from account.question import Answer, Question, no_clients
from tests.account.cases import Json, new_client
from tests.account.test_preflight import stack

HOST = "trade.example.com"
RECORD = f"_0a1b.{HOST}"
VALUE = "_2c3d.zzzz.acm-validations.aws"
OTHER = "_9e9f.yyyy.acm-validations.aws"
ZONE = {
    "HostedZones": [{"Id": "/hostedzone/Z1", "Name": "example.com.", "CallerReference": "1"}],
    "IsTruncated": False,
    "MaxItems": "100",
}


def arn(region: str) -> str:
    return f"arn:aws:acm:{region}:123456789012:certificate/11111111-2222-4333-8444-555555555555"


def summary(region: str, *names: str) -> Json:
    return {"CertificateArn": arn(region), "DomainName": names[0], "SubjectAlternativeNameSummaries": names}


def option(name: str, record: str = RECORD, value: str = VALUE) -> Json:
    return {
        "DomainName": name,
        "ResourceRecord": {"Name": f"{record}.", "Type": "CNAME", "Value": f"{value}."},
    }


def records(*found: tuple[str, str]) -> Json:
    sets = [
        {"Name": f"{name}.", "Type": "CNAME", "TTL": 300, "ResourceRecords": [{"Value": f"{value}."}]}
        for name, value in found
    ]
    alias = {"HostedZoneId": "Z2", "DNSName": "d111.cloudfront.net.", "EvaluateTargetHealth": False}
    more = {"Name": f"www.{HOST}.", "Type": "A", "AliasTarget": alias}
    return {"ResourceRecordSets": [*sets, more], "IsTruncated": False, "MaxItems": "300"}


def ask(
    certificates: Mapping[str, Sequence[Json]], found: Json, names: Sequence[str] = (HOST,), zone: Json = ZONE
) -> Answer:
    """The answer for an account with these certificates: region → summary, and options of each one."""
    route53 = new_client("route53")
    acm = {region: new_client("acm") for region in certificates}
    with contextlib.ExitStack() as stubs:
        zones = stubs.enter_context(Stubber(route53))
        zones.add_response("list_hosted_zones_by_name", zone)
        for name in names:
            wanted = {"HostedZoneId": "Z1", "StartRecordName": f"_0.{name}"}
            zones.add_response("list_resource_record_sets", found, wanted)
        for region, items in certificates.items():
            stub = stubs.enter_context(Stubber(acm[region]))
            stub.add_response(
                "list_certificates",
                {"CertificateSummaryList": [item["summary"] for item in items]},
                {"Includes": {"keyTypes": ANY}},
            )
            for item in items:
                if "options" in item:
                    stub.add_response("describe_certificate", {"Certificate": item["options"]})
        return asking(route53, acm, names)


def asking(route53: Any, acm: Mapping[str, Any], names: Sequence[str] = (HOST,)) -> Answer:
    question = next(item for item in questions(stack(), no_clients) if item.check == "validation-record")
    return Question(
        question.check,
        question.needs,
        question.service,
        question.region,
        question.operations,
        lambda client: validation_records(client, acm, "example.com", names),
        question.also,
    ).answer(route53)


MINE: Json = {
    "summary": summary("us-east-1", HOST),
    "options": {"DomainValidationOptions": [option(HOST)]},
}


def test_name_without_certificates_and_records_passes() -> None:
    assert ask({"us-east-1": []}, records()) == Answer("pass", f"{HOST} has no record yet")


def test_record_that_is_missing_is_created() -> None:
    answer = ask({"us-east-1": [MINE]}, records())
    assert answer == Answer("pass", f"{RECORD}, of {arn('us-east-1')}, isn't in example.com yet")


def test_record_of_another_certificate_with_the_same_value_is_shared() -> None:
    """Certificates of all regions, and of a wildcard, have the same record."""
    wildcard = {
        "summary": summary("eu-west-1", f"*.{HOST}", HOST),
        "options": {"DomainValidationOptions": [option(f"*.{HOST}"), option(HOST)]},
    }
    answer = ask({"us-east-1": [MINE], "eu-west-1": [wildcard]}, records((RECORD, VALUE)))
    text = f"{RECORD} is shared with {arn('us-east-1')} and 1 others, and the stack never deletes it"
    assert answer == Answer("pass", text)


def test_record_with_another_value_would_be_overwritten() -> None:
    answer = ask({"us-east-1": [MINE]}, records((RECORD, OTHER)))
    assert answer.status == "fail"
    assert answer.found == f"{RECORD} is {OTHER}, and {arn('us-east-1')} needs {VALUE}"
    assert "find out who set this value" in answer.remedy


@pytest.mark.parametrize("certificates", [[], [MINE]])
def test_record_of_another_account_stays_beside_ours(certificates: list[Json]) -> None:
    """Its name is another one."""
    answer = ask({"us-east-1": certificates}, records((f"_77.{HOST}", OTHER), (f"_88.{HOST}", "ca.example")))
    assert answer.status == "pass"
    assert f"_77.{HOST} is of another account or region, and stays beside ours" in answer.found
    assert "_88" not in answer.found, "another authority's record is none of ACM's"


def test_certificates_for_other_names_and_imported_ones_say_nothing() -> None:
    other = {"summary": summary("us-east-1", "other.example.com")}
    imported: Json = {"summary": summary("us-east-1", HOST), "options": {}}
    assert ask({"us-east-1": [other, imported]}, records()).found == f"{HOST} has no record yet"


def test_zone_that_does_not_exist_leaves_the_answer_unknown() -> None:
    answer = ask({}, records(), zone={**ZONE, "HostedZones": []})
    assert (answer.status, answer.remedy) == ("unknown", "see `hosted-zone`")


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("acm", "list_certificates", "acm:ListCertificates"),
        ("acm", "describe_certificate", "acm:DescribeCertificate"),
        ("route53", "list_hosted_zones_by_name", "route53:ListHostedZonesByName"),
        ("route53", "list_resource_record_sets", "route53:ListResourceRecordSets"),
    ],
)
def test_what_may_not_be_asked_is_named(service: str, operation: str, action: str) -> None:
    route53, acm = new_client("route53"), new_client("acm")
    steps = [
        ("route53", "list_hosted_zones_by_name", ZONE),
        ("acm", "list_certificates", {"CertificateSummaryList": [MINE["summary"]]}),
        ("acm", "describe_certificate", {"Certificate": MINE["options"]}),
        ("route53", "list_resource_record_sets", records()),
    ]
    with Stubber(route53) as zones, Stubber(acm) as certificates:
        for of, name, response in steps:
            stub = zones if of == "route53" else certificates
            if (of, name) == (service, operation):
                stub.add_client_error(name, "AccessDeniedException")
                break
            stub.add_response(name, response)
        answer = asking(route53, {"us-east-1": acm})
    assert answer.status == "unknown"
    assert answer.remedy == f"allow {action}, or check by hand"


def test_stack_asks_about_every_name_in_its_certificates_once() -> None:
    regions: list[str] = []

    def client(service: str, region: str) -> Any:
        regions.extend([region] if service == "acm" else [])

    (question,) = (item for item in questions(stack(), client) if item.check == "validation-record")
    assert sorted(regions) == ["eu-west-1", "us-east-1"]
    asked: list[str] = []

    class Route53:
        def list_hosted_zones_by_name(self, **_: object) -> Json:
            return ZONE

        def list_resource_record_sets(self, *, HostedZoneId: str, StartRecordName: str) -> Json:  # noqa: N803
            asked.append(StartRecordName.removeprefix("_0."))
            return records()

    class Acm:
        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: object) -> list[Json]:
            return [{}]

    (other,) = (
        item
        for item in questions(stack(), lambda service, _: Acm() if service == "acm" else None)
        if item.check == question.check
    )
    assert other.ask(Route53()).status == "pass"
    domain = stack().settings.domain
    assert {domain.host, domain.origin} <= set(asked)
    assert len(asked) == len(set(asked))
    assert not any("*" in name for name in asked)
