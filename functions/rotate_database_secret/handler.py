"""Implements the four steps of a rotation ("Lambda rotation functions", AWS Secrets Manager User Guide).

Secrets Manager calls them in order, each with the token that identifies the new version. After a failure, it
starts again with the first one, so every step can be called any number of times.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import boto3
from botocore.exceptions import ClientError

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
PASSWORD_LENGTH = 40
SETTLE_SECONDS = 30
"""Time until a changed password appears in the cluster's status. The Terraform provider waits as long."""
POLL_SECONDS = 10
RESERVE_SECONDS = 15
"""Time of the invocation that is reserved for reporting an error."""

logger = logging.getLogger("rotate_database_secret")


class Context(Protocol):
    """The used part of the Lambda context."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        ...


class RotationError(Exception):
    """Raised if a step can't be completed now. Secrets Manager reports the error and tries again."""


class Rotation:
    """Changes the password of a cluster's master user, and stores it in a new version of the secret.

    Args:
        secrets: a client of Secrets Manager.
        rds: a client of RDS.
        cluster: the cluster's identifier.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self, secrets: Any, rds: Any, cluster: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._secrets = secrets
        self._rds = rds
        self._cluster = cluster
        self._sleep = sleep

    def run(self, step: str, secret: str, token: str, context: Context) -> None:
        """Runs one step for the version `token` of `secret`.

        Raises:
            RotationError: the version or the step is invalid, or the cluster isn't ready.
            ClientError: AWS rejected a request.
        """
        versions: Mapping[str, list[str]] = self._secrets.describe_secret(SecretId=secret)[
            "VersionIdsToStages"
        ]
        if CURRENT in versions.get(token, []):
            logger.info("version %s is already current", token)
            return
        if PENDING not in versions.get(token, []):
            raise RotationError(f"version {token} of the secret is not {PENDING}")
        match step:
            case "createSecret":
                self._create(secret, token)
            case "setSecret":
                self._set(secret, token)
            case "testSecret":
                self._wait(context)
            case "finishSecret":
                self._finish(secret, token, versions)
            case _:
                raise RotationError(f"{step!r} is not a step of a rotation")

    def _create(self, secret: str, token: str) -> None:
        """Creates a version with a new password, unless an earlier attempt has already created it."""
        try:
            self._value(secret, PENDING, token)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                raise
        else:
            logger.info("version %s already has its password", token)
            return
        password = self._secrets.get_random_password(PasswordLength=PASSWORD_LENGTH, ExcludePunctuation=True)
        value = {**self._value(secret, CURRENT), "password": password["RandomPassword"]}
        self._secrets.put_secret_value(
            SecretId=secret,
            ClientRequestToken=token,
            SecretString=json.dumps(value),
            VersionStages=[PENDING],
        )

    def _set(self, secret: str, token: str) -> None:
        """Gives the cluster the new password, unless it is a secondary of a global database.

        A secondary has the primary's users, so its secret is for the time after its promotion. The procedure
        that promotes it then rotates the secret again, which makes the password valid.
        """
        (cluster,) = self._rds.describe_db_clusters(DBClusterIdentifier=self._cluster)["DBClusters"]
        if cluster.get("ReplicationSourceIdentifier"):
            logger.info("cluster %s is a secondary, so only the secret changes", self._cluster)
            return
        self._rds.modify_db_cluster(
            DBClusterIdentifier=self._cluster,
            MasterUserPassword=self._value(secret, PENDING, token)["password"],
            ApplyImmediately=True,
        )

    def _wait(self, context: Context) -> None:
        """Waits until the cluster has applied the password, because a sign-in from outside the VPC isn't
        possible."""
        self._sleep(SETTLE_SECONDS)
        while True:
            (cluster,) = self._rds.describe_db_clusters(DBClusterIdentifier=self._cluster)["DBClusters"]
            pending = "MasterUserPassword" in cluster.get("PendingModifiedValues", {})
            if cluster["Status"] == "available" and not pending:
                return
            if context.get_remaining_time_in_millis() < (POLL_SECONDS + RESERVE_SECONDS) * 1000:
                state = "has the password pending" if pending else f"is {cluster['Status']}"
                raise RotationError(f"cluster {self._cluster} still {state}")
            self._sleep(POLL_SECONDS)

    def _finish(self, secret: str, token: str, versions: Mapping[str, list[str]]) -> None:
        current = next(version for version, stages in versions.items() if CURRENT in stages)
        # Secrets Manager moves AWSPREVIOUS itself.
        self._secrets.update_secret_version_stage(
            SecretId=secret, VersionStage=CURRENT, MoveToVersionId=token, RemoveFromVersionId=current
        )

    def _value(self, secret: str, stage: str, token: str | None = None) -> dict[str, Any]:
        version = {"VersionId": token} if token else {}
        found = self._secrets.get_secret_value(SecretId=secret, VersionStage=stage, **version)
        return json.loads(found["SecretString"])


@functools.cache
def _rotation() -> Rotation:
    """Cached for each process, so that connections are reused."""
    sdk: Any = boto3  # these services have no stubs
    return Rotation(sdk.client("secretsmanager"), sdk.client("rds"), os.environ["CLUSTER_IDENTIFIER"])


def handler(event: Mapping[str, str], context: Context) -> None:
    """Lambda's entry point. Secrets Manager's event names the step, the secret and the new version."""
    logger.info("%s of version %s", event["Step"], event["ClientRequestToken"])
    _rotation().run(event["Step"], event["SecretId"], event["ClientRequestToken"], context)
