"""The project `bootstrap` under the mocks, with the policies of a fixture stack."""

from __future__ import annotations

import functools
import json
import runpy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from account import prepared
from account.__main__ import as_json, generated
from sandbox import sdk_schema
from sandbox.aws.account import ALIAS, BUCKET, BUCKET_POLICY, KEY, POLICY, ROLE, Account, Values
from sandbox.aws.store import ACCOUNT, Row
from tests.account.deployed import deployed as deployed_stack
from tests.policy.states import fixture_state
from tests.unit.harness import ROOT, Graph, config_of, deploy, encoded

PROJECT = ROOT / "bootstrap"
STACK = PROJECT / "Pulumi.account.yaml"
REGION = "us-east-1"
KEY_ID = "11111111-2222-4333-8444-555555555555"
"""Id of a key that somebody made by hand."""
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
INLINE = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"


def existing(token: str, identifier: str, arn: str, inputs: Values, **more: Any) -> Row:
    """A resource that somebody has made."""
    outputs: Values = {**inputs, "tagsAll": {}, "id": identifier, "arn": arn, **more}
    region = REGION if "region" in sdk_schema.schema(token).outputs else ""
    return Row(token, region, identifier, "", arn, f"somebody::{identifier}", inputs, outputs)


def bucket(name: str, **more: Any) -> Row:
    """A bucket."""
    return existing(BUCKET, name, f"arn:aws:s3:::{name}", {"bucket": name}, **more)


def key(alias: str, identifier: str = KEY_ID, **more: Any) -> tuple[Row, Row]:
    """A key that isn't rotated, and its alias."""
    arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{identifier}"
    inputs = {"description": "made by hand", "enableKeyRotation": False}
    return (
        existing(KEY, identifier, arn, inputs, keyId=identifier, **more),
        existing(
            ALIAS,
            alias,
            f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias}",
            {"name": alias, "targetKeyId": identifier},
            targetKeyArn=arn,
        ),
    )


def role(name: str, path: str = "/") -> Row:
    """A role that EC2 may assume."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    return existing(
        ROLE,
        name,
        f"arn:aws:iam::{ACCOUNT}:role{path}{name}",
        {"name": name, "assumeRolePolicy": json.dumps({"Statement": [trust]}), "description": "made by hand"},
        path=path,
    )


def policy(name: str) -> Row:
    """A policy that allows nothing."""
    arn = prepared.policy_arn(ACCOUNT, name)
    document = json.dumps({"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    return existing(
        POLICY, arn, arn, {"name": name, "description": "made by hand", "policy": document}, path="/"
    )


def own() -> list[Row]:
    """One resource of each kind that has one of the project's own names, and what belongs to it. All differ
    from what the program says."""
    name = prepared.state_bucket(ACCOUNT, REGION)
    deploy = prepared.role_name("deploy", "dev")
    first = policy(f"{deploy}-1")
    nothing = json.dumps({"Statement": []})
    return [
        bucket(name),
        existing(VERSIONING, name, "", {"bucket": name, "versioningConfiguration": {"status": "Suspended"}}),
        existing(BUCKET_POLICY, name, "", {"bucket": name, "policy": nothing}),
        bucket(f"{name}-logs"),
        *key(prepared.secrets_alias("dev")),
        role(deploy),
        existing(INLINE, f"{deploy}:state", "", {"name": "state", "role": deploy, "policy": nothing}),
        policy(prepared.WORKLOADS),
        first,
        existing(ATTACHMENT, f"{deploy}/{first.arn}", "", {"role": deploy, "policyArn": first.arn}),
    ]


@functools.cache
def policies(stack: str = "full") -> str:
    """The file of a stack's roles, as `make deployer-policy` writes it."""
    return json.dumps(as_json(generated(deployed_stack(stack, fixture_state(stack)))))


@functools.cache
def graph() -> Graph:
    """The graph of the real program with its stack file, in an empty account."""
    return deployed({})


def deployed(values: Mapping[str, Any], account: Account | None = None) -> Graph:
    """The graph with other values of some keys, in an account in which something exists.

    Every stack gets the policies of the fixture stack with most resources.
    """
    found = {**config_of(STACK), **values}
    with tempfile.TemporaryDirectory() as folder:
        for stack in found["trading:stacks"]:
            Path(folder, f"{stack}.json").write_text(policies())
        with mock.patch("bootstrap.config.DEPLOYER", Path(folder)):
            return deploy(
                lambda: runpy.run_path(str(PROJECT / "__main__.py")),
                config=encoded(found),
                stack="account",
                check_references=True,
                account=account or Account(),
            )
