"""How a stack file adds to the defaults and removes them, and the forms in which Pulumi writes values."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pulumi.runtime.config import set_all_config

from policy.values import read_yaml
from settings import Settings, SettingsError, stack_schema
from settings.api import DEFAULT_ROUTES
from settings.namespaces import known_namespaces
from settings.service import DEFAULT_SERVICES
from settings.streaming import DEFAULT_TOPICS
from settings.table import DEFAULT_TABLES
from tests.unit.harness import ROOT, without_namespace
from tests.unit.test_settings import Change, Values, append, put, stack_values

SERVICE = {"image": "ghcr.io/example/positions:1.4.2", "listenerPort": 8084}
TABLE = {"hashKey": {"name": "symbol"}}


def parsed(*changes: Change) -> Settings:
    values = stack_values("full")
    for change in changes:
        change(values)
    return Settings.parse(values)


MAPPINGS: list[tuple[str, Any, str, Values, Callable[[Settings], list[Any]]]] = [
    ("services", DEFAULT_SERVICES, "name", SERVICE, lambda settings: settings.services),
    ("api.routes", DEFAULT_ROUTES, "path", {"service": "orders"}, lambda settings: settings.api.routes),
    ("streaming.topics", DEFAULT_TOPICS, "name", {}, lambda settings: settings.streaming.topics),
    ("tables", DEFAULT_TABLES, "name", TABLE, lambda settings: settings.tables),
]
by_mapping = pytest.mark.parametrize(
    ("path", "defaults", "key", "entry", "found"), MAPPINGS, ids=[mapping[0] for mapping in MAPPINGS]
)


@by_mapping
def test_addition_leaves_the_defaults(
    path: str, defaults: list[Any], key: str, entry: Values, found: Callable[[Settings], list[Any]]
) -> None:
    before = found(parsed())
    assert before == defaults
    name = "/api/added" if key == "path" else "added"
    settings = parsed(put(path, {name: entry}))
    assert found(settings)[:-1] == before
    assert getattr(found(settings)[-1], key) == name


@by_mapping
def test_order_does_not_depend_on_the_files(
    path: str, defaults: list[Any], key: str, entry: Values, found: Callable[[Settings], list[Any]]
) -> None:
    """The engine sorts keys, but a file can contain them in any order."""
    prefix = "/api/" if key == "path" else ""
    entries = [(f"{prefix}{name}", {**entry}) for name in ("zeta", "alpha")]
    for port, (_, added) in enumerate(entries, start=9000):
        if path == "services":
            added["listenerPort"] = port
    entries.append((getattr(defaults[1], key), {}))
    orders = {
        tuple(getattr(item, key) for item in found(parsed(put(path, dict(order)))))
        for order in itertools.permutations(entries)
    }
    names = tuple(getattr(default, key) for default in defaults)
    assert orders == {(*names, f"{prefix}alpha", f"{prefix}zeta")}


def test_entry_of_a_default_changes_the_keys_that_it_gives() -> None:
    default = next(service for service in DEFAULT_SERVICES if service.name == "orders")
    settings = parsed(put("services", {"orders": {"replicas": {"min": 5, "max": 9}, "tables": []}}))
    orders = settings.service("orders")
    assert (orders.replicas.min, orders.replicas.max, orders.tables) == (5, 9, [])
    assert orders.model_copy(update={"replicas": default.replicas, "tables": default.tables}) == default


def test_null_takes_a_default_away() -> None:
    settings = parsed(
        put("services", {"market-data": None}),
        put("api.routes", {"/api/market-data": None}),
        put("tables", {"market-data": "null"}),  # `pulumi config set --path` can't write a real null
        put("streaming.topics", {"balances": None}),
        put("services.accounts", {"produces": []}),
    )
    assert [service.name for service in settings.services] == ["orders", "accounts"]
    assert [route.path for route in settings.api.routes] == ["/api/accounts"]
    assert [table.name for table in settings.tables] == ["orders-idempotency"]
    assert [topic.name for topic in settings.streaming.topics] == ["orders", "executions", "market-data"]


def test_null_takes_away_a_key_that_the_default_gives() -> None:
    topics = {"market-data": {"cleanupPolicy": "compact", "retentionHours": None}}
    compacted = parsed(put("streaming.topics", topics)).streaming.topics[2]
    assert (compacted.name, compacted.cleanup_policy) == ("market-data", "compact")
    assert not compacted.given("retention_hours")


def test_null_that_means_something_stays() -> None:
    assert parsed(put("services", {"orders": {"alerts": None}})).service("orders").alerts is None


@pytest.mark.parametrize(
    ("path", "entry", "valid"),
    [
        ("trading:services", {"orders": {"cpu": "1"}}, True),
        ("trading:api", {"routes": {"/api/market-data": None}}, True),
        ("trading:services", {"orders": {"tables": None}}, True),
        ("trading:services", {"orders": {"cpus": "1"}}, False),
        ("trading:services", {"positions": SERVICE}, True),
        ("trading:services", {"positions": {"image": "ghcr.io/example/positions:1.4.2"}}, False),
        ("trading:services", {"positions": None}, False),
        ("trading:services", {"positions": {**SERVICE, "name": "positions"}}, False),
        ("trading:services", {"Positions": SERVICE}, False),
        ("trading:services", [{"name": "orders", "listenerPort": 8081}], False),
        ("trading:tables", {"market-data": {"billing": "onDemand"}}, True),
        ("trading:tables", {"positions": {}}, False),
    ],
)
def test_schema_knows_defaults_from_additions(path: str, entry: Any, valid: bool) -> None:
    file: Values = read_yaml(ROOT / "tests/stacks/full.yaml")
    file["config"][path] = entry
    validator: Any = jsonschema.Draft202012Validator(stack_schema())
    assert validator.is_valid(file) is valid
    try:
        Settings.parse(without_namespace(file["config"]))
    except SettingsError:
        assert not valid
    else:
        assert valid


def test_overrides_are_described() -> None:
    definitions = stack_schema()["$defs"]
    overrides = definitions["ServiceSettingsOverrides"]
    assert "required" not in overrides
    for key, described in definitions["ServiceSettings"]["properties"].items():
        assert overrides["properties"][key].get("description") == described.get("description")


def test_example_of_the_documentation_adds_a_service() -> None:
    """The example is inserted below `config:` in a stack file without changes."""
    page = (ROOT / "docs/configuration.md").read_text()
    (example,) = (text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "positions:" in text)
    pasted = (ROOT / "tests/stacks/full.yaml").read_text().replace("  trading:api:\n", "  trading:api2:\n")
    values: Values = yaml.safe_load(f"{pasted}{example}")["config"]
    del values["trading:api2"]
    settings = Settings.parse(without_namespace(values))
    assert [service.name for service in settings.services] == [
        "orders",
        "accounts",
        "market-data",
        "positions",
    ]
    assert [route.path for route in settings.api.routes] == [
        "/api/accounts",
        "/api/market-data",
        "/api/positions",
    ]


# Values that Pulumi's commands write (tests/engine/test_stack_commands.py runs the commands).


@pytest.mark.parametrize(
    ("path", "written", "meant"),
    [
        ("protect", "false", False),
        ("protect", "True", True),
        ("settingsVersion", "2", 2),
        ("domain.dnssec", "false", False),
        ("cache.shards", "4", 4),
        ("database.serverless", {"min": "0.5", "max": "2"}, {"min": 0.5, "max": 2}),
        ("tags.cost-center", 1234, "1234"),
        ("loadBalancer.originSecrets", ["1", "2"], [1, 2]),
        ("monitoring.logRetentionDays", "30", 30),
        ("monitoring.objectives.availability", "0.99", 0.99),
        (
            "services.orders",
            {"spot": "true", "alerts": {"latencyMs": "300"}},
            {"spot": True, "alerts": {"latencyMs": 300}},
        ),
        ("api.canary.stableVersions", {"us-east-1": "7"}, {"us-east-1": 7}),
        ("cache", '{"shards": 4}', {"shards": 4}),
    ],
)
def test_value_is_read_as_the_key_means_it(path: str, written: Any, meant: Any) -> None:
    assert parsed(put(path, written)) == parsed(put(path, meant))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("protect", "yes"),
        ("protect", 1),
        ("protect", "TRUE"),
        ("cache.shards", "three"),
        ("cache.shards", "3.0"),
        ("cache.shards", True),
        ("monitoring.objectives.availability", "nan"),
        ("monitoring.objectives.availability", float("inf")),
        ("tags.owner", False),
        ("cache", "{shards: 3}"),
    ],
)
def test_what_pulumi_would_not_write_is_refused(path: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"trading:{path}: ")):
        parsed(put(path, value))


# Values that the engine passes to the program


@pytest.fixture
def engine() -> Any:
    def hand_over(values: Values, secret: list[str] | None = None) -> None:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        set_all_config(texts, secret or [])

    yield hand_over
    set_all_config({}, [])


def whole(stack: str) -> Values:
    return read_yaml(ROOT / f"tests/stacks/{stack}.yaml")["config"]


def test_engines_configuration_is_read(engine: Any) -> None:
    engine({**whole("full"), "aws:region": "us-east-1", "pulumi:tags": {"a": "b"}})
    assert Settings.load() == parsed()


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("tradng:cache", "did you mean trading:?"),
        ("awss:region", "did you mean aws:?"),
        ("gcp:project", "known are aws, eks, kubernetes, pulumi, random, trading"),
    ],
)
def test_namespace_that_nobody_reads_is_refused(engine: Any, key: str, says: str) -> None:
    engine({**whole("full"), key: "{}", "trading:cache": {"shards": "three"}})
    with pytest.raises(SettingsError, match="2 problems") as raised:
        Settings.load()
    assert f"{key}: unknown namespace" in str(raised.value)
    assert says in str(raised.value)
    assert "trading:cache.shards" in str(raised.value)


def test_package_that_is_installed_brings_its_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, plugin in (
        ("pulumi_datadog", {"resource": True, "name": "datadog"}),
        ("acme_for_pulumi", {"resource": True, "name": "acme"}),
        ("pulumi_tool", {"resource": False}),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
        (tmp_path / folder / "pulumi-plugin.json").write_text(json.dumps(plugin))
    before = known_namespaces()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known_namespaces.cache_clear()
    try:
        assert known_namespaces() == before | {"datadog", "acme"}
    finally:
        known_namespaces.cache_clear()


def test_secret_is_in_no_error(engine: Any) -> None:
    values = whole("full")
    values["trading:domain"]["host"] = "hush-hush.example.org"
    values["trading:monitoring"]["slack"] = {"workspaceId": "s3cr3t", "channelId": "C0123ABCD"}
    values["trading:cache"] = "{ s3cr3t"
    engine(values, ["trading:domain", "trading:monitoring", "trading:cache"])
    with pytest.raises(SettingsError, match="3 problems") as raised:
        Settings.load()
    text = str(raised.value)
    assert "hush-hush" not in text
    assert "s3cr3t" not in text
    assert "trading:domain: host [secret] must lie below zone" in text
    assert "trading:monitoring.slack.workspaceId" in text


def test_secret_value_is_used(engine: Any) -> None:
    engine(whole("full"), ["trading:domain"])
    assert Settings.load() == parsed()


def test_file_of_a_newer_format_gets_one_error() -> None:
    with pytest.raises(SettingsError, match="1 problem:") as raised:
        parsed(put("settingsVersion", "3"), put("cache.shards", "three"), append("regions", {}))
    assert "settingsVersion: 3: " in str(raised.value)
