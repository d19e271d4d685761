"""An account with two regions: copies of the idempotency table's item, a global database, and DNS.

It answers botocore's calls, which serializes and checks their parameters as always. After every call it
checks where an order would go (`Regions.order`).
"""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import EndpointConnectionError

from components.routing_tree import Client, OriginRecord, Outage, origin_tree, resolve
from operations.failover import GATE
from settings import DomainSettings, ServedLocations

BOTO: Any = boto3.Session("testing", "testing")
NAMES = DomainSettings(zone="example.com", host="trade.example.com")
PLATFORM, TABLE = "trading-prod", "table-orders-idempotency-us-east-1-0123456"
A, B = "us-east-1", "eu-west-1"
ANYWHERE = Client(continent="NA", country="US", nearest=[A, B])

Item = dict[str, Any]


@dataclass
class Regions:
    """The state of the account.

    Args:
        home: the region that takes orders while there is no item.
        deployed: the primary region of the last deployment, which Route 53's records begin with.
        writers: the regions whose cluster accepts writes.
        down: regions whose endpoints don't answer anybody.
        replicates: whether the copies of the table's item reach each other.
    """

    home: str = A
    deployed: str = A
    writers: set[str] = field(default_factory=lambda: {A})
    down: set[str] = field(default_factory=set[str])
    replicates: bool = True
    now: float = 1_800_000_000
    items: dict[str, Item] = field(default_factory=lambda: {A: {}, B: {}})
    rotated: dict[str, float] = field(default_factory=dict[str, float])
    snapshots: dict[str, set[str]] = field(default_factory=lambda: {"automated": set(), "manual": set()})
    calls: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    orders: list[str] = field(default_factory=list[str])
    """What becomes of an order after each call."""
    seen: set[tuple[object, ...]] = field(default_factory=set[tuple[object, ...]])
    """All states that were checked."""

    # -- what an order meets ----------------------------------------------------------------------

    def takes_orders(self, region: str) -> bool:
        return self.items[region].get("region", {}).get("S", self.home) == region

    def tree(self) -> list[OriginRecord]:
        other = {A: B, B: A}[self.deployed]
        return origin_tree(NAMES, {self.deployed: ServedLocations(), other: ServedLocations()})

    def order(self, region: str = "") -> str:
        """What becomes of an order where DNS leads it, or in a region: `accepted`, `refused`, `unreachable`.

        Raises:
            AssertionError: it meets a read-only database, or one of two writers.
        """
        open_ones = {name for name in (A, B) if name not in self.down and self.takes_orders(name)}
        outage = Outage(regions=frozenset(self.down), open=frozenset(open_ones))
        region = region or resolve(self.tree(), NAMES.write_origin, ANYWHERE, outage)
        if region in self.down:
            return "unreachable"
        if not self.takes_orders(region):
            return "refused"
        assert region in self.writers, f"an order meets the read-only database of {region}"
        return "accepted"

    def check(self) -> None:
        """Checks where orders go from now on: by DNS, and on connections that were opened before.

        Whatever fails now or recovers, and whichever region is deployed as the primary one, an order reaches
        the only writer or is refused.
        """
        for down in ({*()}, {A}, {B}, {A, B}):
            for deployed in (A, B):
                state = replace(self, down=self.down | down, deployed=deployed)
                found = state.order()
                accepted = [region for region in (A, B) if state.order(region) == "accepted"]
                assert len(accepted) < 2, "two regions take orders"
                self.seen.add((*self.key(), tuple(sorted(state.down)), deployed, found))
        self.orders.append(self.order())

    def key(self) -> tuple[object, ...]:
        """What tells a state from another."""
        named = tuple(self.items[region].get("region", {}).get("S", "") for region in (A, B))
        return named, tuple(sorted(self.writers)), self.replicates

    # -- the account's answers ----------------------------------------------------------------------

    def client(self, service: str, region: str) -> Any:
        made = BOTO.client(service, region_name=region)

        def respond(model: Any, **_: object) -> Any:
            self.calls.append((service, region, model.name))
            if region in self.down:
                raise EndpointConnectionError(endpoint_url=f"https://{service}.{region}.amazonaws.com")
            answer = getattr(self, f"_{model.name}")(region, self._params)
            self.check()
            return _Ok(), {"ResponseMetadata": {"HTTPStatusCode": 200}, **answer}

        # After the framework's own handler, which refuses what a step does not declare.
        made.meta.events.register_last("before-call", respond)
        made.meta.events.register("provide-client-params", self._remember)
        return made

    def _remember(self, params: Any, **_: object) -> None:
        self._params: Any = params

    def _GetItem(self, region: str, given: Any) -> Item:  # noqa: N802
        assert given["Key"]["account_id"] == {"S": GATE}
        assert given["ConsistentRead"]
        return {"Item": self.items[region]} if self.items[region] else {}

    def _UpdateItem(self, region: str, given: Any) -> Item:  # noqa: N802
        values, expression = given["ExpressionAttributeValues"], given["UpdateExpression"]
        item = dict(self.items[region])
        match expression:
            case "SET #region = :nowhere, since = :now":
                item |= {"region": values[":nowhere"], "since": values[":now"]}
            case "SET #region = :new":
                item |= {"region": values[":new"]}
            case "ADD evacuated :regions":
                item |= {"evacuated": values[":regions"]}
            case _:
                assert expression == "DELETE evacuated :regions"
                item.pop("evacuated", None)
        for copy in {A, B} if self.replicates else {region}:
            self.items[copy] = item
        return {}

    def _DescribeDBClusters(self, region: str, given: Any) -> Item:  # noqa: N802
        assert given["DBClusterIdentifier"] == f"{PLATFORM}-database-{region}"
        source = {} if region in self.writers else {"ReplicationSourceIdentifier": "arn:aws:rds:…"}
        cluster = {"Status": "available", "DBClusterArn": f"arn:aws:rds:{region}:1:cluster:x", **source}
        return {"DBClusters": [cluster]}

    def _DescribeGlobalClusters(self, region: str, given: Any) -> Item:  # noqa: N802
        assert given["GlobalClusterIdentifier"] == f"{PLATFORM}-database"
        return {"GlobalClusters": [{"GlobalClusterIdentifier": f"{PLATFORM}-database"}]}

    def _SwitchoverGlobalCluster(self, region: str, given: Any) -> Item:  # noqa: N802
        assert self.writers == {region}, "it is called in the region of the primary cluster"
        assert not self.down
        self.writers = {given["TargetDbClusterIdentifier"].split(":")[3]}
        return {}

    def _FailoverGlobalCluster(self, region: str, given: Any) -> Item:  # noqa: N802
        assert given["AllowDataLoss"] is True
        target = given["TargetDbClusterIdentifier"].split(":")[3]
        assert target == region, "it is called in the region of the new primary cluster"
        # Fencing is best effort: a writer that can't be reached may go on.
        self.writers = {target, *(self.writers & self.down)}
        return {}

    def _ListSecrets(self, region: str, given: Any) -> Item:  # noqa: N802
        rotated = self.rotated.get(region)
        date = {"LastRotatedDate": datetime.fromtimestamp(rotated, UTC)} if rotated else {}
        description = f"Master user of {PLATFORM}-database-{region}; services sign in with IAM instead"
        return {"SecretList": [{"ARN": f"arn:{region}", "Description": description, **date}]}

    def _RotateSecret(self, region: str, given: Any) -> Item:  # noqa: N802
        assert given["SecretId"] == f"arn:{region}"
        assert self.writers >= {region}, "the password of a secondary cluster can't be changed"
        self.rotated[region] = self.now
        return {}

    def _DescribeDBClusterSnapshots(self, region: str, given: Any) -> Item:  # noqa: N802
        names = self.snapshots[given["SnapshotType"]]
        return {"DBClusterSnapshots": [{"DBClusterSnapshotIdentifier": name} for name in sorted(names)]}

    def _CopyDBClusterSnapshot(self, region: str, given: Any) -> Item:  # noqa: N802
        assert given["SourceDBClusterSnapshotIdentifier"] in self.snapshots["automated"]
        name = given["TargetDBClusterSnapshotIdentifier"]
        assert len(name) <= 63, "the longest identifier (CopyDBClusterSnapshot, RDS API Reference)"
        self.snapshots["manual"].add(name)
        return {}


@dataclass(frozen=True)
class _Ok:
    """The response's status, which botocore reads."""

    status_code: int = 200
    headers: Sequence[str] = ()
