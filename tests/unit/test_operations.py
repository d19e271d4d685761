"""`docs/operations.md` has a runbook for every alarm, and its names and commands exist."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from components.api.api import access_log
from tests.unit.harness import ROOT, Graph, platforms_with_everything

RUNBOOKS = ROOT / "docs" / "operations.md"
FUNCTIONS = ROOT / "docs" / "operations.sh"
TEXT = RUNBOOKS.read_text()
ALARMS, PROCEDURES = TEXT.split("\n# Procedures\n")
SECTIONS = {
    part.split("\n", 1)[0]: part.split("\n", 1)[1]
    for part in re.split(r"^### ", re.sub(r"^## .*$", "", ALARMS, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
}
"""Anchor → text."""
PARTS = ("**Means.** ", "**Look.** ", "**Do.** ", "**Escalate.** ")

AWS_OPTIONS = {"--query", "--output", "--cli-input-json"}
"""Options of the AWS CLI itself."""
AWS_EXTRAS = {("s3", "cp"), ("eks", "update-kubeconfig"), ("rds", "wait")}
"""Commands of the AWS CLI that are not operations of an API."""

STAND_INS = """
PATH=/nonexistent
command_not_found_handle() {
  printf -v call '%s\\x1f' "$@"
  printf '%s\\x1e' "$call" >>calls
  echo x
  [[ $1 != grep ]]
}
xargs() {
  while [[ $1 == -* ]]; do shift; done
  "$@" x
}
PLATFORM=trading-full REGION=us-east-1 PEER=eu-west-1 SERVICE=orders
"""
"""No command exists, so each call is recorded and prints something instead. `grep` finds nothing."""


def alarms(graph: Graph) -> list[dict[str, Any]]:
    return [alarm.inputs for alarm in graph.of("aws:cloudwatch/metricAlarm:MetricAlarm")]


def composite_alarms(graph: Graph) -> list[dict[str, Any]]:
    return [alarm.inputs for alarm in graph.of("aws:cloudwatch/compositeAlarm:CompositeAlarm")]


def prometheus_alerts(graph: Graph) -> list[dict[str, Any]]:
    """The alerts that notify somebody."""
    namespaces = graph.of("aws:amp/ruleGroupNamespace:RuleGroupNamespace")
    groups = [group for namespace in namespaces for group in json.loads(namespace.inputs["data"])["groups"]]
    return [rule for group in groups for rule in group["rules"] if "severity" in rule.get("labels", {})]


def anchors() -> set[str]:
    graphs = platforms_with_everything().values()
    texts = [
        alarm["alarmDescription"] for graph in graphs for alarm in (*alarms(graph), *composite_alarms(graph))
    ]
    texts += [
        f"Runbook: {alert['annotations']['runbook']}"
        for graph in graphs
        for alert in prometheus_alerts(graph)
    ]
    found = [re.search(r"Runbook: docs/operations\.md#([a-z0-9-]+)$", text) for text in texts]
    assert all(found), [text for text, match in zip(texts, found, strict=True) if not match]
    return {match[1] for match in found if match}


def test_every_alarm_has_a_section() -> None:
    assert sorted(anchors() - SECTIONS.keys()) == []


def test_every_section_has_an_alarm() -> None:
    assert sorted(SECTIONS.keys() - anchors()) == []


@pytest.mark.parametrize("anchor", SECTIONS)
def test_section_says_what_it_means_where_to_look_what_to_do_and_when_to_escalate(anchor: str) -> None:
    text = SECTIONS[anchor]
    positions = [text.find(f"\n{part}") for part in PARTS]
    assert -1 not in positions
    assert positions == sorted(positions)
    look = text[positions[1] : positions[2]]
    assert "```sh\n" in look, "there is nothing to run"


def test_links_lead_to_sections() -> None:
    headings = re.findall(r"^#+ (.+)$", TEXT, flags=re.MULTILINE)
    known = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= known


def scripts() -> Iterator[str]:
    """The shell code of the page, both in code blocks, which can be indented in a list, and inline."""
    for indent, code in re.findall(r"^( *)```sh\n(.*?)^ *```$", TEXT, flags=re.MULTILINE | re.DOTALL):
        yield re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)
    yield from re.findall(r"`((?:aws|kubectl|pulumi|sql) [^`]+)`", TEXT)


@functools.cache
def functions() -> str:
    """Calls each function of `operations.sh`."""
    code = FUNCTIONS.read_text()
    names = re.findall(r"^(\w+)\(\) \{", code, flags=re.MULTILINE)
    return "\n".join(
        ["set -- trading-full us-east-1 eu-west-1", code, *(f"{name} alb-5xx second third" for name in names)]
    )


def commands(code: str) -> list[list[str]]:
    """The commands that shell code runs, with their arguments.

    Raises:
        AssertionError: the shell cannot parse it.
    """
    with tempfile.TemporaryDirectory() as directory:
        chosen = "".join(f"{name}=x\n" for name in re.findall(r"\$\{([A-Z_]+):\?\}", code))
        shell = ["bash", "-c", STAND_INS + chosen + code]
        result = subprocess.run(shell, cwd=directory, capture_output=True, text=True, check=False, timeout=20)
        assert "syntax error" not in result.stderr, result.stderr
        record = Path(directory, "calls")
        return (
            [call.split("\x1f")[:-1] for call in record.read_text().split("\x1e")[:-1]]
            if record.exists()
            else []
        )


@functools.cache
def calls(name: str) -> list[list[str]]:
    """The arguments of every call of a command, in the page and in the shell functions."""
    found = [command for code in (*scripts(), functions()) for command in commands(code)]
    return [arguments for command, *arguments in found if command == name]


def test_queries_read_log_groups_that_exist() -> None:
    groups = [
        g
        for graph in platforms_with_everything().values()
        for g in graph.of("aws:cloudwatch/logGroup:LogGroup")
    ]
    names = [
        group.inputs.get("name") or group.inputs.get("namePrefix") or f"{group.name}-" for group in groups
    ]
    queried = {prefix for prefix, _ in calls("logs")}
    assert queried
    assert sorted(prefix for prefix in queried if not any(n.startswith(prefix) for n in names)) == []


def watched(alarm: dict[str, Any]) -> dict[str, Any]:
    """The dimensions of an alarm's metric, found in the same way as by the shell function `alarm`."""
    for query in alarm.get("metricQueries", []):
        if query["id"] == "metric":
            return query["metric"]["dimensions"]
    return alarm.get("dimensions", {})


@pytest.mark.parametrize("function", ["metric", "dim", "targets"])
def test_functions_are_given_signals_that_exist(function: str) -> None:
    dimensions = {
        re.sub(rf"^{platform}-(us-east|eu-west)-1-", "", alarm["name"]): watched(alarm)
        for platform, graph in platforms_with_everything().items()
        for alarm in alarms(graph)
        if "name" in alarm
    }
    found = calls(function)
    assert found
    for signal, *rest in found:
        assert signal in dimensions, signal
        if function == "dim":
            assert rest[0] in dimensions[signal], (signal, rest)


def test_master_users_secret_is_found_by_its_description() -> None:
    secrets = platforms_with_everything()["trading-full"].of("aws:secretsmanager/secret:Secret")
    found = [
        s.inputs for s in secrets if "trading-full-database-us-east-1;" in s.inputs.get("description", "")
    ]
    assert len(found) == 1
    assert "'$PLATFORM-database-$region;'" in FUNCTIONS.read_text()


def test_resources_to_replace_exist() -> None:
    assert "`identity-machine`" in PROCEDURES
    assert "identity-machine" in {r.name for r in platforms_with_everything()["trading-full"].resources}


def test_queries_of_the_access_log_name_its_fields() -> None:
    fields = access_log("authorizer.principalId").keys()
    words_of_insights = {
        *(
            "filter",
            "stats",
            "sort",
            "limit",
            "display",
            "by",
            "as",
            "desc",
            "like",
            "count",
            "pct",
            "bin",
            "and",
        ),
        *("all", "behind", "n"),  # names that the queries define
    }
    queries = [query for prefix, query in calls("logs") if prefix.startswith("/aws/apigateway/")]
    assert queries
    for query in queries:
        bare = re.sub(r'"[^"]*"|/\S+/', "", query)
        named = set(re.findall(r"(?<!@)\b[a-zA-Z]\w*", bare)) - {"timestamp"}
        assert named - words_of_insights <= fields, query


def test_aws_commands_exist() -> None:
    session = botocore.session.get_session()
    services = {*session.get_available_services()}
    found = [command for command in calls("aws") if tuple(command[:2]) not in AWS_EXTRAS]
    assert len(found) > 50
    for service, operation, *arguments in found:
        assert service in services, service
        model = session.get_service_model(service)
        operations = {xform_name(name, "-"): name for name in model.operation_names}
        assert operation in operations, f"aws {service} {operation}"
        shape = model.operation_model(operations[operation]).input_shape
        known = {f"--{xform_name(member, '-')}" for member in (shape.members if shape else ())}
        for option in [argument for argument in arguments if argument.startswith("--")]:
            either = {option, option.replace("--no-", "--", 1)}
            assert either & (known | AWS_OPTIONS), f"aws {service} {operation} {option}"
