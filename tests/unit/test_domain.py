"""Certificates with their validation and alarms, and the origin secrets."""

import pytest

from components.domain import Domain, DomainArgs
from settings import DomainSettings
from tests.unit.harness import Graph, deploy

REGIONS = ("us-east-1", "eu-west-1")
NAMES = DomainSettings(zone="example.com", host="trade.example.com")


@pytest.fixture(scope="module")
def built() -> tuple[Graph, Domain]:
    made: list[Domain] = []
    args = DomainArgs(names=NAMES, regions=REGIONS, origin_secrets=[1, 2])
    graph = deploy(lambda: made.append(Domain("domain", args)))
    return graph, made[0]


@pytest.fixture(scope="module")
def graph(built: tuple[Graph, Domain]) -> Graph:
    return built[0]


@pytest.mark.parametrize("region", REGIONS)
def test_regional_certificate_carries_viewer_and_origin_names(graph: Graph, region: str) -> None:
    certificate = graph.named(f"domain-{region}", "aws:acm/certificate:Certificate").inputs
    assert certificate["region"] == region
    assert [certificate["domainName"], *certificate["subjectAlternativeNames"]] == [
        "trade.example.com",
        "origin.trade.example.com",
        "*.origin.trade.example.com",
    ]


@pytest.mark.parametrize("region", REGIONS)
def test_regional_certificate_covers_every_name_that_leads_to_a_load_balancer(
    graph: Graph, region: str
) -> None:
    certificate = graph.named(f"domain-{region}", "aws:acm/certificate:Certificate").inputs
    carried = {certificate["domainName"], *certificate["subjectAlternativeNames"]}
    wanted = [NAMES.host, NAMES.origin, NAMES.latency_origin, NAMES.write_origin]
    wanted += [NAMES.region_origin(region), NAMES.region_health(region)]
    # A wildcard matches exactly one label.
    assert [name for name in wanted if not {name, f"*.{name.partition('.')[2]}"} & carried] == []


def test_viewer_certificate_is_in_the_providers_region(graph: Graph) -> None:
    certificate = graph.named("domain-viewer", "aws:acm/certificate:Certificate").inputs
    assert certificate["domainName"] == "trade.example.com"
    assert "region" not in certificate


def test_each_name_is_validated_by_one_record(graph: Graph) -> None:
    records = graph.of("aws:route53/record:Record")
    assert len(records) == 2, "one a name, however many regions"
    assert len({record.inputs["name"] for record in records}) == 2
    assert {record.inputs["type"] for record in records} == {"CNAME"}


def test_record_that_other_certificates_may_share_is_taken_over_and_left_behind(graph: Graph) -> None:
    for record in graph.of("aws:route53/record:Record"):
        assert record.inputs["allowOverwrite"] is True
        assert record.retain_on_delete, "without it, the other certificates would not be renewed"


def test_every_certificate_waits_for_its_validation(graph: Graph) -> None:
    validations = graph.of("aws:acm/certificateValidation:CertificateValidation")
    waits = {item.name: len(item.inputs["validationRecordFqdns"]) for item in validations}
    assert waits == {"domain-viewer": 1, "domain-us-east-1": 2, "domain-eu-west-1": 2}
    assert {item.inputs.get("region") for item in validations} == {None, *REGIONS}


def test_certificate_alarms_are_where_the_certificates_are(built: tuple[Graph, Domain]) -> None:
    expected = [("viewer-certificate-expiry", ""), *(("certificate-expiry", region) for region in REGIONS)]
    assert [(signal.name, signal.region) for signal in built[1].signals] == expected


def test_certificate_that_was_not_renewed_is_critical_until_it_is_mended(
    built: tuple[Graph, Domain],
) -> None:
    for signal in built[1].signals:
        assert (signal.namespace, signal.metric) == ("AWS/CertificateManager", "DaysToExpiry")
        assert (signal.comparison, signal.threshold, signal.severity) == ("below", 30, "critical")
        assert list(signal.dimensions) == ["CertificateArn"]
        # An expired certificate no longer has a metric, and a new certificate doesn't have one yet.
        assert signal.missing_data == "ignore"


def test_origin_secrets_are_long_and_fit_for_a_listener_rule(graph: Graph) -> None:
    """In a header's value, a listener rule treats * and ? as wildcards."""
    passwords = graph.of("random:index/randomPassword:RandomPassword")
    assert [(item.inputs["length"], item.inputs["special"]) for item in passwords] == [(40, False)] * 2


def test_first_origin_secret_keeps_its_name_when_a_second_comes(graph: Graph) -> None:
    """A new name would create a new secret, while CloudFront still sends the old one."""
    passwords = graph.of("random:index/randomPassword:RandomPassword")
    assert [item.name for item in passwords] == ["domain-origin-secret", "domain-origin-secret-2"]


def test_last_origin_secret_is_the_one_to_send(built: tuple[Graph, Domain]) -> None:
    domain = built[1]
    assert list(domain.origin_secrets) == [1, 2]
    assert domain.origin_secret is domain.origin_secrets[2]


def test_additional_hosts_are_on_every_certificate_and_validated() -> None:
    names = DomainSettings(zone="example.com", host="trade.example.com")
    args = DomainArgs(names=names, additional_hosts=["api.example.com"], regions=REGIONS, origin_secrets=[1])
    graph = deploy(lambda: Domain("domain", args))
    certificates = graph.of("aws:acm/certificate:Certificate")
    assert len(certificates) == 3
    assert all("api.example.com" in item.inputs["subjectAlternativeNames"] for item in certificates)
    validations = graph.of("aws:acm/certificateValidation:CertificateValidation")
    waits = {item.name: len(item.inputs["validationRecordFqdns"]) for item in validations}
    assert waits == {"domain-viewer": 2, "domain-us-east-1": 3, "domain-eu-west-1": 3}
