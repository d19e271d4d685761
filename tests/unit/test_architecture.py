"""`docs/architecture.md` says what the graph is."""

from __future__ import annotations

import dataclasses
import functools
import re

import pytest

from functions.order_intake import handler
from tests.unit.architecture import PAGE, STACK, first_region, render, uncovered
from tests.unit.harness import ROOT, STACKS

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
