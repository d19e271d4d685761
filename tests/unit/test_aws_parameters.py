"""Compares the platform's parameters with the lists of those that AWS accepts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from components.event_streaming.configuration import server_properties
from settings import DatabaseSettings, aws_parameters
from settings.aws_parameters import (
    broker_problems,
    cache_default,
    cache_problems,
    database_parameters,
    database_problems,
)
from tests.unit.harness import ROOT, STACKS, Graph, Registered, platform, stack_values
from tests.unit.test_database import database

DATA: dict[str, Any] = json.loads((ROOT / "settings" / "aws_parameters.json").read_text())
CLUSTER_GROUP = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
INSTANCE_GROUP = "aws:rds/parameterGroup:ParameterGroup"
CACHE_GROUP = "aws:elasticache/parameterGroup:ParameterGroup"


def test_lists_have_the_sizes_that_their_sources_state() -> None:
    database = DATA["aurora-postgresql"]
    text = " ".join(database["sources"])
    assert f"{len(database['cluster'])} cluster parameters" in text
    assert f"{len(database['instance'])} instance parameters" in text
    assert f"{len(DATA['msk']['properties'])} properties" in DATA["msk"]["sources"][0]
    assert set(database["instance"]) <= set(database["cluster"])
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d", part["date"]) for part in DATA.values())


def groups(graph: Graph) -> list[Registered]:
    return [*graph.of(CLUSTER_GROUP), *graph.of(INSTANCE_GROUP)]


def graph_of(version: str | None) -> Graph:
    """The small platform's database with a version, or the full platform."""
    if version is None:
        return platform("full")
    settings = {**stack_values("small").get("trading:database", {}), "engineVersion": version}
    return database(DatabaseSettings.model_validate(settings))


@pytest.mark.parametrize("version", [None, "14.20", "15.15", "16.11", "17.11", "18.6"])
def test_every_parameter_exists_and_differs_from_its_default(version: str | None) -> None:
    graph = graph_of(version)
    assert {group.type for group in groups(graph)} == {CLUSTER_GROUP, INSTANCE_GROUP}
    for group in groups(graph):
        family, instance = group.inputs["family"], group.type == INSTANCE_GROUP
        given = {p["name"]: (p["value"], p["applyMethod"]) for p in group.inputs["parameters"]}
        assert given
        assert list(database_problems(family, given, instance=instance)) == []
        known = database_parameters(family, instance=instance)
        assert [name for name, (value, _) in given.items() if known[name].default == value] == []


@pytest.mark.parametrize("stack", STACKS)
def test_every_parameter_of_cache_and_brokers_exists_and_differs_from_its_default(stack: str) -> None:
    graph = platform(stack)
    (cache, *_) = graph.of(CACHE_GROUP)
    parameters = {p["name"]: p["value"] for p in cache.inputs["parameters"]}
    assert list(cache_problems(parameters)) == []
    assert [name for name, value in parameters.items() if cache_default(name) == value] == []
    for configuration in graph.of("aws:msk/configuration:Configuration"):
        assert list(broker_problems(configuration.inputs["serverProperties"])) == []


@pytest.mark.parametrize(
    ("name", "value", "method", "problem"),
    [
        ("lock_timeout", "1000", "immediate", "Could not find parameter with name: lock_timeout"),
        (
            "shared_preload_libraries",
            "pgaudit",
            "immediate",
            "cannot use immediate apply method for static parameter: shared_preload_libraries",
        ),
        ("shared_preload_libraries", "pgaudit,nothing", "pending-reboot", "Invalid parameter value"),
        ("data_directory", "/", "pending-reboot", "The parameter data_directory cannot be modified"),
        ("log_min_duration_statement", "-2", "immediate", "Invalid parameter value: -2"),
        ("log_min_duration_statement", "often", "immediate", "Invalid parameter value: often"),
        ("log_min_duration_statement", "-1", "immediate", None),
        ("rds.force_ssl", "1", "pending-reboot", None),
    ],
)
def test_rds_rejects_what_is_not_in_its_list(name: str, value: str, method: str, problem: str | None) -> None:
    found = list(database_problems("aurora-postgresql17", {name: (value, method)}))
    assert [bool(problem and problem in text) for text in found] == [True] * bool(problem)


def test_parameters_of_the_cluster_alone_are_none_of_an_instance() -> None:
    parameters = {"rds.force_ssl": ("1", "immediate")}
    assert list(database_problems("aurora-postgresql16", parameters, instance=True)) == [
        "Could not find parameter with name: rds.force_ssl"
    ]


def test_a_newer_family_has_the_changes_of_all_versions_up_to_it() -> None:
    assert [database_parameters(f"aurora-postgresql{v}")["rds.force_ssl"].default for v in (16, 17, 18)] == [
        "0",
        "1",
        "1",
    ]
    assert list(database_problems("aurora-postgresql18", {"log_connections": ("1", "immediate")}))
    assert not list(database_problems("aurora-postgresql17", {"log_connections": ("1", "immediate")}))


def test_elasticache_and_msk_reject_what_is_not_in_their_lists() -> None:
    assert list(cache_problems({"maxmemory-policy": "allkeys-lru", "save": "60", "maxclients": "1"})) == [
        "Could not find parameter with name: save",
        "The parameter maxclients cannot be modified",
    ]
    text = server_properties(3) + "log.dirs=/tmp\n# a comment\n"
    assert list(broker_problems(text)) == ["Unsupported configuration property: log.dirs"]


def test_default_of_an_unknown_cache_parameter_is_unknown() -> None:
    assert aws_parameters.cache_default("save") is None
