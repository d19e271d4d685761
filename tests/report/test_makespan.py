"""How long a deployment takes: the engine's order, the durations, and what they say of the fixture stacks."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from report import makespan as command
from report.makespan import another_region, duration
from report.planned import PlannedError
from report.schedule import Durations, Operation, Plan, Resource
from sandbox import sdk_schema
from tests.report.makespan import CHARTS, PAGE, WAITS, charts, delays, page, plan
from tests.unit.harness import STACKS, stack_values

BROKERS, SCRAPER = "aws:msk/cluster:Cluster", "aws:amp/scraper:Scraper"
SECONDS = {"slow": 100, "medium": 40, "fast": 1}


class Given(Durations):
    """Each operation takes what the resource's type says."""

    def of(self, resource: Resource, operation: Operation) -> int:
        return 0 if operation == "delete" and resource.retained else SECONDS.get(resource.type, 0)

    def wait(self, resource: Resource) -> tuple[str, int]:
        return ("medium", 70) if resource.name == "subnet" else ("", 0)


def resource(name: str, kind: str, *values: str, needs: Iterable[str] = (), **changes: Any) -> Resource:
    """A resource whose URN is its name. It contains values of `values`, and depends on `needs` explicitly."""
    given: dict[str, Any] = {
        "custom": kind != "component",
        "inputs": {},
        "parent": "",
        "provider": "",
        "dependencies": {*values, *needs},
        "by_value": {"input": frozenset(values)},
        "retained": False,
        **changes,
    }
    return Resource(urn=name, type=kind, **given)


def given(*resources: Resource) -> Plan:
    return Plan(resources, Given())


def test_creation_waits_for_values_dependencies_and_the_provider() -> None:
    made = given(
        resource("provider", "slow"),
        resource("value", "medium"),
        resource("needed", "medium", "value"),
        resource("last", "fast", "value", needs=["needed"], provider="provider"),
    ).up()
    assert {step.resource.name: step.start for step in made.steps} == {
        "provider": 0,
        "value": 0,
        "needed": 40,
        "last": 100,
    }
    assert made.seconds == 101
    assert [step.resource.name for step in made.path] == ["provider", "last"]
    assert {step.resource.name: step.slack for step in made.steps} == {
        "provider": 0,
        "value": 20,
        "needed": 20,
        "last": 0,
    }


def test_dependency_on_a_component_is_one_on_what_is_in_it() -> None:
    made = given(
        resource("component", "component"),
        resource("child", "slow", parent="component"),
        resource("sibling", "fast", parent="component"),
        resource("user", "fast", needs=["component"]),
    ).up()
    assert {step.resource.name: step.start for step in made.steps} == {"child": 0, "sibling": 0, "user": 100}


def test_each_layer_of_deletions_waits_for_the_slowest_of_the_one_before() -> None:
    made = given(
        resource("network", "fast"),
        resource("database", "medium", "network"),
        resource("brokers", "slow", "network"),
        resource("proxy", "slow", "database"),
        resource("kept", "slow", "network", retained=True),
    )
    # The brokers need nothing of the proxy's layer, but are deleted after it.
    assert [sorted(it.name for it in layer) for layer in made.layers()] == [
        ["proxy"],
        ["brokers", "database", "kept"],
        ["network"],
    ]
    down = made.down()
    assert {step.resource.name: (step.start, step.end) for step in down.steps} == {
        "proxy": (0, 100),
        "brokers": (100, 200),
        "database": (100, 140),
        "network": (200, 201),
    }
    assert [step.resource.name for step in down.path] == ["proxy", "brokers", "network"]
    assert made.down_without_layers() == 141


def test_subnet_waits_for_the_network_interfaces_of_functions() -> None:
    made = given(resource("subnet", "fast"), resource("function", "medium", "subnet"))
    assert made.down().seconds == 40 + 70
    assert given(resource("subnet", "fast"), resource("database", "slow", "subnet")).down().seconds == 101


def test_operations_share_the_places_of_the_engine() -> None:
    made = given(*(resource(f"alarm-{number}", "medium") for number in range(5)))
    assert [made.with_workers(count) for count in (1, 2, 5, 8)] == [200, 120, 40, 40]


def test_only_what_a_new_region_adds_or_changes_takes_time() -> None:
    before = given(resource("old", "slow"), resource("edge", "medium", "old"))
    after = given(
        resource("old", "slow"),
        resource("edge", "medium", "old", inputs={"regions": 2}),
        resource("new", "slow", "old"),
    )
    added = after.add(before)
    assert {step.resource.name: (step.start, step.end) for step in added.steps} == {
        "edge": (0, 40),
        "new": (0, 100),
    }


def test_stack_with_one_region_gets_another_one() -> None:
    config = stack_values("small")
    without, added = another_region(config)
    assert without == config
    assert [region["name"] for region in added["trading:regions"]] == ["us-east-1", "us-east-2"]
    assert added["trading:regions"][1]["cidr"] == "10.0.0.0/16"
    assert added["trading:regions"][1]["availabilityZones"] == ["us-east-2a", "us-east-2b", "us-east-2c"]


def test_stack_with_two_regions_loses_the_second_one() -> None:
    config = stack_values("full")
    without, added = another_region(config)
    assert added == config
    assert without["trading:regions"] == config["trading:regions"][:1]


def test_every_duration_has_a_dated_source() -> None:
    for token, entry in Durations().types.items():
        assert entry["sources"], token
        for source in entry["sources"]:
            assert source["kind"] in {"log", "test"}, token
            assert source["says"], token
            when = source.get("date") or source["read"]
            assert isinstance(when, date | str), token
            assert str(when)[:2] == "20", token
            assert "url" in source or "read" in source or str(source["date"]) in source["says"], token


def test_durations_are_those_of_types_that_exist() -> None:
    durations = Durations()
    used = {it.type for stack in STACKS for it in plan(stack).resources.values()}
    in_clusters = {"kubernetes:apps/v1:Deployment"}
    assert durations.types.keys() <= used | in_clusters
    assert durations.unmeasured.keys() <= used
    assert not durations.unmeasured.keys() & durations.types.keys()
    for token, entry in durations.types.items():
        if token.startswith("aws:"):
            sdk_schema.validate(token, {})
        figures = [entry[it] for it in ("create", "update", "delete") if it in entry]
        assert all(figure > durations.default for figure in figures), token
        assert figures or "deleteAfter" in entry, token


@pytest.mark.parametrize("stack", STACKS)
def test_types_without_a_source_could_take_ten_minutes_more(stack: str) -> None:
    unmeasured = Durations().unmeasured
    steps = [step for step in plan(stack).up().steps if step.resource.type in unmeasured]
    assert min(step.slack for step in steps) >= 600


@pytest.mark.parametrize("stack", STACKS)
def test_longest_chain_is_the_brokers_and_their_scraper(stack: str) -> None:
    up = plan(stack).up()
    slow = [step.resource.type for step in up.path if step.end - step.start >= 60]
    assert slow == [BROKERS, SCRAPER]
    assert sum(step.end - step.start for step in up.path) == up.seconds


@pytest.mark.parametrize("stack", STACKS)
def test_no_dependency_lengthens_the_path_beyond_what_values_demand(stack: str) -> None:
    made = plan(stack)
    demanded = made.up({urn: made.waits(it, ()) for urn, it in made.resources.items()})
    assert made.up().seconds == demanded.seconds


@pytest.mark.parametrize("stack", STACKS)
def test_no_dependency_delays_a_resource_without_a_known_reason(stack: str) -> None:
    assert delays(plan(stack)) == {}


def test_new_dependency_that_costs_time_is_noticed() -> None:
    made = plan("small")
    brokers = next(it for it in made.resources.values() if it.type == BROKERS)
    cluster = next(it for it in made.resources.values() if it.type == "eks:index:Cluster")
    longer = dataclasses.replace(brokers, dependencies=brokers.dependencies | {cluster.urn})
    changed = Plan([*({**made.resources, brokers.urn: longer}.values())])
    assert changed.up().seconds > made.up().seconds + 600
    late = delays(changed)
    assert f"{brokers.name} {BROKERS}" in late


def test_every_known_reason_is_needed() -> None:
    # The full stack has everything that the small one has.
    made = plan("full")
    unneeded = [wait for wait in WAITS if not delays(made, [it for it in WAITS if it is not wait])]
    assert unneeded == []


def test_page_has_the_current_figures() -> None:
    assert PAGE.read_text() == page(), "run `make golden` and review the diff"


def test_charts_are_current() -> None:
    for path, text in charts().items():
        assert path.read_text() == text, f"{path.name}: run `make golden` and review the diff"
        assert path.name in PAGE.read_text()


@pytest.mark.parametrize("file", CHARTS.values())
def test_chart_is_readable_in_both_themes_and_fits(file: str) -> None:
    chart = ElementTree.fromstring(PAGE.with_name(file).read_text())
    names = {"svg": "http://www.w3.org/2000/svg"}
    style = chart.findtext("svg:style", namespaces=names) or ""
    assert "prefers-color-scheme: dark" in style
    width, height = map(float, chart.attrib["viewBox"].split()[2:])
    back = chart.find("svg:rect[@class='back']", names)
    assert back is not None
    assert (float(back.attrib["width"]), float(back.attrib["height"])) == (width, height)
    assert chart.findall("svg:rect[@class='path']", names)
    for text in chart.findall("svg:text", names):
        end = float(text.attrib["x"])
        if text.attrib.get("text-anchor") == "start":
            end += 6 * len(text.text or "")
        assert 0 < end <= width, text.text


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """The command in a project with a stack `small` whose resources are those of the mocks."""
    config = {
        "config": {
            "trading:regions": [{"name": "us-east-1", "cidr": "10.0.0.0/16", "availabilityZones": ["a"]}]
        }
    }
    (folder / "Pulumi.yaml").write_text("name: trading\nruntime: python\n")
    (folder / "Pulumi.small.yaml").write_text(json.dumps(config))
    monkeypatch.chdir(folder)
    states = [
        {
            "urn": it.urn,
            "type": it.type,
            "custom": it.custom,
            "inputs": dict(it.inputs),
            "parent": it.parent,
            "provider": f"{it.provider}::id" if it.provider else "",
            "dependencies": sorted(it.dependencies),
            "propertyDependencies": {name: sorted(urns) for name, urns in it.by_value.items()},
        }
        for it in plan("small").resources.values()
    ]

    def planned(stack: str, project: Path) -> list[dict[str, Any]]:
        assert f"main: {folder}" in (project / "Pulumi.yaml").read_text()
        assert (project / f"Pulumi.{stack}.yaml").is_file()
        return copy.deepcopy(states)

    monkeypatch.setattr(command, "planned", planned)
    return command.main(["--stack", "small", *arguments])


def test_command_prints_path_and_slack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "--parallel", "8") == 0
    text = capsys.readouterr().out
    assert f"up: {duration(plan('small').up().seconds)}\n" in text
    assert "add a region: 0 s\n" in text
    assert f"event-streaming-us-east-1-brokers ({BROKERS})" in text
    assert f"up with --parallel 8: {duration(plan('small').with_workers(8))}" in text
    assert "MSK " in text


def test_command_prints_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    up = found["makespans"]["up"]
    assert up["seconds"] == plan("small").up().seconds
    assert [step["type"] for step in up["path"] if step["end"] - step["start"] > 60] == [BROKERS, SCRAPER]
    assert up["tiers"]["MSK"]["slack"] == 0
    assert found["upWithParallel"] == {"16": plan("small").with_workers(16)}


def test_command_names_a_stack_without_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(["--stack", "nothing"]) == 1
    assert "Pulumi.nothing.yaml" in capsys.readouterr().err


def test_command_shows_why_a_preview_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, tmp_path)

    def failing(stack: str, project: Path) -> list[Any]:
        raise PlannedError(f"the preview of stack {stack} failed")

    monkeypatch.setattr(command, "planned", failing)
    assert command.main(["--stack", "small"]) == 1
    assert capsys.readouterr().err == "error: the preview of stack small failed\n"


def test_command_rejects_no_operations_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--stack", "small", "--parallel", "0"])
    assert "--parallel: 0 is not a number of operations: give 1 or more" in capsys.readouterr().err
