"""Every component belongs to a tier or is known to be shared."""

from __future__ import annotations

from report.tiers import _TIER_OF, SHARED, TYPE_PREFIX, tier_of  # pyright: ignore[reportPrivateUsage]
from tests.unit.harness import platforms_with_everything

COMMON = {"Foundation", "Network", "EncryptionKey", "BackupVault", "BackupPlan"}


def test_every_component_has_its_tier() -> None:
    tokens = {it.type for graph in platforms_with_everything().values() for it in graph.resources}
    components = {token.removeprefix(TYPE_PREFIX) for token in tokens if token.startswith(TYPE_PREFIX)}
    assert components == _TIER_OF.keys() | COMMON


def test_tier_is_the_outermost_components() -> None:
    prefix = "urn:pulumi:prod::trading-platform::"
    cases = {
        "trading:tier:Cache$trading:tier:EncryptionKey$aws:kms/key:Key::key": "EKS + ElastiCache + DynamoDB",
        "trading:tier:Foundation$aws:s3/bucket:Bucket::logs": SHARED,
        "pulumi:providers:aws::us-east-1": SHARED,
    }
    assert {case: tier_of(prefix + case) for case in cases} == cases
