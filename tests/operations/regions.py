"""An account with two regions: copies of the idempotency table's item, a global database, and DNS.

It answers botocore's calls, which serializes and checks their parameters as always. After every call it
checks where an order and another write would go (`Regions.order`, `Regions.write`), according to the records
and health checks in the stack's graph and to order intake's own answers.
"""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

from botocore.exceptions import EndpointConnectionError

from components.routing_tree import Client
from components.web.web import ORIGIN_KEEPALIVE_TIMEOUT
from functions.order_intake.gate import OrderGate
from functions.order_intake.handler import OrderIntake
from operations.failover import GATE
from settings.aws_limits import CLIENT_KEEP_ALIVE_MIN, INTEGRATION_TIMEOUT_SECONDS
from tests.operations.dns import NAMES, A, B, Route53, Seen, route53
from tests.operations.rehearsal import client

PLATFORM, TABLE = "trading-prod", "table-orders-idempotency-us-east-1-0123456"
ANYWHERE = Client(continent="NA", country="US", nearest=[A, B])

Item = dict[str, Any]

ALIAS_TTL = 60
"""Seconds for which resolvers keep the address of an alias for a load balancer ("Amazon Route 53 FAQs")."""


@functools.cache
def connection_seconds() -> int:
    """The time for which requests reach a region after its answer about orders has changed: until the check
    notices, resolvers forget, connections end, and the last request has its answer.

    A load balancer ends a connection with the first request after its time, and CloudFront one without
    requests.
    """
    check = route53(A).check(f"routing-{B}-orders")
    noticed = check["requestInterval"] * check["failureThreshold"]
    kept = CLIENT_KEEP_ALIVE_MIN + ORIGIN_KEEPALIVE_TIMEOUT
    return noticed + ALIAS_TTL + kept + INTEGRATION_TIMEOUT_SECONDS


@dataclass
class Regions:
    """The state of the account.

    Args:
        home: the region that takes orders while there is no item.
        deployed: the primary region of the last deployment, which Route 53's records begin with.
        writers: the regions whose cluster accepts writes.
        down: regions whose endpoints don't answer anybody.
        cut_off: regions whose AWS APIs don't answer, while requests reach the platform. Aurora can't stop the
            writer there.
        left: regions whose cluster has left the global database, and is a cluster of its own.
        replicates: whether the copies of the table's item reach each other.
    """

    home: str = A
    deployed: str = A
    writers: set[str] = field(default_factory=lambda: {A})
    down: set[str] = field(default_factory=set[str])
    cut_off: set[str] = field(default_factory=set[str])
    left: set[str] = field(default_factory=set[str])
    replicates: bool = True
    now: float = 1_800_000_000
    items: dict[str, Item] = field(default_factory=lambda: {A: {}, B: {}})
    rotated: dict[str, float] = field(default_factory=dict[str, float])
    snapshots: dict[str, set[str]] = field(default_factory=lambda: {"automated": set(), "manual": set()})
    calls: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    orders: list[str] = field(default_factory=list[str])
    """What becomes of an order after each call."""
    writes: list[str] = field(default_factory=list[str])
    """What becomes of a request of a route with `writes` after each call, where DNS leads it."""
    led: dict[str, float] = field(default_factory=dict[str, float])
    """Region → when DNS last led writes there."""
    seen: set[tuple[object, ...]] = field(default_factory=set[tuple[object, ...]])
    """All states that were checked."""
    dns: dict[str, Route53] = field(default_factory=lambda: {name: route53(name) for name in (A, B)})
    """Primary region of the deployment → its records and health checks."""

    def __post_init__(self) -> None:
        self.primary = min(self.writers - self.left)
        """The region whose cluster was promoted last."""

    # -- what an order meets ----------------------------------------------------------------------

    def takes_orders(self, region: str) -> bool:
        return self.items[region].get("region", {}).get("S", self.home) == region

    def health(self) -> Seen:
        """What health checkers see."""
        up = {name for name in (A, B) if name not in self.down}
        evacuated = {name for name in up if name in self.items[name].get("evacuated", {}).get("SS", ())}
        answers = {name: self._answer(name) for name in up}
        return Seen(frozenset(up - evacuated), frozenset(up), answers)

    def _answer(self, region: str) -> str:
        """The answer of a region's order intake to `/healthz?orders`."""
        gate = OrderGate(cast(Any, _Table(self.items[region])), TABLE, region, self.home)
        event = {
            "httpMethod": "GET",
            "resource": "/healthz",
            "queryStringParameters": {"orders": ""},
            "requestContext": {"requestId": "1"},
        }
        unused = cast(Any, None)
        return OrderIntake(unused, gate, unused, 1).handle(event, unused)["body"]

    def leads_to(self, name: str = NAMES.write_origin) -> str:
        """The region to which DNS leads requests."""
        return self.dns[self.deployed].resolve(name, ANYWHERE, self.health())

    def order(self, region: str = "") -> str:
        """What becomes of an order where DNS leads it, or in a region: `accepted`, `refused`, `unreachable`.

        Raises:
            AssertionError: it meets a read-only database, or one of two writers.
        """
        region = region or self.leads_to()
        if region in self.down:
            return "unreachable"
        if not self.takes_orders(region):
            return "refused"
        assert region in self.writers, f"an order meets the read-only database of {region}"
        return "accepted"

    def write(self) -> str:
        """What becomes of a request of a route with `writes` where DNS leads it.

        The database proxy of a region refuses requests unless the region's cluster has a writer: "The target
        group doesn't have any associated read/write instances" ("Using RDS Proxy with Aurora global
        databases", Amazon Aurora User Guide, read in November 2026).

        Raises:
            AssertionError: here or on a connection that is still open, it could meet an old writer.
        """
        region = self.leads_to()
        self.led[region] = self.now
        kept = {name for name, last in self.led.items() if self.now < last + connection_seconds()}
        met = (kept - self.down) & self.writers
        assert met <= {self.primary}, f"a write meets the old writer of {', '.join(met - {self.primary})}"
        if region in self.down:
            return "unreachable"
        return "accepted" if region in self.writers else "refused"

    def check(self) -> None:
        """Checks where orders and other writes go from now on: by DNS, and on connections that were opened
        before.

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
        self.writes.append(self.write())

    def key(self) -> tuple[object, ...]:
        """What tells a state from another."""
        named = tuple(self.items[region].get("region", {}).get("S", "") for region in (A, B))
        return named, tuple(sorted(self.writers)), self.replicates

    # -- the account's answers ----------------------------------------------------------------------

    def client(self, service: str, region: str) -> Any:
        made: Any = client(service, region)

        def respond(model: Any, **_: object) -> Any:
            self.calls.append((service, region, model.name))
            if region in self.down | self.cut_off:
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
        return {"DBClusters": [{"Status": "available", "DBClusterArn": _arn(region)}]}

    def _DescribeGlobalClusters(self, region: str, given: Any) -> Item:  # noqa: N802
        assert given["GlobalClusterIdentifier"] == f"{PLATFORM}-database"
        members = [
            {"DBClusterArn": _arn(name), "IsWriter": name == self.primary}
            for name in (A, B)
            if name not in self.left
        ]
        return {"GlobalClusters": [{"GlobalClusterMembers": members}]}

    def _SwitchoverGlobalCluster(self, region: str, given: Any) -> Item:  # noqa: N802
        assert self.writers == {region}, "it is called in the region of the primary cluster"
        assert not self.down
        self.primary = given["TargetDbClusterIdentifier"].split(":")[3]
        self.writers = {self.primary}
        return {}

    def _FailoverGlobalCluster(self, region: str, given: Any) -> Item:  # noqa: N802
        assert given["AllowDataLoss"] is True
        target = given["TargetDbClusterIdentifier"].split(":")[3]
        assert target == region, "it is called in the region of the new primary cluster"
        # Fencing is best effort: a writer that can't be reached may go on.
        self.primary = target
        self.writers = {target, *(self.writers & (self.down | self.cut_off))}
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


def _arn(region: str) -> str:
    return f"arn:aws:rds:{region}:1:cluster:x"


@dataclass(frozen=True)
class _Table:
    """A client of DynamoDB for the one item."""

    item: Item

    def get_item(self, **_: object) -> Item:
        return {"Item": self.item} if self.item else {}


@dataclass(frozen=True)
class _Ok:
    """The response's status, which botocore reads."""

    status_code: int = 200
    headers: Sequence[str] = ()
