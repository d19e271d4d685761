"""The metrics of the brokers' exporters are scraped into a separate workspace."""

import pytest
import yaml

from components.common.access import Endpoint
from components.common.signals import Signal
from components.monitoring import BrokerMetrics, BrokerMetricsArgs
from tests.unit.harness import STACKS, Graph, context, deploy, platform

BROKERS_GROUP = "sg-0123456789abcdef0"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DNS_NAME = "streaming.abc123.c2.kafka.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def signals() -> list[Signal]:
    return []


@pytest.fixture(scope="module")
def graph(signals: list[Signal]) -> Graph:
    def program() -> None:
        tier = BrokerMetrics(
            "broker-metrics",
            BrokerMetricsArgs(
                context=context(
                    platform="trading-test",
                    region="us-east-1",
                    key_arn=KEY,
                    log_retention_days=30,
                    protect=True,
                ),
                vpc_id="vpc-0123456789abcdef0",
                subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                dns_name=DNS_NAME,
                exporters=Endpoint(security_group_id=BROKERS_GROUP, ports=(11001, 11002)),
            ),
        )
        signals.extend(tier.signals)

    return deploy(program)


def test_every_broker_is_found_by_the_clusters_name(graph: Graph) -> None:
    scraper = graph.only("aws:amp/scraper:Scraper").inputs
    jobs = yaml.safe_load(scraper["scrapeConfiguration"])["scrape_configs"]
    found = {job["job_name"]: job["dns_sd_configs"] for job in jobs}
    assert found == {
        "brokers-jmx": [{"names": [DNS_NAME], "type": "A", "port": 11001}],
        "brokers-node": [{"names": [DNS_NAME], "type": "A", "port": 11002}],
    }


def test_scraper_stands_in_the_vpc_and_reaches_the_exporters_alone(graph: Graph) -> None:
    (source,) = graph.only("aws:amp/scraper:Scraper").inputs["source"].values()
    group = graph.only("aws:ec2/securityGroup:SecurityGroup").id
    assert source["securityGroupIds"] == [group]
    assert len(source["subnetIds"]) == 2
    for kind, owner, peer in (("Egress", group, BROKERS_GROUP), ("Ingress", BROKERS_GROUP, group)):
        rules = graph.of(f"aws:vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule")
        assert sorted(rule.inputs["fromPort"] for rule in rules) == [11001, 11002]
        assert {rule.inputs["securityGroupId"] for rule in rules} == {owner}
        assert {rule.inputs["referencedSecurityGroupId"] for rule in rules} == {peer}


def test_workspace_is_protected_and_takes_a_managed_collector(graph: Graph) -> None:
    workspace = graph.only("aws:amp/workspace:Workspace")
    assert workspace.protect
    assert "kmsKeyId" not in workspace.inputs
    assert "kmsKeyArn" not in workspace.inputs
    scraper = graph.only("aws:amp/scraper:Scraper").inputs
    assert scraper["destination"] == {"amp": {"workspaceArn": workspace.outputs["arn"]}}


def test_scraper_writes_an_encrypted_log(graph: Graph) -> None:
    log_group = graph.only("aws:cloudwatch/logGroup:LogGroup").inputs
    assert log_group["kmsKeyId"] == KEY
    assert log_group["name"].startswith("/aws/vendedlogs/"), "what AMP may deliver to"


def test_its_alarm_is_about_its_own_workspace(graph: Graph, signals: list[Signal]) -> None:
    (signal,) = signals
    assert (signal.metric, signal.missing_data) == ("ResourceCount", "breaching")
    assert (signal.dimensions["Resource"], signal.severity) == ("IngestionRate", "warning")


@pytest.mark.parametrize("stack", STACKS)
def test_brokers_samples_do_not_hide_that_the_pods_are_missing(stack: str) -> None:
    alarms = platform(stack).of("aws:cloudwatch/metricAlarm:MetricAlarm")
    watched = [
        alarm.inputs["dimensions"]["ResourceId"]
        for alarm in alarms
        if alarm.inputs.get("dimensions", {}).get("Resource") == "IngestionRate"
    ]
    assert len(watched) == len(set(watched)) == len(platform(stack).of("aws:amp/scraper:Scraper"))


@pytest.mark.parametrize("stack", STACKS)
def test_no_workspace_has_an_alias_that_another_begins_with(stack: str) -> None:
    """AWS and the runbooks find workspaces by the prefix of their alias."""
    aliases = [w.inputs["alias"] for w in platform(stack).of("aws:amp/workspace:Workspace")]
    assert not [(a, b) for a in aliases for b in aliases if a != b and b.startswith(a)]
    assert len(set(aliases)) == len(aliases)
