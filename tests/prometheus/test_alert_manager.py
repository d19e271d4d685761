"""The alert manager's definition, checked with Alertmanager's own `amtool`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitoring.alerting import WATCHDOG, alert_manager_definition
from tests.prometheus.tools import run
from tests.unit.harness import STACKS, platform

TOPIC = "arn:aws:sns:us-east-1:123456789012"


def definition() -> dict[str, Any]:
    return yaml.safe_load(alert_manager_definition("us-east-1", f"{TOPIC}:critical", f"{TOPIC}:warning"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder with the configuration and its templates, as a standalone Alertmanager expects them."""
    parts = definition()
    (tmp_path / "alertmanager.yml").write_text(parts["alertmanager_config"])
    for name, text in parts["template_files"].items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_definition_is_well_formed(directory: Path) -> None:
    found = run(directory, "amtool", "check-config", "alertmanager.yml")
    assert "SUCCESS" in found
    assert "1 templates" in found
    assert "3 receivers" in found


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=ServiceRequestErrors service=orders severity=critical", "critical"),
        ("alertname=ServiceRequestErrors service=accounts severity=warning", "warning"),
        # An unneeded e-mail is better than an alert without a severity that reaches nobody.
        ("alertname=Unknown", "warning"),
        (f"alertname={WATCHDOG}", "nobody"),
    ],
)
def test_severity_decides_who_is_told(directory: Path, labels: str, receiver: str) -> None:
    route = ["config", "routes", "test", "--config.file=alertmanager.yml", f"--verify.receivers={receiver}"]
    assert run(directory, "amtool", *route, *labels.split()).strip() == receiver


def _rendered(directory: Path, template: str, *alerts: tuple[str, str]) -> str:
    data = {
        "status": "firing" if any(status == "firing" for status, _ in alerts) else "resolved",
        "commonLabels": {"service": "orders", "severity": "critical"},
        "alerts": [
            {
                "status": status,
                "labels": {"service": "orders"},
                "annotations": {
                    "summary": f"{summary}",
                    "description": "For a reason.",
                    "runbook": "docs/operations.md#service-request-errors",
                },
            }
            for status, summary in alerts
        ],
    }
    (directory / "data.json").write_text(json.dumps(data))
    text = f"--template.text={{{{ template {json.dumps(template)} . }}}}"
    return run(
        directory,
        "amtool",
        "template",
        "render",
        "--template.glob=trading",
        text,
        "--template.data=data.json",
    )


def test_message_is_what_the_chat_shows(directory: Path) -> None:
    message = json.loads(_rendered(directory, "trading.message", ("firing", "A"), ("resolved", "B")))
    assert message == {
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": "FIRING orders in us-east-1",
            "description": "A. For a reason. Runbook: docs/operations.md#service-request-errors\n"
            "Resolved: B. For a reason. Runbook: docs/operations.md#service-request-errors",
        },
    }


def test_end_of_an_alert_is_told_as_such(directory: Path) -> None:
    assert (
        _rendered(directory, "trading.subject", ("resolved", "A")).strip() == "RESOLVED orders in us-east-1"
    )


def test_only_the_end_of_what_is_critical_is_told() -> None:
    receivers = yaml.safe_load(definition()["alertmanager_config"])["receivers"]
    told = {
        receiver["name"]: topic["send_resolved"]
        for receiver in receivers
        for topic in receiver.get("sns_configs", ())
    }
    assert told == {"critical": True, "warning": False}


def test_topics_are_standard_ones_with_a_region_and_nothing_that_amp_refuses() -> None:
    # "Configure alert manager to send messages to your Amazon SNS topic".
    for receiver in yaml.safe_load(definition()["alertmanager_config"])["receivers"]:
        for topic in receiver.get("sns_configs", ()):
            assert topic["sigv4"] == {"region": "us-east-1"}
            assert not {"api_url", "http_config"} & topic.keys()
            assert not topic["topic_arn"].endswith(".fifo")


@pytest.mark.parametrize("stack", STACKS)
def test_alert_manager_may_publish_to_the_topics_of_its_region(stack: str) -> None:
    graph = platform(stack)
    policies = {
        policy.inputs["arn"]: json.loads(policy.inputs["policy"])["Statement"]
        for policy in graph.of("aws:sns/topicPolicy:TopicPolicy")
    }
    topics = {topic.outputs["arn"]: topic.inputs for topic in graph.of("aws:sns/topic:Topic")}
    keys = {key.outputs["arn"]: key.inputs for key in graph.of("aws:kms/key:Key")}
    managers = graph.of("aws:amp/alertManagerDefinition:AlertManagerDefinition")
    assert managers
    for manager in managers:
        region = manager.name.removeprefix("service-alerts-")
        receivers = yaml.safe_load(yaml.safe_load(manager.inputs["definition"])["alertmanager_config"])[
            "receivers"
        ]
        arns = [topic["topic_arn"] for receiver in receivers for topic in receiver.get("sns_configs", ())]
        assert len(arns) == 2
        for arn in arns:
            assert arn.split(":")[3] == region
            publish = policies[arn][0]
            assert "aps.amazonaws.com" in publish["Principal"]["Service"]
            assert set(publish["Action"]) == {"sns:Publish", "sns:GetTopicAttributes"}
            statements = json.loads(keys[topics[arn]["kmsMasterKeyId"]]["policy"])["Statement"]
            (encrypt,) = [s for s in statements if s["Sid"] == "PublishersToEncryptedTopics"]
            assert "aps.amazonaws.com" in encrypt["Principal"]["Service"]
            assert set(encrypt["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
