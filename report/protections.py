"""Properties that protect, encrypt, keep or publish, and what it means if they change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.rule import SECRET, is_list, is_map, listed
from report.differences import ABSENT, UNKNOWN, Difference
from report.preview import Change
from report.structure import by_id, document, shown

PROTECTION = "remove protection"
ENCRYPTION = "remove encryption"
BACKUPS = "reduce backups"
RETENTION = "shorten retention"
PUBLIC = "make public"

Weaker = Callable[[Any, Any], bool]
"""Whether a property's new value is weaker than the old one. A property that isn't there is None."""


def _turned_off(old: Any, new: Any) -> bool:
    return _is_on(old) and not _is_on(new)


def _turned_on(old: Any, new: Any) -> bool:
    return not _is_on(old) and _is_on(new)


def _lower(old: Any, new: Any) -> bool:
    before, after = _number(old), _number(new)
    return before is not None and (after or 0) < before


def _shorter(old: Any, new: Any) -> bool:
    """Like `_lower`, for durations of which none, or -1, means forever."""
    before, after = _number(old), _number(new)
    return after is not None and after > 0 and (before is None or before <= 0 or after < before)


def _not_ours(old: Any, new: Any) -> bool:
    """Whether a customer managed key is replaced by AWS's or by none."""
    return _is_key(old) and not _is_key(new)


def _to(*weak: object) -> Weaker:
    return lambda old, new: new in weak and old not in weak


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "alias/aws/" not in value


def _is_on(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in _ON)


_ON = frozenset({"true", "active", "enabled", "on", "required", "1", UNKNOWN, SECRET})
"""Values that turn a property on. One that nobody can see counts as what it was before."""


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None


@dataclass(frozen=True)
class _Property:
    kind: str
    path: str
    """Pattern for the end of a path, without the positions in lists."""
    weaker: Weaker
    meaning: str


_PROPERTIES: Sequence[_Property] = (
    _Property(PROTECTION, r"\(protect\)", _turned_off, "the engine may delete it from now on"),
    _Property(PROTECTION, r"\(retainOnDelete\)", _turned_off, "it is deleted with its entry in the state"),
    _Property(
        PROTECTION,
        r"(deletionProtection|deletionProtectionEnabled|deleteProtection|enableDeletionProtection|"
        r"terminationProtection\w*|deletionProtectionForStack)",
        _turned_off,
        "AWS no longer refuses to delete it",
    ),
    _Property(PROTECTION, r"skipFinalSnapshot", _turned_on, "its deletion leaves no snapshot"),
    _Property(PROTECTION, r"(forceDestroy|forceDelete)", _turned_on, "it can be deleted with its content"),
    _Property(
        PROTECTION,
        r"(deletionWindowInDays|recoveryWindowInDays)",
        _lower,
        "there is less time to undo its deletion",
    ),
    _Property(PROTECTION, r"versioningConfiguration\.status", _turned_off, "objects keep no versions"),
    _Property(
        PROTECTION,
        r"(minRetentionDays|changeableForDays)",
        _lower,
        "recovery points can be deleted earlier",
    ),
    _Property(
        ENCRYPTION,
        r"(storageEncrypted|encrypted|atRestEncryptionEnabled|transitEncryptionEnabled|enableKeyRotation|"
        r"serverSideEncryption\.enabled|inCluster|requireTls|encryptionEnabled|sqsManagedSseEnabled)",
        _turned_off,
        "data is stored or sent in plain text, or with keys that stay the same",
    ),
    _Property(
        ENCRYPTION,
        r"(kmsKeyId|kmsKeyArn|kmsKey|kmsMasterKeyId|keyArn|encryptionAtRestKmsKeyArn|"
        r"encryptionAtRestKmsKeyId|performanceInsightsKmsKeyId|snsKmsMasterKeyId|encryptionKeyArn)",
        _not_ours,
        "it is no longer encrypted with the platform's own key",
    ),
    _Property(ENCRYPTION, r"sseAlgorithm", _to("AES256", None), "it is no longer encrypted with a KMS key"),
    _Property(
        ENCRYPTION, r"transitEncryptionMode", _to("preferred", None), "clients may connect without TLS"
    ),
    _Property(
        ENCRYPTION, r"clientBroker", _to("TLS_PLAINTEXT", "PLAINTEXT"), "clients may connect without TLS"
    ),
    _Property(ENCRYPTION, r"viewerProtocolPolicy", _to("allow-all"), "viewers may connect without TLS"),
    _Property(
        ENCRYPTION,
        r"originProtocolPolicy",
        _to("http-only", "match-viewer"),
        "requests to the origin are not encrypted",
    ),
    _Property(
        ENCRYPTION,
        r"(sslPolicy|minimumProtocolVersion|securityPolicy)",
        lambda old, new: _tls(new) < _tls(old),
        "older versions of TLS are accepted",
    ),
    _Property(ENCRYPTION, r"(rds\.force_ssl)", _turned_off, "clients may connect without TLS"),
    _Property(
        ENCRYPTION,
        r"(ssl_min_protocol_version)",
        lambda old, new: _tls(new) < _tls(old),
        "older versions of TLS are accepted",
    ),
    _Property(
        BACKUPS,
        r"(backupRetentionPeriod|snapshotRetentionLimit|automaticBackupRetentionDays|deleteAfter|"
        r"recoveryPeriodInDays|optInToArchiveForSupportedResources)",
        _lower,
        "backups are kept for fewer days",
    ),
    _Property(
        BACKUPS, r"pointInTimeRecovery(\.enabled)?", _turned_off, "it can't be restored to a point in time"
    ),
    _Property(BACKUPS, r"enableContinuousBackup", _turned_off, "it can't be restored to a point in time"),
    _Property(
        RETENTION,
        r"(retentionInDays|retentionPeriodInDays|messageRetentionSeconds|retentionPeriod|"
        r"performanceInsightsRetentionPeriod|retention\.ms|expiration\.days|noncurrentDays|"
        r"logGroupRetention|retentionHours)",
        _shorter,
        "what is older is deleted",
    ),
    _Property(
        PUBLIC,
        r"(publiclyAccessible|mapPublicIpOnLaunch|associatePublicIpAddress|assignPublicIp|"
        r"endpointPublicAccess|enablePublicAccess)",
        _turned_on,
        "it can be reached from the internet",
    ),
    _Property(
        PUBLIC,
        r"(internal|disableExecuteApiEndpoint|blockPublicAcls|blockPublicPolicy|ignorePublicAcls|"
        r"restrictPublicBuckets)",
        _turned_off,
        "it can be reached from the internet",
    ),
    _Property(
        PUBLIC,
        r"(publicAccess\.type)",
        lambda old, new: old != new and new not in (None, "DISABLED"),
        "it can be reached from the internet",
    ),
    _Property(
        PUBLIC,
        r"endpointConfiguration\.types",
        lambda old, new: old == "PRIVATE" and new != "PRIVATE",
        "it can be reached from the internet",
    ),
    _Property(
        PUBLIC,
        r"acl",
        lambda old, new: isinstance(new, str) and new.startswith(("public", "authenticated")) and old != new,
        "everyone may read it",
    ),
    _Property(PUBLIC, r"spec\.type", _to("LoadBalancer"), "it gets a load balancer of its own"),
    _Property(
        PUBLIC,
        r"(authorizationType|authorization)",
        lambda old, new: new == "NONE" and old != new,
        "callers need no identity",
    ),
)

_FROM_START = frozenset({PUBLIC})
"""Kinds that a new resource can have, too."""

GUARDS: Mapping[str, tuple[str, str]] = {
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": (
        PROTECTION,
        "recovery points can be deleted before their time",
    ),
    "aws:shield/protection:Protection": (PROTECTION, "it has no protection by Shield Advanced any more"),
    "aws:s3/bucketVersioning:BucketVersioning": (PROTECTION, "objects keep no versions"),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": (
        PROTECTION,
        "objects can be deleted before their time",
    ),
    "aws:cloudtrail/trail:Trail": (PROTECTION, "calls of AWS's API are no longer recorded"),
    "aws:ec2/flowLog:FlowLog": (PROTECTION, "connections are no longer recorded"),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": (
        PROTECTION,
        "requests are no longer recorded",
    ),
    "aws:secretsmanager/secretRotation:SecretRotation": (PROTECTION, "the secret is no longer rotated"),
    "kubernetes:policy/v1:PodDisruptionBudget": (PROTECTION, "all pods can be evicted at once"),
    "kubernetes:core/v1:ResourceQuota": (PROTECTION, "the namespace has no limits"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        ENCRYPTION,
        "new objects are no longer encrypted with the platform's key",
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        PUBLIC,
        "a policy or an access control list can make its objects public",
    ),
}
"""Types of resources that only protect another one → the kind of their deletion, and what it means."""


def weakened(change: Change) -> Iterator[tuple[str, str]]:
    """The kind of danger and a text for each property that protects less than before."""
    if change.operation in ("delete", "discard"):
        if change.type in GUARDS and change.operation == "delete":
            kind, meaning = GUARDS[change.type]
            yield kind, f"deleted: {meaning}"
        return
    yield from _filters(change)
    yield from _unsaved(change)
    seen: set[tuple[str, str]] = set()
    for difference in _parts(change):
        path = re.sub(r"\[\d+\]", "", difference.path)
        for item in _PROPERTIES:
            if not re.search(rf"(^|[.=→ ]){item.path}$", path):
                continue
            if not change.existed and item.kind not in _FROM_START:
                continue
            old, new = (None if value is ABSENT else value for value in (difference.old, difference.new))
            if item.weaker(old, new) and (item.kind, path) not in seen:
                seen.add((item.kind, path))
                was, now = ("not set" if value is None else shown(value) for value in (old, new))
                yield item.kind, f"{difference.path}: {was} → {now}: {item.meaning}"


def _filters(change: Change) -> Iterator[tuple[str, str]]:
    """Rules of a web ACL that no longer block anything."""
    if change.type != "aws:wafv2/webAcl:WebAcl" or not change.existed:
        return
    before, after = (
        {str(rule.get("name")): rule for rule in listed(inputs.get("rules")) if is_map(rule)}
        for inputs in (change.old, change.new)
    )
    for name, rule in before.items():
        if name not in after:
            yield PROTECTION, f"no longer has the rule {name}"
        elif not _only_counts(rule) and _only_counts(after[name]):
            yield PROTECTION, f"the rule {name} only counts requests"


_SAVED = {"aws:backup/plan:Plan": "rules", "aws:backup/selection:Selection": "resources"}
"""Type → the list of what is backed up, or how."""


def _unsaved(change: Change) -> Iterator[tuple[str, str]]:
    """Rules and resources that a backup plan no longer has."""
    key = _SAVED.get(change.type, "")
    if not key or not change.existed:
        return
    before, after = (
        [str(item.get("ruleName") if is_map(item) else item) for item in listed(inputs.get(key))]
        for inputs in (change.old, change.new)
    )
    lost = [item for item in before if item not in after]
    # As many that are not known yet are the same resources, which are replaced.
    if len(lost) > after.count(UNKNOWN):
        yield BACKUPS, f"{key} no longer has {', '.join(lost)}"


def _only_counts(rule: Mapping[str, Any]) -> bool:
    actions = [rule.get(key) for key in ("action", "overrideAction")]
    return any(is_map(action) and "count" in action for action in actions)


def _parts(change: Change) -> Iterator[Difference]:
    """The differences down to single values, also those within documents.

    Elements of lists are compared by their own ID or name, so that it doesn't matter where they are.
    """
    yield from change.differences
    tops = dict.fromkeys(difference.top for difference in change.differences)
    for top in tops:
        old, new = (dict(_leaves(inputs.get(top, ABSENT), top)) for inputs in (change.old, change.new))
        for path in dict.fromkeys([*old, *new]):
            if (before := old.get(path, ABSENT)) != (after := new.get(path, ABSENT)):
                yield Difference(path=path, old=before, new=after)
    if (
        change.type == "aws:lb/loadBalancer:LoadBalancer"
        and not change.existed
        and "internal" not in change.new
    ):
        yield Difference(path="internal", old=True, new=ABSENT)  # by default it has public addresses


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    value = by_id(_by_name(value if document(value) is None else document(value)))
    if is_map(value) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    elif is_list(value) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif value is not ABSENT:
        yield path, value


def _by_name(value: Any) -> Any:
    """A list of parameters, which have a `name` and a `value`, as an object."""
    if is_list(value) and value and all(is_map(item) and {"name", "value"} <= item.keys() for item in value):
        return {str(item["name"]): item["value"] for item in value}
    return value


def _tls(value: Any) -> float:
    """The oldest version of TLS that a policy's name allows, or a high number if it names none."""
    found = re.search(r"(?:TLS|tls)[^0-9]*1[-_.]?([0-3])", str(value))
    return float(found[1]) if found else 9.0
