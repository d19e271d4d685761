"""A stack file that shares no value with the fixture stacks, under the real engine.

It shows what a user does with the project: another environment, domain, region and issuer, the user's own
services, routes, topics and tables, and other sizes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.engine.project import Project
from tests.unit.harness import FIXTURES, ROOT, config_of

STACK = "live"
ACCOUNT = "210987654321"
OWN = """\
config:
  trading:settingsVersion: 2
  trading:environment: live
  trading:tags: { owner: desk-platform, cost-center: CC-4711, data-class: confidential }
  trading:domain: { zone: nordic-exchange.io, host: desk.nordic-exchange.io }
  trading:regions:
    - name: eu-north-1
      cidr: 172.20.0.0/18
      availabilityZones: [eu-north-1a, eu-north-1b, eu-north-1c]
  trading:web: { priceClass: PriceClass_200, rateLimit: 1500, allowedCountries: [SE, "NO", DK, FI] }
  trading:loadBalancer:
    logRetentionDays: 400
    rules:
      - { priority: 7, hosts: [partners.nordic-exchange.io], forward: api }
  trading:api:
    throttleRate: 800
    throttleBurst: 400
    reservedConcurrency: 150
    provisionedConcurrency: { min: 4, max: 40 }
    orderService: matching
    jwt:
      issuer: https://id.nordic-exchange.io/realms/desk
      audience: https://desk.nordic-exchange.io
      scopeClaim: scp
      scopePrefix: desk/
      reservedConcurrency: 60
    routes:
      /api/accounts: null
      /api/market-data: null
      /api/pricing: { service: pricing, throttleRate: 300 }
      /api/risk: { service: risk-engine, writes: true }
  trading:services:
    orders: null
    accounts: null
    market-data: null
    matching:
      image: registry.nordic-exchange.io/matching:4.7.1
      listenerPort: 9101
      port: 7000
      tlsPort: 7443
      replicas: { min: 4, max: 24 }
      cpu: 750m
      memory: 1Gi
      tables: [orders-idempotency]
      produces: [fills]
      database: true
      databaseRoles: [orders_rw, ledger_post]
      calls: [risk-engine]
    pricing:
      image: registry.nordic-exchange.io/pricing:2.0.9
      listenerPort: 9102
      replicas: { min: 2, max: 12 }
      tables: [quotes]
      cache: true
      arm64: true
    risk-engine:
      image: registry.nordic-exchange.io/risk:1.13.0
      listenerPort: 9103
      replicas: { min: 2, max: 9 }
      consumes: [fills]
      secrets: { RISK_FEED_KEY: desk/risk-feed }
    settlement:
      image: registry.nordic-exchange.io/settlement:3.3.3
      listenerPort: 9104
      replicas: { min: 2, max: 7 }
      consumes: [fills]
      database: true
      databaseRoles: [ledger_ro]
  trading:cluster:
    publicAccessCidrs: [198.51.100.0/25]
    adminRoleArns: [arn:aws:iam::210987654321:role/desk-operators]
    podsQuota: 120
  trading:cache:
    nodeType: cache.m7g.xlarge
    shards: 2
    replicas: { min: 2, max: 5 }
    snapshotRetentionDays: 14
  trading:tables:
    orders-idempotency: { billing: onDemand }
    market-data: null
    quotes:
      hashKey: { name: instrument }
      rangeKey: { name: quoted_at, type: N }
      billing: onDemand
      maxRequestUnits: { read: 9000, write: 6000 }
      ttlAttribute: forget_at
  trading:streaming:
    instanceType: kafka.m7g.xlarge
    volumeGib: { min: 200, max: 900 }
    topics:
      orders: null
      executions: null
      market-data: null
      balances: null
      fills: { partitions: 18, retentionHours: 96 }
  trading:database:
    instanceClass: db.r7g.2xlarge
    readers: { min: 3, max: 6 }
    backupRetentionDays: 21
  trading:monitoring:
    logRetentionDays: 731
    alarmEmails: [pager@nordic-exchange.io]
    spending: { monthlyUsd: 31000 }
"""


def pairs(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a stack file that has a value, with that value."""
    if isinstance(node, dict):
        for name, item in node.items():  # pyright: ignore[reportUnknownVariableType]
            yield from pairs(item, f"{key}.{name}")
    elif isinstance(node, list):
        for item in node:  # pyright: ignore[reportUnknownVariableType]
            yield from pairs(item, key)
    else:
        yield key, node


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.make(tmp_path_factory.mktemp("own"))
    (project.folder / f"Pulumi.{STACK}.yaml").write_text(OWN)
    # The stack file names a role of the user's account and the user's registry, which the rules have to know.
    policy = project.folder / "policy"
    policy.unlink()
    shutil.copytree(ROOT / "policy", policy, ignore=shutil.ignore_patterns("__pycache__"))
    ours = policy / "ours.yaml"
    text = ours.read_text().replace("accounts: [", f'accounts: ["{ACCOUNT}", ')
    ours.write_text(text.replace("registries: []", "registries: [registry.nordic-exchange.io]"))
    return project


def test_stack_shares_no_value_with_the_fixtures() -> None:
    own = dict(pairs(yaml.safe_load(OWN)["config"]))
    # Keys that accept only one value.
    for key in (".trading:settingsVersion", ".trading:loadBalancer.rules.forward"):
        del own[key]
    for path in FIXTURES.iterdir():
        same = own.items() & dict(pairs(config_of(path))).items()
        assert same == set(), path.name


def test_stack_previews_deploys_and_stays_as_it_is(project: Project) -> None:
    assert "trading:tier:Monitoring" in project.sandbox_command("preview", "--stack", STACK)
    output = project.deploy(STACK)
    assert "https://desk.nordic-exchange.io" in output
    assert project.preview(STACK) == {}


def test_scan_finds_nothing_that_is_not_explained(project: Project) -> None:
    verdict = project.scan("--stack", STACK)
    assert verdict["failed"] == []
