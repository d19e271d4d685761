"""The permissions boundary of the roles that stacks create: the most that the platform itself can do.

A deployment creates roles, writes their policies and passes them to services. Without a boundary, it could so
give a pod or a function more permissions than it has itself.

The statements follow the policies of the platform's roles: `workloads.yaml` has their actions, and who needs
them. AWS's managed policies that some of the roles have allow more, for services that the platform doesn't
use; the tests compare both. A boundary doesn't limit what a resource policy grants to a session of the role
itself (IAM User Guide, "Permissions boundaries for IAM entities", read 2026-11-27).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from account import prepared
from policy.values import read_yaml

STATE_KEYS = {
    "ForAnyValue:StringLike": {"kms:ResourceAliases": [prepared.STATE_ALIAS, prepared.secrets_alias("*")]}
}
"""Condition of requests for the keys of the states and of their secrets, whatever tags these keys have. It
applies to every operation on a KMS key (KMS Developer Guide, "AWS KMS condition keys",
`kms:ResourceAliases`, read 2026-11-27)."""


def boundary(account: str) -> list[dict[str, Any]]:
    """The statements of the boundary."""
    return [
        _allow("Data"),
        _allow("Secrets", f"arn:aws:secretsmanager:*:{account}:secret:*"),
        _allow("Databases", f"arn:aws:rds:*:{account}:cluster:trading-*"),
        _allow("Keys", f"arn:aws:kms:*:{account}:key/*"),
        _allow(
            "GrantsForServices",
            f"arn:aws:kms:*:{account}:key/*",
            {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        _allow("Observability"),
        _allow("Images", f"arn:aws:ecr:*:{account}:repository/*"),
        _allow("Cluster"),
        _allow(
            "NodesOfTheCluster",
            f"arn:aws:iam::{account}:role/cluster-*-node-*",
            {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
        _allow("ProfilesOfNodes", f"arn:aws:iam::{account}:instance-profile/eks*"),
        _allow("RolesOfServices", "arn:aws:iam::*:role/aws-service-role/*"),
        _allow("Backups"),
        {
            "Sid": "NotTheStatesAndRegistries",
            "Effect": "Deny",
            "Action": ["s3:*", "secretsmanager:*"],
            "Resource": [
                f"arn:aws:s3:::{prepared.state_bucket(account, '*')}",
                f"arn:aws:secretsmanager:*:{account}:secret:ecr-pullthroughcache/*",
            ],
        },
        {
            "Sid": "NotTheKeysOfTheStates",
            "Effect": "Deny",
            "Action": actions("Keys"),
            "Resource": "*",
            "Condition": STATE_KEYS,
        },
    ]


def actions(sid: str) -> list[str]:
    """The actions of a statement."""
    return sorted({action for entry in entries()[sid] for action in entry["actions"]})


@functools.cache
def entries() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The content of `workloads.yaml`: statement → its entries."""
    return read_yaml(Path(__file__).with_name("workloads.yaml"))


def _allow(sid: str, resource: str = "*", condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions(sid), "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement
