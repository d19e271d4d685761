"""Gives secrets new values that people have to choose or to distribute.

Three procedures, each for one kind of secret:

    service         a secret that a service reads from a file (`secrets` of the service), in every region
    machine-client  the secret of the user pool's client for programs, and the canary's copy of it
    master          the password of the database's master user, before its monthly rotation

The new value of the first two comes from a file, so that it appears in no list of processes and in no
record, and so that the same command continues after an interruption with the same value. Each procedure uses
services of the region of the secret only. The origin's secret is rotated by two deployments instead
(docs/operations.md, "Rotate secrets").
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from account.question import Answer
from operations import command, database
from operations.procedure import Account, Calls, Procedure, ProcedureError, Step
from settings import Settings
from settings.aws_limits import CLIENT_SECRET, EDGE_REGION, SECRET_VALUE_LENGTH

KINDS = ("service", "machine-client", "master")
CURRENT = "AWSCURRENT"
CLOCK_SECONDS = 300
"""How much the clock of this machine may be ahead of AWS's."""


@dataclass(frozen=True)
class Value:
    """A new value.

    Args:
        text: the value.
        made: when its file was written.
    """

    text: str
    made: datetime

    @classmethod
    def read(cls, path: Path | None) -> Value:
        """Reads the value from a file, without the line break at its end.

        Raises:
            ProcedureError: the file is missing, can't be read, is empty or is too long.
        """
        if path is None:
            raise ProcedureError("--value is required: give the file that contains the new value")
        try:
            text = path.read_text().removesuffix("\n")
            made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (OSError, UnicodeError) as error:
            raise ProcedureError(f"--value {path}: {error}") from error
        if not 0 < len(text) <= SECRET_VALUE_LENGTH:
            raise ProcedureError(
                f"--value {path}: has {len(text)} characters; give 1 to {SECRET_VALUE_LENGTH}"
            )
        return cls(text, made)

    def version(self, secret: str) -> str:
        """The id of the secret's version with this value, so that putting it again changes nothing.

        It says nothing about the value, which somebody who may only read the id could guess otherwise.
        """
        return hashlib.sha256(f"{secret} {self.made.isoformat()}".encode()).hexdigest()


# -- a service's own secret ----------------------------------------------------------------------


def put(secret: str, region: str, value: Value, regions: Sequence[str]) -> Step:
    """Puts a value into a service's secret in a region.

    Args:
        secret: name or ARN.
        region: the region.
        value: the new value.
        regions: all regions in which the value is put. AWS gives it to the replicas of these.
    """

    def described(account: Account) -> Any:
        return account.client("secretsmanager", region).describe_secret(SecretId=secret)

    def source(account: Account) -> str:
        """The region in which the secret's value is written."""
        return described(account).get("PrimaryRegion", region)

    def check(account: Account) -> Answer:
        if described(account).get("RotationEnabled"):
            return Answer(
                "fail", f"{secret} has a rotation of its own", "use aws secretsmanager rotate-secret"
            )
        if source(account) != region:
            found = f"{secret} is a replica of the one in {source(account)}"
            return Answer("fail", found, "put the value there; AWS replicates it")
        return Answer("pass", f"{secret} exists")

    def done(account: Account) -> bool:
        is_replica = source(account) != region and source(account) in regions
        return is_replica or _is_current(described(account), value.version(secret))

    def act(account: Account) -> None:
        account.client("secretsmanager", region).put_secret_value(
            SecretId=secret, ClientRequestToken=value.version(secret), SecretString=value.text
        )

    return Step(
        title=f"Put the new value into {secret} in {region}",
        changes="within two minutes, running pods have it in their file; a service that reads the file only "
        "at its start needs a restart. The old value stays as AWSPREVIOUS",
        calls=(Calls("secretsmanager", region, ("DescribeSecret", "PutSecretValue")),),
        check=check,
        done=done,
        act=act,
        minutes=1,
    )


def _is_current(secret: Any, version: str) -> bool:
    return CURRENT in secret.get("VersionIdsToStages", {}).get(version, ())


def _service(settings: Settings, options: argparse.Namespace) -> Iterator[Step]:
    """The steps for a service's secret. The primary region is the last one: a wrong value shows elsewhere."""
    known = {service.name: service for service in settings.services}
    if options.service not in known:
        raise ProcedureError(f"--service {options.service} is not a service: give {', '.join(sorted(known))}")
    secrets = known[options.service].secrets
    if options.secret not in secrets:
        names = ", ".join(sorted(secrets)) or "none"
        raise ProcedureError(f"--secret {options.secret}: the secrets of {options.service} are: {names}")
    secret, value = secrets[options.secret], Value.read(options.value)
    regions = [region.name for region in reversed(settings.primary_first)]
    if options.region:
        regions = [_chosen(settings, options)]
    for region in regions:
        yield put(secret, region, value, regions)


def _chosen(settings: Settings, options: argparse.Namespace) -> str:
    """The region that the arguments name, or the primary one."""
    known = [region.name for region in settings.regions]
    if options.region and options.region not in known:
        raise ProcedureError(
            f"--region {options.region} is not a region of the stack: give {', '.join(known)}"
        )
    return options.region or settings.primary


# -- the client for programs ---------------------------------------------------------------------


@dataclass(frozen=True)
class MachineClient:
    """The user pool's client for programs.

    Args:
        platform: value of the stack's tag `platform`.
        value: the new secret.
    """

    platform: str
    value: Value

    def ids(self, account: Account) -> dict[str, str]:
        """The ids of pool and client.

        Raises:
            ProcedureError: there is not exactly one such client.
        """
        cognito = account.client("cognito-idp", EDGE_REGION)
        pools = [
            pool["Id"]
            for page in cognito.get_paginator("list_user_pools").paginate(MaxResults=60)
            for pool in page["UserPools"]
            if pool["Name"].startswith("identity-")
        ]
        found = [
            {"UserPoolId": pool, "ClientId": client["ClientId"]}
            for pool in pools
            if self._is_ours(cognito.describe_user_pool(UserPoolId=pool)["UserPool"])
            for page in cognito.get_paginator("list_user_pool_clients").paginate(UserPoolId=pool)
            for client in page["UserPoolClients"]
            if client["ClientName"].startswith("identity-machine-")
        ]
        if len(found) != 1:
            raise ProcedureError(
                f"{EDGE_REGION} has {len(found)} clients for programs of {self.platform}, not 1"
            )
        return found[0]

    def _is_ours(self, pool: Any) -> bool:
        return pool.get("UserPoolTags", {}).get("platform") == self.platform

    def secrets(self, account: Account) -> dict[bool, list[str]]:
        """The ids of the client's secrets: whether they are as new as the value → ids."""
        cognito = account.client("cognito-idp", EDGE_REGION)
        found: dict[bool, list[str]] = {True: [], False: []}
        for secret in cognito.list_user_pool_client_secrets(**self.ids(account))["ClientSecrets"]:
            age = (secret["ClientSecretCreateDate"] - self.value.made).total_seconds()
            found[age >= -CLOCK_SECONDS].append(secret["ClientSecretId"])
        return found


_FINDS = ("ListUserPools", "DescribeUserPool", "ListUserPoolClients", "ListUserPoolClientSecrets")


def _add(client: MachineClient) -> Step:
    def check(account: Account) -> Answer:
        found = client.secrets(account)
        if len(found[False]) == 1:
            return Answer("pass", "the client has one secret")
        return Answer(
            "fail",
            f"the client has {len(found[False])} secrets, and accepts two",
            "finish the earlier rotation: the same command with its file and --finish",
        )

    return Step(
        title="Give the client for programs a second secret",
        changes="the client accepts both secrets",
        calls=(Calls("cognito-idp", EDGE_REGION, (*_FINDS, "AddUserPoolClientSecret")),),
        check=check,
        done=lambda account: bool(client.secrets(account)[True]),
        act=lambda account: account.client("cognito-idp", EDGE_REGION).add_user_pool_client_secret(
            ClientSecret=client.value.text, **client.ids(account)
        ),
        minutes=1,
    )


def _give_the_canary(client: MachineClient, region: str) -> Step:
    description = "Secret of the user pool's client of programs, for the canary"

    def secret(account: Account) -> Any:
        pages = account.client("secretsmanager", region).get_paginator("list_secrets")
        found = [
            item
            for page in pages.paginate(Filters=[{"Key": "description", "Values": [description]}])
            for item in page["SecretList"]
            if {"Key": "platform", "Value": client.platform} in item.get("Tags", ())
        ]
        if len(found) != 1:
            raise ProcedureError(
                f"{region} has {len(found)} secrets of the canary of {client.platform}, not 1"
            )
        return account.client("secretsmanager", region).describe_secret(SecretId=found[0]["ARN"])

    return Step(
        title="Give the canary the new secret",
        changes="the canary signs in with it from its next run",
        calls=(Calls("secretsmanager", region, ("ListSecrets", "DescribeSecret", "PutSecretValue")),),
        done=lambda account: _is_current(secret(account), client.value.version("canary")),
        act=lambda account: account.client("secretsmanager", region).put_secret_value(
            SecretId=secret(account)["ARN"],
            ClientRequestToken=client.value.version("canary"),
            SecretString=client.value.text,
        ),
        minutes=1,
    )


def _delete_the_old(client: MachineClient) -> Step:
    def act(account: Account) -> None:
        cognito, ids = account.client("cognito-idp", EDGE_REGION), client.ids(account)
        for secret in client.secrets(account)[False]:
            cognito.delete_user_pool_client_secret(ClientSecretId=secret, **ids)

    return Step(
        title="Delete the client's old secret",
        changes="the client accepts the new secret only",
        calls=(Calls("cognito-idp", EDGE_REGION, (*_FINDS, "DeleteUserPoolClientSecret")),),
        done=lambda account: not client.secrets(account)[False],
        act=act,
        loses="the old secret: programs that still use it get no tokens any more",
        minutes=1,
    )


def _machine_client(settings: Settings, options: argparse.Namespace) -> Iterator[Step]:
    if settings.api.jwt:
        raise ProcedureError("the stack has no user pool: its tokens come from api.jwt.issuer")
    value = Value.read(options.value)
    if not re.fullmatch(CLIENT_SECRET, value.text):
        raise ProcedureError(
            f"--value {options.value}: Cognito accepts 24 to 64 letters, digits, _ and +, such as the output "
            "of openssl rand -hex 32"
        )
    client = MachineClient(settings.platform, value)
    yield _add(client)
    if settings.monitoring.canary:
        yield _give_the_canary(client, settings.home)
    if options.finish:
        yield _delete_the_old(client)


# -- the database's master user ------------------------------------------------------------------


def master(platform: str, region: str, since: datetime) -> Step:
    """Starts the rotation of a region's master secret, unless it was rotated after a moment."""

    def check(account: Account) -> Answer:
        name = database.cluster(platform, region)
        (cluster,) = account.client("rds", region).describe_db_clusters(DBClusterIdentifier=name)[
            "DBClusters"
        ]
        if cluster.get("ReplicationSourceIdentifier"):
            remedy = "give the region of the primary one, or fail over first"
            return Answer("fail", f"{name} is a secondary cluster, which has the primary's passwords", remedy)
        if cluster["Status"] != "available":
            return Answer("fail", f"{name} is {cluster['Status']}", "wait until it is available")
        return Answer("pass", f"{name} is the primary cluster, and available")

    def done(account: Account) -> bool:
        rotated = database.master_secret(account, platform, region).get("LastRotatedDate")
        return rotated is not None and rotated >= since

    return Step(
        title=f"Rotate the master secret of {region}",
        changes="the database's master user has a new password, which is in the secret. No service uses it",
        calls=(
            Calls("rds", region, ("DescribeDBClusters",)),
            Calls("secretsmanager", region, ("ListSecrets", "RotateSecret")),
        ),
        check=check,
        done=done,
        act=lambda account: account.client("secretsmanager", region).rotate_secret(
            SecretId=database.master_secret(account, platform, region)["ARN"]
        ),
        minutes=15,
    )


def _master(settings: Settings, options: argparse.Namespace) -> Iterator[Step]:
    region = _chosen(settings, options)
    yield master(settings.platform, region, command.moment("--since", options.since))


def procedure(settings: Settings, options: argparse.Namespace) -> Procedure:
    """The procedure that the arguments name.

    Raises:
        ProcedureError: an argument is missing or doesn't fit the stack.
    """
    steps = {"service": _service, "machine-client": _machine_client, "master": _master}[options.kind]
    return Procedure("rotate", options.stack, [*steps(settings, options)])


def arguments_parser() -> argparse.ArgumentParser:
    """The parser of the command's arguments."""
    parser = command.parser("rotate", (__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=KINDS, help="which secret (see docs/operations.md)")
    parser.add_argument("--service", default="", metavar="NAME", help="with service: the service")
    parser.add_argument("--secret", default="", metavar="KEY", help="with service: the key in its secrets")
    parser.add_argument("--value", type=Path, metavar="FILE", help="the file that contains the new value")
    parser.add_argument("--region", default="", help="only this region, if another one doesn't answer")
    parser.add_argument(
        "--since", default="", metavar="TIME", help="with master: earlier rotations don't count; in UTC"
    )
    parser.add_argument(
        "--finish", action="store_true", help="with machine-client: all programs have the new secret"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    return command.execute(arguments_parser().parse_args(arguments), procedure)


if __name__ == "__main__":
    sys.exit(main())
