"""The results of all snippets in every region. They are made once in a test run."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

from moto import mock_aws

from tests.functions.records import MOTO
from tests.run import once
from tests.runbooks.account import PLATFORM, REGIONS, Seed
from tests.runbooks.page import PAGES, Section, sections
from tests.runbooks.shell import FORWARDED, Result, Shell
from tests.unit.harness import ROOT, Graph, deploy_platform, platforms_with_everything

VALUES: Mapping[str, str] = {
    "BROKER": "2",
    "GIB": "600",
    "ID": "0a1b2c3d",
    "MOMENT": "2026-01-31T14:05:00Z",
    "POINT": "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:awsbackup:job-1",
    "INSTANCE": "",
    "KEY": "alias/kept",
    "LEFT": "eu-west-1",
    "LOST": "us-east-1",
    "NODE": "node-1",
    "PID": "4711",
    "POD": "orders-1",
    "READS": "40",
    "SECRET": "PARTNER_KEY",
    "STABLE": "1",
    "STACK": "full",
    "TYPE": "Aurora",
    "TRACE": "1-5759e988-bd862e3fe1be46a994272793",
    "VERSION": "1",
    "WRITES": "40",
    "ZONE_ID": "use1-az1",
}
"""Placeholder → what a person would set."""

ONLY: Mapping[str, str] = {
    "Canary a version of order intake": "us-east-1",  # only there, the fixture stack has a canary
    "What a real account needs first": "us-east-1",  # a role exists once in an account
}
"""Section → the region that it is needed in."""

Run = tuple[str, str, str]
"""Page, title of the section, and region."""


@functools.cache
def results() -> Mapping[Run, tuple[Result, Result]]:
    """Each section's result with the placeholders replaced, and without."""
    return once("runbooks", _run_all)


def has_alarm(graph: Graph, anchor: str, region: str) -> bool:
    """Whether a stack has an alarm that names the region and whose description leads to the section."""
    return any(
        alarm.inputs["alarmDescription"].endswith(f"#{anchor}")
        and f"-{region}-" in (alarm.outputs.get("name") or alarm.inputs["alarmName"])
        for kind in ("metricAlarm:MetricAlarm", "compositeAlarm:CompositeAlarm")
        for alarm in graph.of(f"aws:cloudwatch/{kind}")
    )


def concerns(section: Section, region: str) -> bool:
    """Whether the section can be needed in a region of the fixture stack: it is not about an alarm that only
    another stack or another region has."""
    graphs = platforms_with_everything().values()
    if section.title in ONLY:
        return region == ONLY[section.title]
    watched = any(has_alarm(graph, section.title, name) for graph in graphs for name in REGIONS)
    return not watched or has_alarm(deploy_platform("full"), section.title, region)


def _run_all() -> dict[Run, tuple[Result, Result]]:
    graph = deploy_platform("full")
    with patch.dict(os.environ, MOTO), mock_aws():
        seed = Seed(graph)
        shell = Shell({name: lambda _: "" for name in FORWARDED})
        try:
            return {
                (page, section.title, region): run(shell, section, region, seed)
                for page in PAGES
                for section in sections(page)
                for region in REGIONS
                if concerns(section, region)
            }
        finally:
            shell.close()


def run(shell: Shell, section: Section, region: str, seed: Seed) -> tuple[Result, Result]:
    """Runs a section in a folder with only the functions: with placeholders replaced, then without."""
    (peer,) = set(REGIONS) - {region}
    here = f"{PLATFORM} {region} {peer}"
    code = section.code.replace("trading-prod us-east-1 eu-west-1", here)
    start = f". docs/operations.sh {here}\nSERVICE=orders\n"
    values = {**VALUES, "INSTANCE": seed.instance(region)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "docs").symlink_to(ROOT / "docs")
        replaced = shell.run(start + code, values, folder)
        empty = Result()
        for snippet in section.snippets:
            if "${" in snippet and ":?}" in snippet:
                found = shell.run(start + snippet, {}, folder)
                empty.calls += found.calls
                empty.commands += found.commands
        return replaced, empty
