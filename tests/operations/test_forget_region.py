"""A lost region leaves an exported state; the engine's test of a whole stack is `test_promotion.py`."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from operations.forget_region import ForgetError, forget, main

STACK = "urn:pulumi:prod::trading::"
A, B, C = "us-east-1", "eu-west-1", "eu-west-2"


def provider(name: str, region: str) -> dict[str, Any]:
    return {
        "urn": f"{STACK}pulumi:providers:aws::{name}",
        "type": "pulumi:providers:aws",
        "inputs": {"region": region},
    }


def of(region: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    urn = f"{STACK}{kind}::{name}"
    provided = f"{STACK}pulumi:providers:aws::aws-{region}::id"
    return {"urn": urn, "type": kind.rsplit("$", 1)[-1], "provider": provided, "inputs": {}, **more}


def state(*regions: str, tables: bool = True) -> dict[str, Any]:
    """A stack whose first region is the home region of a table."""
    resources = [provider("aws-edge", A), *(provider(f"aws-{region}", region) for region in regions)]
    home, *others = regions
    arn = "arn:aws:dynamodb:{}:1:table/t-1"
    if tables:
        urn = f"{STACK}trading:tier:Table::table-t-{home}"
        resources.append({"urn": urn, "type": "trading:tier:Table"})
        outputs = {"name": "t-1", "arn": arn.format(home), "region": home}
        kind = "trading:tier:Table$aws:dynamodb/table:Table"
        resources.append(of(home, kind, f"table-t-{home}", parent=urn, id="t-1", outputs=outputs))
        main_table = resources[-1]["urn"]
        for region in others:
            urn = f"{STACK}trading:tier:TableReplica::table-t-{region}"
            resources.append({"urn": urn, "type": "trading:tier:TableReplica"})
            kind = "trading:tier:TableReplica$aws:dynamodb/tableReplica:TableReplica"
            resources.append(
                of(
                    region,
                    kind,
                    f"table-t-{region}",
                    parent=urn,
                    id=f"t-1:{home}",
                    inputs={"kmsKeyArn": f"key-{region}", "globalTableArn": arn.format(home)},
                    outputs={"arn": arn.format(region)},
                    dependencies=[main_table],
                    propertyDependencies={"globalTableArn": [main_table], "kmsKeyArn": []},
                )
            )
            kind = "trading:tier:TableReplica$aws:dynamodb/contributorInsights:ContributorInsights"
            resources.append(
                of(region, kind, f"table-t-{region}", parent=urn, dependencies=[resources[-1]["urn"]])
            )
    provided = f"{STACK}pulumi:providers:aws::aws-edge::id"
    alarms = [
        {
            "urn": f"{STACK}x:y:Z::alarm-{number}",
            "type": "x:y:Z",
            "provider": provided,
            "inputs": {"region": name},
        }
        for number, name in enumerate(regions)
    ]
    return {"version": 3, "deployment": {"resources": [*resources, *alarms]}}


def forgotten(*regions: str) -> list[dict[str, Any]]:
    return forget(state(*regions), regions[0])["deployment"]["resources"]


def test_replicas_become_tables_that_a_refresh_reads_in_their_own_region() -> None:
    table = next(r for r in forgotten(A, B) if r["type"] == "aws:dynamodb/table:Table")
    assert table["urn"] == f"{STACK}trading:tier:Table$aws:dynamodb/table:Table::table-t-{B}"
    assert table["parent"] == f"{STACK}trading:tier:Table::table-t-{B}"
    assert (table["id"], table["outputs"]["arn"]) == ("t-1", f"arn:aws:dynamodb:{B}:1:table/t-1")
    assert table["outputs"]["region"] == B
    assert table["inputs"]["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": f"key-{B}"}
    assert f"aws-{B}" in table["provider"]


def test_cluster_that_is_left_has_the_first_ones_database_and_user() -> None:
    """The rules ask for the user's name, and the program ignores it once the cluster exists."""
    given = state(A, B)
    kind, named = "aws:rds/cluster:Cluster", {"databaseName": "trading", "masterUsername": "admin"}
    given["deployment"]["resources"] += [
        of(A, kind, f"database-{A}-cluster", inputs=named, outputs=named),
        of(B, kind, f"database-{B}-cluster", inputs={"port": 5432}, outputs={}),
    ]
    left = [r for r in forget(given, A)["deployment"]["resources"] if r["type"] == kind]
    assert [(r["inputs"], r["outputs"]) for r in left] == [({"port": 5432, **named}, named)]


def test_no_reference_to_what_is_gone_remains() -> None:
    left = forgotten(A, B)
    urns = {r["urn"] for r in left}
    assert not [urn for urn in urns if A in urn]
    for resource in left:
        by_property = resource.get("propertyDependencies", {}).values()
        named = [*resource.get("dependencies", []), *(urn for urns in by_property for urn in urns)]
        assert set(named) <= urns, resource["urn"]
        assert resource.get("parent", resource["urn"]) in urns
    insights = next(r for r in left if "Insights" in r["type"])
    assert insights["dependencies"] == [f"{STACK}trading:tier:Table$aws:dynamodb/table:Table::table-t-{B}"]


def test_edge_keeps_what_it_has_in_its_own_region_and_loses_what_it_had_in_another() -> None:
    """The edge is in us-east-1."""
    assert {"aws-edge", "alarm-0", "alarm-1"} <= {r["urn"].rsplit("::", 1)[-1] for r in forgotten(A, B)}
    names = {r["urn"].rsplit("::", 1)[-1] for r in forgotten(B, A)}
    assert "alarm-0" not in names
    assert {"aws-edge", "alarm-1"} <= names


def test_another_region_than_the_home_region_leaves_the_tables_alone() -> None:
    before = state(A, B)
    after = forget(before, B)["deployment"]["resources"]
    lost = (f"::aws-{B}", f"::table-t-{B}", "::alarm-1")
    assert [r for r in before["deployment"]["resources"] if not r["urn"].endswith(lost)] == after


@pytest.mark.parametrize(
    ("given", "region", "text"),
    [
        (state(A, B), C, "eu-west-2 is not a region of this stack; its regions are us-east-1, eu-west-1"),
        (state(A), A, "the only region"),
        (state(A, B, C), A, "eu-west-1 and eu-west-2 have copies of its tables: first remove"),
    ],
)
def test_state_that_cannot_be_changed_safely_is_refused(given: Any, region: str, text: str) -> None:
    with pytest.raises(ForgetError, match=text):
        forget(given, region)


def test_unfinished_operation_is_refused() -> None:
    given = state(A, B)
    given["deployment"]["pending_operations"] = [{}]
    with pytest.raises(ForgetError, match="an operation is unfinished"):
        forget(given, A)


def test_command_reads_and_prints_a_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(state(A, B))))
    assert main(["--region", A]) == 0
    found = capsys.readouterr()
    assert json.loads(found.out) == forget(state(A, B), A)
    assert found.err == "us-east-1: 3 of 10 resources leave the state\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(state(A))))
    assert main(["--region", A]) == 2
    assert capsys.readouterr().err.startswith("error: us-east-1 is the only region")
