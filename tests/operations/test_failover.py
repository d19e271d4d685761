"""Moving the writer to another region: where orders go at every step, and what each procedure needs."""

from __future__ import annotations

import argparse
import itertools
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.routing_tree import Client
from functions.order_intake import gate
from functions.order_intake.handler import LEASE_SECONDS
from operations import failover
from operations.failover import KINDS, Move, procedure, steps
from operations.procedure import DONE, Procedure, ProcedureError, Runner
from settings import Settings
from tests.operations.dns import Route53, Seen, assert_leads_where_planned, route53
from tests.operations.regions import (
    NAMES,
    PLATFORM,
    TABLE,
    A,
    B,
    Regions,
    connection_seconds,
)
from tests.operations.rehearsal import InterruptionError, interrupting
from tests.unit.harness import ROOT, stack_values, without_namespace

FORWARD, BACK = (A, B), (B, A)


def move(regions: Regions, old: str, new: str) -> Move:
    return Move(old, new, PLATFORM, TABLE, lambda: regions.now)


def planned(regions: Regions, old: str, new: str) -> Procedure:
    return Procedure("failover", "prod", steps(move(regions, old, new), planned=True))


def unplanned(regions: Regions, old: str, new: str) -> Procedure:
    return Procedure("failover", "prod", steps(move(regions, old, new), planned=False))


def run(regions: Regions, chosen: Procedure, record: Path, after: int | None = None) -> int:
    """Runs a procedure, or a part of it that ends with its write number `after`."""

    def sleep(seconds: float) -> None:
        regions.now += 2 * seconds  # AWS's calls take time, too

    factory = regions.client if after is None else interrupting(regions.client, after)
    return Runner(chosen, factory, record, confirmed="prod", say=lambda _: None, sleep=sleep).run()


def after_a_failover() -> Regions:
    """The second region has the writer, and the item says so."""
    item = {"region": {"S": B}, "since": {"N": "1799990000"}}
    return Regions(deployed=B, writers={B}, items={A: item, B: item})


BEGINNINGS: dict[str, tuple[Callable[[], Regions], Any, tuple[str, str]]] = {
    "planned": (Regions, planned, FORWARD),
    "return": (after_a_failover, planned, BACK),
    "unplanned": (lambda: Regions(down={A}), unplanned, FORWARD),
    "unplanned, half lost": (Regions, unplanned, FORWARD),
    "unplanned, cut off": (lambda: Regions(cut_off={A}), unplanned, FORWARD),
    "unplanned return": (lambda: replace(after_a_failover(), down={B}), unplanned, BACK),
    "unplanned return, cut off": (lambda: replace(after_a_failover(), cut_off={B}), unplanned, BACK),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_writes_reach_the_writer_or_are_refused_at_every_step(name: str, tmp_path: Path) -> None:
    """Orders and others. Interrupted after every write, then continued, or continued after somebody went
    back."""
    begin, build, (old, new) = BEGINNINGS[name]
    seen: set[tuple[object, ...]] = set()
    writes = 0
    while True:
        regions = begin()
        regions.check()
        try:
            run(regions, build(regions, old, new), tmp_path / "r", writes)
        except InterruptionError:
            assert run(regions, build(regions, old, new), tmp_path / "r") == DONE
            seen |= regions.seen
            writes += 1
            continue
        break
    assert writes >= 4
    assert regions.order() == regions.write() == "accepted"
    assert regions.writers - regions.down - regions.cut_off == {new}
    print(f"{name}: {writes} writes, {len(seen)} states")


@pytest.mark.parametrize("after", range(3))
def test_a_planned_move_that_is_given_up_goes_back(after: int, tmp_path: Path) -> None:
    regions = Regions()
    with pytest.raises(InterruptionError):
        run(regions, planned(regions, *FORWARD), tmp_path / "r", after)
    assert run(regions, planned(regions, *BACK), tmp_path / "r") == DONE
    assert (regions.order(), regions.writers) == ("accepted", {A})


def test_orders_pause_before_the_database_moves_and_go_on_after_it(tmp_path: Path) -> None:
    regions = Regions()
    run(regions, planned(regions, *FORWARD), tmp_path / "r")
    writes = [call for call in regions.calls if not call[2].startswith(("Get", "Describe", "List"))]
    assert writes == [
        ("dynamodb", B, "UpdateItem"),
        ("rds", A, "SwitchoverGlobalCluster"),
        ("dynamodb", B, "UpdateItem"),
        ("secretsmanager", B, "RotateSecret"),
    ]
    assert sorted(set(regions.orders)) == ["accepted", "refused"]
    first, last = regions.orders.index("refused"), len(regions.orders) - regions.orders[::-1].index("refused")
    assert set(regions.orders[first:last]) == {"refused"}


def test_other_writes_pause_with_orders(tmp_path: Path) -> None:
    """They reach the new region before the database does, and its proxy refuses them."""
    regions = Regions()
    run(regions, planned(regions, *FORWARD), tmp_path / "r")
    outcomes = [outcome for outcome, _ in itertools.groupby(regions.writes)]
    assert outcomes == ["accepted", "refused", "accepted"]


def test_other_writes_have_left_before_a_writer_that_may_go_on_is_replaced(tmp_path: Path) -> None:
    regions = Regions(cut_off={A})
    run(regions, unplanned(regions, *FORWARD), tmp_path / "r")
    assert regions.writers == {A, B}
    assert set(regions.writes) == {"accepted", "refused"}
    # Order intake reads the item once a second, and the procedure asks every 15 s.
    assert connection_seconds() + gate.CACHE_SECONDS < failover.WRITES_DRAIN_SECONDS


def test_model_finds_the_old_writer_if_the_pause_is_too_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "WRITES_DRAIN_SECONDS", failover.DRAIN_SECONDS)
    regions = Regions(cut_off={A})
    with pytest.raises(AssertionError, match="a write meets the old writer of us-east-1"):
        run(regions, unplanned(regions, *FORWARD), tmp_path / "r")


def test_model_finds_the_old_writer_if_dns_waits_for_the_new_region_to_open(tmp_path: Path) -> None:
    """As it did when the check compared whether the region itself takes orders."""
    waiting = {f"routing-{B}-orders": {"searchString": '"orders": "open"'}}
    regions = Regions(cut_off={A}, dns={A: replace(route53(A), changed=waiting), B: route53(B)})
    with pytest.raises(AssertionError, match="a write meets the old writer of us-east-1"):
        run(regions, unplanned(regions, *FORWARD), tmp_path / "r")


def test_second_failure_leads_writes_back_until_the_new_region_is_deployed_as_primary(
    tmp_path: Path,
) -> None:
    """A limit, which the runbook names: the old writer goes on, and then the new region doesn't answer."""
    regions = Regions(cut_off={A})
    run(regions, unplanned(regions, *FORWARD), tmp_path / "r")
    regions.down = {B}
    assert regions.order() == "refused"
    with pytest.raises(AssertionError, match="a write meets the old writer of us-east-1"):
        regions.write()
    regions.deployed, regions.led = B, {}
    assert regions.write() == "unreachable"


def test_orders_that_were_admitted_have_ended_before_the_database_moves(tmp_path: Path) -> None:
    regions = Regions()
    begun = regions.now
    with pytest.raises(InterruptionError):
        run(regions, planned(regions, *FORWARD), tmp_path / "r", 1)
    assert regions.now - begun >= failover.DRAIN_SECONDS > LEASE_SECONDS + gate.CACHE_SECONDS


@pytest.mark.parametrize("build", [planned, unplanned])
def test_cluster_that_has_left_the_global_database_gets_no_orders(build: Any, tmp_path: Path) -> None:
    """It has a writer, and the data of the moment when it left."""
    regions = Regions(left={B}, writers={A, B})
    with pytest.raises(ProcedureError, match="it has left the global database and can't take the writer"):
        run(regions, build(regions, *FORWARD), tmp_path / "r")
    assert regions.takes_orders(A)


def test_recovered_region_gets_no_orders_back(tmp_path: Path) -> None:
    regions = Regions(down={A})
    run(regions, unplanned(regions, *FORWARD), tmp_path / "r")
    regions.down = set()
    regions.check()
    assert regions.order() == "accepted"
    assert regions.order(A) == "refused"


def test_model_finds_the_second_writer_of_a_region_that_is_cut_off(tmp_path: Path) -> None:
    """Its copy of the item isn't replicated to, and connections to it are still open: it must be fenced."""
    regions = Regions(replicates=False)
    with pytest.raises(AssertionError, match="read-only database of us-east-1"):
        run(regions, unplanned(regions, *FORWARD), tmp_path / "r")
    regions = Regions(replicates=False)
    fence = Procedure("failover", "prod", [failover.fence(move(regions, *FORWARD))])
    run(regions, fence, tmp_path / "r")
    assert run(regions, unplanned(regions, *FORWARD), tmp_path / "r") == DONE
    assert (regions.order(), regions.order(A)) == ("accepted", "refused")


def test_evacuation_of_reads_moves_no_order(tmp_path: Path) -> None:
    regions = Regions()
    for undo in (False, True):
        step = failover.evacuate(move(regions, *FORWARD), undo=undo)
        run(regions, Procedure("failover", "prod", [step]), tmp_path / "r")
        assert set(regions.orders) == {"accepted"}
        assert ("evacuated" in regions.items[A]) != undo


def test_snapshot_of_the_lost_tail_is_kept_once(tmp_path: Path) -> None:
    regions = after_a_failover()
    chosen = Procedure("failover", "prod", [failover.keep_snapshot(move(regions, *FORWARD))])
    with pytest.raises(ProcedureError, match="wait until us-east-1 has recovered"):
        run(regions, chosen, tmp_path / "r")
    name = f"rds:unplanned-global-failover-{PLATFORM}-database-{A}-2026-11-27-10-10"
    regions.snapshots["automated"] = {name, f"rds:{PLATFORM}-database-{A}-2026-11-27-03-00"}
    for _ in range(2):
        assert run(regions, chosen, tmp_path / "r") == DONE
    assert regions.snapshots["manual"] == {f"unreplicated-{A}-2026-11-27-10-10"}


# -- what the procedures need --------------------------------------------------------------------


def named(kind: str, **values: Any) -> Procedure:
    settings = Settings.parse(without_namespace(stack_values("full")) | values)
    options = argparse.Namespace(kind=kind, to=B, origin="", orders_table=TABLE, undo=False, stack="full")
    return procedure(settings, options)


@pytest.mark.parametrize(
    ("kind", "needs"),
    [("planned", {A, B}), ("unplanned", {B}), ("fence", {A}), ("keep-snapshot", {A}), ("evacuate", {A})],
)
def test_procedure_needs_only_what_survives_the_failure_that_it_is_for(kind: str, needs: set[str]) -> None:
    """And nothing of Route 53, IAM or CloudFront, whose control planes are in us-east-1."""
    chosen = named(kind)
    assert chosen.depends_on == needs
    services = {calls.service for step in chosen.steps for calls in step.calls}
    assert services <= {"dynamodb", "rds", "secretsmanager"}


def test_every_kind_is_tested() -> None:
    assert {"planned", "unplanned", "fence", "keep-snapshot", "evacuate"} == set(KINDS)


def test_only_a_failover_loses_data_and_says_what() -> None:
    lossy = {kind: [step.loses for step in named(kind).steps if step.loses] for kind in KINDS}
    assert [kind for kind in KINDS if lossy[kind]] == ["unplanned"]
    assert "keep-snapshot and operations.reconcile" in lossy["unplanned"][0]


def test_regions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ProcedureError, match="--to eu-west-1 is the primary region"):
        named("planned", primaryRegion=B)
    regions = stack_values("full")["trading:regions"][:1]
    with pytest.raises(ProcedureError, match="--to eu-west-1 is not a region of the stack: it has us-east-1"):
        named("planned", regions=regions)


def test_commands_of_the_runbook_are_accepted() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    found = re.findall(r"^ *python -m operations\.failover (.+)$", text, flags=re.MULTILINE)
    named_kinds = [failover.arguments_parser().parse_args(shlex.split(line)).kind for line in found]
    assert set(named_kinds) == set(KINDS)


def test_item_is_the_one_that_order_intake_reads() -> None:
    assert (failover.GATE, failover.NOWHERE) == (gate.KEY, gate.NOWHERE)


# -- the records and health checks ---------------------------------------------------------------


@pytest.mark.parametrize("deployed", [A, B])
def test_records_lead_where_the_plan_does(deployed: str) -> None:
    """The plan's resolver knows no thresholds, and the graph's knows nothing of what is meant."""
    assert_leads_where_planned(route53(deployed), deployed)


def changed(region: str, **values: Any) -> dict[str, Route53]:
    """The records and checks after somebody has changed a region's calculated check by hand."""
    found = {f"routing-{region}-calculated": values}
    return {name: replace(route53(name), changed=found) for name in (A, B)}


def test_threshold_above_the_number_of_children_moves_reads_and_no_writes(tmp_path: Path) -> None:
    """Whatever else happens, and during every step of a move."""
    children = route53(A).check(f"routing-{A}-calculated")["childHealthchecks"]
    dns = changed(A, childHealthThreshold=len(children) + 1)
    for down, led in ((set[str](), B), ({A}, B)):
        regions = Regions(down=down, dns=dns)
        assert (regions.leads_to(NAMES.region_origin(A)), regions.leads_to()) == (led, A)
    regions = Regions(dns=dns)
    assert run(regions, planned(regions, *FORWARD), tmp_path / "r") == DONE
    assert regions.write() == "accepted"


@pytest.mark.parametrize(
    "values", [{"invertHealthcheck": True}, {"childHealthThreshold": 0}], ids=["inverted", "threshold-0"]
)
def test_inverted_check_and_a_threshold_of_0_lead_reads_into_an_outage(values: dict[str, Any]) -> None:
    """So the runbook uses neither. The region's API fails, and its load balancer has targets."""
    ill = Seen(frozenset({B}), frozenset({A, B}), {B: '{"orders": "closed", "otherRegions": "open"}'})
    client = Client(continent="NA", country="US", nearest=[A, B])
    names = (NAMES.region_origin(A), NAMES.write_origin)
    assert [route53(A).resolve(name, client, ill) for name in names] == [B, A]
    assert [changed(A, **values)[A].resolve(name, client, ill) for name in names] == [A, A]
