"""`docs/architecture.md` agrees with the graph."""

from __future__ import annotations

import dataclasses
import functools
import re

import pytest

from components.database.database import MASTER_USERNAME
from functions.order_intake import handler
from settings import IDEMPOTENCY_TABLE, Settings
from tests.unit.architecture import (
    ORDER_INTAKE,
    PAGE,
    STACK,
    Platform,
    accesses,
    first_region,
    hops,
    render,
    uncovered,
)
from tests.unit.harness import ROOT, STACKS, deploy_platform, stack_values, without_namespace

platform = functools.cache(first_region)


def test_tables_are_not_stale() -> None:
    page = PAGE.read_text()
    assert render(page, platform(STACK)) == page, (
        "the graph has changed; if that is intended: make golden, and review the diff of docs/architecture.md"
    )


@pytest.mark.parametrize("stack", STACKS)
def test_table_has_every_hop_and_no_other(stack: str) -> None:
    assert uncovered(platform(stack)) == (set(), set())


@functools.cache
def internal(tls: bool, *tls_services: str) -> Platform:
    """The small stack, with or without TLS at the internal load balancer, and with TLS to these services."""
    values = stack_values("small")
    if not tls:
        values["trading:internalLoadBalancer"] = {"tls": False}
    for name in tls_services:
        values["trading:services"][name]["tlsPort"] = 8443
    return Platform(deploy_platform("small", values), values["trading:regions"][0]["name"])


IN_PLAIN = ("HTTP", "HTTP through the VPC link", "none: within the VPC")
ENCRYPTED = ("HTTPS", "HTTPS through the VPC link", "NLB, `ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09`")
TO_POD = "the pod: the NLB re-encrypts"
EVERY_SERVICE = ("orders", "accounts", "market-data")


@pytest.mark.parametrize(
    ("tls", "services", "before", "behind"),
    [
        (False, (), IN_PLAIN, ("TCP", "none", "9898")),
        (True, (), ENCRYPTED, ("TCP", "none", "9898")),
        (True, ("orders",), ENCRYPTED, ("TCP, TLS", f"{TO_POD}; none without a `tlsPort`", "8443, 9898")),
        (True, EVERY_SERVICE, ENCRYPTED, ("TLS", TO_POD, "8443")),
    ],
)
def test_table_says_how_far_tls_goes(
    tls: bool, services: tuple[str, ...], before: tuple[str, str, str], behind: tuple[str, str, str]
) -> None:
    platform = internal(tls, *services)
    assert uncovered(platform) == (set(), set())
    by_ends = {(hop.source, hop.target): hop for hop in hops(platform)}
    intake, api = by_ends["order intake", "NLB"], by_ends["API Gateway", "NLB"]
    assert (intake.protocol, api.protocol, intake.tls) == before
    assert api.tls == intake.tls
    assert all(("NLB access logs" in hop.logged) == tls for hop in (intake, api))
    pods = by_ends["NLB", "cluster"]
    assert (pods.protocol, pods.tls, platform.ports("NLB", "cluster")) == behind


@pytest.mark.parametrize("stack", STACKS)
def test_time_outs_shrink_from_the_edge_inwards(stack: str) -> None:
    """Otherwise, a hop would give up while the next hop still works, and the client would get no answer."""
    waits = list(dataclasses.astuple(platform(stack).timeouts()))
    assert waits == sorted(waits, reverse=True)
    assert len(set(waits)) == len(waits)


@pytest.mark.parametrize("stack", STACKS)
def test_function_can_store_the_answer_after_the_order_service_took_its_time(stack: str) -> None:
    waits = platform(stack).timeouts()
    assert waits.order_service + handler.RESERVE_SECONDS <= waits.function


@pytest.mark.parametrize("stack", STACKS)
def test_cloudfront_closes_idle_connections_before_the_load_balancer(stack: str) -> None:
    """Otherwise, a request could be sent on a connection that the load balancer is closing."""
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
    settings = Settings.parse(without_namespace(values))
    found = {access.service: access for access in accesses(platform(stack))}
    intake = found.pop(ORDER_INTAKE)
    assert intake.tables == {IDEMPOTENCY_TABLE: {"read", "write", "delete"}}
    assert [intake.produces, intake.consumes, intake.cache, intake.database] == [set()] * 4
    migrations = found.pop("migrations")
    assert migrations.database == {MASTER_USERNAME}
    assert [migrations.tables, migrations.produces, migrations.consumes, migrations.cache] == [
        {},
        *[set()] * 3,
    ]
    assert found.keys() == {service.name for service in settings.services}
    for service in settings.services:
        access = found[service.name]
        dead_letters = {
            topic
            for consumed in service.consumes
            if (topic := settings.streaming.dead_letter_topic(consumed, service.name))
        }
        assert access.tables == {table: {"read", "write", "delete"} for table in service.tables}
        assert access.produces == {*service.produces, *dead_letters}
        assert access.consumes == {*service.consumes, *dead_letters}
        assert access.cache == ({f"{service.name}:*"} if service.cache else set())
        assert access.database == ({service.name.replace("-", "_")} if service.database else set())


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_but_order_intake_and_the_api_calls_a_service(stack: str) -> None:
    calls = {access.service: access.callers for access in accesses(platform(stack))}
    assert calls["orders"] == [ORDER_INTAKE]
    assert calls["accounts"] == ["API Gateway: `/api/accounts` with `trading/accounts`"]
    assert "API Gateway: `POST /api/orders` with `trading/orders`" in calls[ORDER_INTAKE]
