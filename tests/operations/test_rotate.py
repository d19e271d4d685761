"""The rotation of secrets, against moto's Secrets Manager and a model of Cognito's clients."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from operations import rotate
from operations.procedure import DONE, Procedure, ProcedureError
from settings import Settings
from tests.operations.rehearsal import (
    account,
    answering,
    calls,
    client,
    continued_after_every_interruption,
    run,
)
from tests.unit.harness import ROOT, stack_values, without_namespace

A, B = "us-east-1", "eu-west-1"
NEW, OLD = "n" * 32, "o" * 32
NOW = datetime.now(UTC)


def settings(**changed: Any) -> Settings:
    values = without_namespace(stack_values("full"))
    services = {"orders": {"secrets": {"PARTNER_KEY": "partner"}}}
    return Settings.parse({**values, "services": services, **changed})


def procedure(*arguments: str, **changed: Any) -> Procedure:
    options = rotate.arguments_parser().parse_args([*arguments, "--stack", "full"])
    return rotate.procedure(settings(**changed), options)


@pytest.fixture
def value(tmp_path: Path) -> str:
    path = tmp_path / "value"
    path.write_text(f"{NEW}\n")
    return str(path)


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> Any:
    with account(monkeypatch):
        for region in (A, B):
            client("secretsmanager", region).create_secret(Name="partner", SecretString=OLD)
        yield


def held(region: str, name: str = "partner") -> str:
    return client("secretsmanager", region).get_secret_value(SecretId=name)["SecretString"]


def of_partner(value: str, *more: str) -> Procedure:
    return procedure("service", "--service", "orders", "--secret", "PARTNER_KEY", "--value", value, *more)


# -- services' own secrets -----------------------------------------------------------------------


@pytest.mark.usefixtures("seeded")
def test_service_gets_the_value_in_every_region_and_the_primary_one_last(value: str, tmp_path: Path) -> None:
    chosen = of_partner(value)
    assert [step.calls[0].region for step in chosen.steps] == [B, A]
    assert run(chosen, tmp_path / "r") == DONE
    assert (held(A), held(B)) == (NEW, NEW)
    assert NEW not in (tmp_path / "r").read_text()


@pytest.mark.usefixtures("seeded")
def test_rotation_of_a_services_secret_continues_after_every_interruption(value: str, tmp_path: Path) -> None:
    def check() -> None:
        for region in (A, B):
            assert held(region) == NEW
            versions = client("secretsmanager", region).describe_secret(SecretId="partner")
            assert len(versions["VersionIdsToStages"]) == 2

    assert continued_after_every_interruption(of_partner(value), check, tmp_path) == 2


@pytest.mark.usefixtures("seeded")
def test_a_second_run_puts_nothing(value: str, tmp_path: Path) -> None:
    run(of_partner(value), tmp_path / "first")
    run(of_partner(value), tmp_path / "second")
    assert not [call for call in calls(tmp_path / "second") if "Put" in call]


@pytest.mark.usefixtures("seeded")
def test_version_of_a_secret_tells_nothing_about_the_value(value: str, tmp_path: Path) -> None:
    """Many may list versions. A value that is easy to guess could be compared with a digest of it."""
    run(of_partner(value), tmp_path / "r")
    one = client("secretsmanager", A).describe_secret(SecretId="partner")["VersionIdsToStages"]
    Path(value).write_text("another")
    os.utime(value, ns=(0, 0))
    stamped = rotate.Value.read(Path(value)).version("partner")
    Path(value).write_text(NEW)
    os.utime(value, ns=(0, 0))
    assert rotate.Value.read(Path(value)).version("partner") == stamped
    assert stamped not in one


@pytest.mark.usefixtures("seeded")
def test_one_region_is_enough_while_the_other_does_not_answer(value: str, tmp_path: Path) -> None:
    chosen = of_partner(value, "--region", B)
    assert chosen.depends_on == {B}
    run(chosen, tmp_path / "r")
    assert (held(A), held(B)) == (OLD, NEW)


@pytest.mark.parametrize(("source", "replica"), [(A, B), (B, A)])
def test_replica_gets_the_value_from_its_own_primary_region(
    source: str, replica: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with account(monkeypatch):
        client("secretsmanager", source).create_secret(
            Name="partner", SecretString=OLD, AddReplicaRegions=[{"Region": replica}]
        )
        with pytest.raises(ProcedureError, match=f"is a replica of the one in {source}: put the value there"):
            run(of_partner(value, "--region", replica), tmp_path / "r")
        assert run(of_partner(value), tmp_path / "r") == DONE
        assert (held(A), held(B)) == (NEW, NEW)
    puts = [call for call in calls(tmp_path / "r") if "Put" in call]
    assert puts == [f"secretsmanager:PutSecretValue in {source}"]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"RotationEnabled": True}, "has a rotation of its own: use aws secretsmanager rotate-secret"),
        ({"PrimaryRegion": "eu-west-2"}, "is a replica of the one in eu-west-2"),
    ],
)
@pytest.mark.usefixtures("seeded")
def test_secret_whose_value_comes_from_elsewhere_is_refused(
    value: str, tmp_path: Path, told: dict[str, Any], text: str
) -> None:
    factory = answering({"secretsmanager:DescribeSecret": lambda _: {"Name": "partner", **told}})
    with pytest.raises(ProcedureError, match=text):
        run(of_partner(value), tmp_path / "r", factory)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["service", "--service", "none", "--secret", "X"], "--service none is not a service: give accounts"),
        (
            ["service", "--service", "orders", "--secret", "X"],
            "the secrets of orders are: PARTNER_KEY",
        ),
        (["service", "--service", "accounts", "--secret", "X"], "the secrets of accounts are: none"),
        (["service", "--service", "orders", "--secret", "PARTNER_KEY"], "--value is required"),
        (["machine-client", "--value", "/nonexistent"], "--value /nonexistent: .*No such file"),
        (["master"], "--since is '': give a time in UTC"),
        (["master", "--region", "eu-west-2", "--since", "2026-01-31T14:05:00Z"], "not a region of the stack"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(value: str, arguments: list[str], text: str) -> None:
    with pytest.raises(ProcedureError, match=text):
        procedure(*(value if word == "V" else word for word in arguments))


@pytest.mark.parametrize("content", ["", "\n", "x" * 65537])
def test_value_that_secrets_manager_does_not_accept_is_refused(value: str, content: str) -> None:
    Path(value).write_text(content)
    with pytest.raises(ProcedureError, match="give 1 to 65536"):
        of_partner(value)


# -- the client for programs ---------------------------------------------------------------------


@dataclass
class Cognito:
    """A user pool's client, and one of another stack."""

    secrets: dict[str, datetime] = field(default_factory=lambda: {"first": NOW - timedelta(days=90)})
    values: list[str] = field(default_factory=list[str])

    def factory(self) -> Any:
        return answering(
            {
                f"cognito-idp:{name}": getattr(self, f"_{name}")
                for name in (
                    *("ListUserPools", "DescribeUserPool", "ListUserPoolClients"),
                    *("ListUserPoolClientSecrets", "AddUserPoolClientSecret", "DeleteUserPoolClientSecret"),
                )
            }
        )

    def _ListUserPools(self, _: object) -> dict[str, Any]:  # noqa: N802
        return {"UserPools": [{"Id": f"us-east-1_{name}", "Name": f"identity-{name}"} for name in "ab"]}

    def _DescribeUserPool(self, asked: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        own = asked["UserPoolId"] == "us-east-1_a"
        return {"UserPool": {"UserPoolTags": {"platform": "trading-full" if own else "trading-decoy"}}}

    def _ListUserPoolClients(self, _: object) -> dict[str, Any]:  # noqa: N802
        names = "identity-machine-1", "identity-web-1"
        return {"UserPoolClients": [{"ClientId": name, "ClientName": name} for name in names]}

    def _ListUserPoolClientSecrets(self, asked: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert asked == {"UserPoolId": "us-east-1_a", "ClientId": "identity-machine-1"}
        found = self.secrets.items()
        return {"ClientSecrets": [{"ClientSecretId": n, "ClientSecretCreateDate": made} for n, made in found]}

    def _AddUserPoolClientSecret(self, asked: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert len(self.secrets) < 2, "a client has at most two secrets"
        self.secrets["second"] = datetime.now(UTC)
        self.values.append(asked["ClientSecret"])
        return {"ClientSecretDescriptor": {"ClientSecretId": "second"}}

    def _DeleteUserPoolClientSecret(self, asked: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert len(self.secrets) == 2, "the last secret can't be deleted"
        del self.secrets[asked["ClientSecretId"]]
        return {}


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Any:
    with account(monkeypatch):
        for name in ("trading-decoy", "trading-full"):
            client("secretsmanager", A).create_secret(
                Name=f"canary-{name}",
                Description="Secret of the user pool's client of programs, for the canary",
                SecretString=OLD,
                Tags=[{"Key": "platform", "Value": name}],
            )
        yield


@pytest.mark.usefixtures("canary")
def test_client_accepts_both_secrets_until_the_rotation_is_finished(value: str, tmp_path: Path) -> None:
    cognito = Cognito()
    assert run(procedure("machine-client", "--value", value), tmp_path / "r", cognito.factory()) == DONE
    assert (cognito.values, set(cognito.secrets)) == ([NEW], {"first", "second"})
    assert (held(A, "canary-trading-full"), held(A, "canary-trading-decoy")) == (NEW, OLD)
    finish = procedure("machine-client", "--value", value, "--finish")
    assert run(finish, tmp_path / "r", cognito.factory()) == DONE
    assert (cognito.values, set(cognito.secrets)) == ([NEW], {"second"})
    assert [step.loses for step in finish.steps if step.loses] == [
        "the old secret: programs that still use it get no tokens any more"
    ]
    assert NEW not in (tmp_path / "r").read_text()


@pytest.mark.usefixtures("canary")
def test_rotation_of_the_client_continues_after_every_interruption(value: str, tmp_path: Path) -> None:
    cognito = Cognito()

    def check() -> None:
        assert set(cognito.secrets) == {"second"}
        assert held(A, "canary-trading-full") == NEW

    chosen = procedure("machine-client", "--value", value, "--finish")
    assert continued_after_every_interruption(chosen, check, tmp_path, cognito.factory()) == 3


@pytest.mark.usefixtures("canary")
def test_new_value_waits_until_the_earlier_rotation_is_finished(value: str, tmp_path: Path) -> None:
    cognito = Cognito({"first": NOW - timedelta(days=90), "second": NOW - timedelta(days=1)})
    with pytest.raises(ProcedureError, match="finish the earlier rotation"):
        run(procedure("machine-client", "--value", value), tmp_path / "r", cognito.factory())


def test_stack_without_a_canary_gives_it_no_secret(value: str) -> None:
    assert len(procedure("machine-client", "--value", value, monitoring={}).steps) == 1


def test_stack_without_a_user_pool_has_no_client(value: str) -> None:
    jwt = {"issuer": "https://login.example.com", "audience": "trading"}
    with pytest.raises(ProcedureError, match=r"its tokens come from api\.jwt\.issuer"):
        procedure("machine-client", "--value", value, api={"jwt": jwt}, monitoring={})


@pytest.mark.parametrize("content", ["short", "x" * 65, "with space and more than 24"])
def test_value_that_cognito_does_not_accept_is_refused(value: str, content: str) -> None:
    Path(value).write_text(content)
    with pytest.raises(ProcedureError, match="openssl rand -hex 32"):
        procedure("machine-client", "--value", value)


# -- the master user -----------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["", f"arn:aws:rds:{B}:123456789012:cluster:x"])
def test_master_secret_is_rotated_once_and_only_of_the_primary_cluster(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret: dict[str, Any] = {
        "ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:master",
        "Description": f"Master user of trading-full-database-{A}; services sign in with IAM instead",
        "LastRotatedDate": NOW - timedelta(days=20),
    }
    rotations: list[str] = []

    def turn(asked: Mapping[str, Any]) -> dict[str, Any]:
        rotations.append(asked["SecretId"])
        secret["LastRotatedDate"] = datetime.now(UTC)
        return {}

    role = {"ReplicationSourceIdentifier": source} if source else {}
    factory = answering(
        {
            "rds:DescribeDBClusters": lambda _: {"DBClusters": [{"Status": "available", **role}]},
            "secretsmanager:ListSecrets": lambda _: {"SecretList": [secret]},
            "secretsmanager:RotateSecret": turn,
        }
    )
    chosen = procedure("master", "--since", f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}")
    assert chosen.depends_on == {A}
    with account(monkeypatch):
        if source:
            with pytest.raises(ProcedureError, match="is a secondary cluster"):
                run(chosen, tmp_path / "r", factory)
        else:
            for _ in range(2):
                assert run(chosen, tmp_path / "r", factory) == DONE
    assert rotations == ([] if source else [secret["ARN"]])


# -- what the procedures need --------------------------------------------------------------------


def test_each_secret_needs_its_own_regions_services_only(value: str) -> None:
    """And nothing of a global service."""
    since = "2026-01-31T14:05:00Z"
    assert of_partner(value).depends_on == {A, B}
    assert procedure("machine-client", "--value", value).depends_on == {A}
    assert procedure("master", "--since", since).depends_on == {A}
    assert procedure("master", "--since", since, primaryRegion=B).depends_on == {B}


def test_commands_of_the_runbook_are_accepted() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    found = re.findall(r"^ *python -m operations\.rotate (.+)$", text, flags=re.MULTILINE)
    kinds = [rotate.arguments_parser().parse_args(shlex.split(line, comments=True)).kind for line in found]
    assert set(kinds) == set(rotate.KINDS)
