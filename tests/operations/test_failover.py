"""Moving the writer to another region: where orders go at every step, and what each procedure needs."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.order_intake import gate
from functions.order_intake.handler import LEASE_SECONDS
from operations import failover
from operations.failover import KINDS, Move, procedure, steps
from operations.procedure import DONE, Procedure, ProcedureError, Runner
from settings import Settings
from tests.operations.regions import PLATFORM, TABLE, A, B, Regions
from tests.operations.rehearsal import InterruptionError, interrupting
from tests.unit.harness import ROOT, stack_values

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
        regions.now += seconds

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
    "unplanned return": (lambda: replace_down(after_a_failover(), B), unplanned, BACK),
}


def replace_down(regions: Regions, region: str) -> Regions:
    regions.down = {region}
    return regions


@pytest.mark.parametrize("name", BEGINNINGS)
def test_orders_reach_the_writer_or_are_refused_at_every_step(name: str, tmp_path: Path) -> None:
    """Interrupted after every write, then continued, or continued after somebody went back."""
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
    assert regions.order() == "accepted"
    assert regions.writers - regions.down == {new}
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


def test_orders_that_were_admitted_have_ended_before_the_database_moves(tmp_path: Path) -> None:
    regions = Regions()
    begun = regions.now
    with pytest.raises(InterruptionError):
        run(regions, planned(regions, *FORWARD), tmp_path / "r", 1)
    assert regions.now - begun >= failover.DRAIN_SECONDS > LEASE_SECONDS + gate.CACHE_SECONDS


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
    settings = Settings.parse(
        {key.removeprefix("trading:"): value for key, value in stack_values("full").items()} | values
    )
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
    assert failover.GATE == gate.KEY
