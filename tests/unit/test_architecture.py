"""`docs/architecture.md` says what the graph is."""

from __future__ import annotations

import dataclasses
import functools
import re

import pytest

from functions.order_intake import handler
from settings import IDEMPOTENCY_TABLE, Settings
from tests.unit.architecture import ORDER_INTAKE, PAGE, STACK, accesses, first_region, render, uncovered
from tests.unit.harness import ROOT, STACKS, stack_values

platform = functools.cache(first_region)


def test_tables_are_not_stale() -> None:
    page = PAGE.read_text()
    assert render(page, platform(STACK)) == page, (
        "the graph has changed; if that is intended: make golden, and review the diff of docs/architecture.md"
    )


@pytest.mark.parametrize("stack", STACKS)
def test_table_has_every_hop_and_no_other(stack: str) -> None:
    assert uncovered(platform(stack)) == (set(), set())


@pytest.mark.parametrize("stack", STACKS)
def test_time_outs_shrink_from_the_edge_inwards(stack: str) -> None:
    """Otherwise a hop gives up while the next one still works, and the client learns nothing."""
    waits = list(dataclasses.astuple(platform(stack).timeouts()))
    assert waits == sorted(waits, reverse=True)
    assert len(set(waits)) == len(waits)


@pytest.mark.parametrize("stack", STACKS)
def test_function_can_store_the_answer_after_the_order_service_took_its_time(stack: str) -> None:
    waits = platform(stack).timeouts()
    assert waits.order_service + handler.RESERVE_SECONDS <= waits.function


@pytest.mark.parametrize("stack", STACKS)
def test_cloudfront_closes_idle_connections_before_the_load_balancer(stack: str) -> None:
    """Otherwise a request is sent on a connection that the load balancer is just closing."""
    origins = platform(stack).origins
    kept = max(origin["customOriginConfig"]["originKeepaliveTimeout"] for origin in origins)
    assert kept < platform(stack).timeouts().load_balancer


def test_every_file_that_the_page_names_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE.read_text())
    assert links
    assert [link for link in links if not (PAGE.parent / link).resolve().is_relative_to(ROOT)] == []
    assert [link for link in links if not (PAGE.parent / link).exists()] == []


@pytest.mark.parametrize("stack", STACKS)
def test_a_service_may_touch_what_its_settings_name_and_nothing_else(stack: str) -> None:
    values = stack_values(stack)
    settings = Settings.parse({key.removeprefix("trading:"): value for key, value in values.items()})
    found = {access.service: access for access in accesses(platform(stack))}
    intake = found.pop(ORDER_INTAKE)
    assert intake.tables == {IDEMPOTENCY_TABLE: {"read", "write"}}
    assert [intake.produces, intake.consumes, intake.cache, intake.database] == [set()] * 4
    assert found.keys() == {service.name for service in settings.services}
    for service in settings.services:
        access = found[service.name]
        assert access.tables == {table: {"read", "write", "delete"} for table in service.tables}
        assert access.produces == set(service.produces)
        assert access.consumes == set(service.consumes)
        assert access.cache == ({f"{service.name}:*"} if service.cache else set())
        assert access.database == ({service.name.replace("-", "_")} if service.database else set())


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_but_order_intake_and_the_api_calls_a_service(stack: str) -> None:
    calls = {access.service: access.callers for access in accesses(platform(stack))}
    assert calls["orders"] == [ORDER_INTAKE]
    assert calls["accounts"] == ["API Gateway: `/api/accounts` with `trading/accounts`"]
    assert "API Gateway: `POST /api/orders` with `trading/orders`" in calls[ORDER_INTAKE]
