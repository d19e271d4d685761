"""The way from nothing to a deployed platform, as docs/deployment.md describes it, in the sandbox.

The test runs the commands of the document. `SUBSTITUTES` and `engine` list what the sandbox needs instead.
The bucket and the keys are moto's, and the engine's own backend and secrets provider use them.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from account import prepared
from account.question import no_clients
from account.verify import questions as verify
from sandbox.aws.account import (
    ALIAS,
    BUCKET,
    BUCKET_POLICY,
    IDENTITY_PROVIDER,
    KEY,
    POLICY,
    ROLE,
    SERVICE_LINKED_ROLE,
)
from sandbox.aws.store import ACCOUNT, Row, Store
from sandbox.folder import DIRECTORY_VARIABLE
from sandbox.tools import tool
from tests.account.bootstrap import ATTACHMENT, INLINE, KEY_ID, REGION, VERSIONING, existing, key, own
from tests.account.deployed import deployed
from tests.engine.aws_endpoint import served
from tests.engine.project import CHEAPER, Project
from tests.functions.records import MOTO
from tests.unit.harness import ROOT

BOTO: Any = boto3
STATES = prepared.state_bucket(ACCOUNT, REGION)

SUBSTITUTES = {
    # Installed already, and the tests' interpreter is the one of the virtual environment.
    r"make install && \. \.venv/bin/activate": ":",
    # make would look for the virtual environment in the copy of the project.
    r"make deployer-policy STACK=(\w+) OUT=(\S+)": r"python -m account policy --stack \1 --out \2",
    # moto lacks much of what the preflight asks. The test reads what it found.
    r"make preflight STACK=(\w+)": (
        r"python -m account preflight --stack \1 --json > preflight.json || [ $? -ne 2 ]"
    ),
    # Nothing runs in the sandbox's cluster, and moto has none of the stack's resources.
    r"make verify STACK=(\w+)": (r"python -m account verify --stack \1 --json > verify.json || [ $? -ne 2 ]"),
    # Nobody can answer the engine's question.
    r"pulumi up ": "pulumi up --yes ",
    # Otherwise, the engine would use the home of the tests' user, whatever HOME is.
    r"pulumi login --local": 'pulumi login "file://$HOME"',
    # Path-style addresses at moto's address.
    r'pulumi login "\$state"': 'pulumi login "$state&endpoint=$AWS_ENDPOINT_URL&s3ForcePathStyle=true"',
}


def commands() -> str:
    """The commands of the section, with the substitutes."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    (section,) = re.findall(r"^## From nothing.*?(?=^## )", page, re.MULTILINE | re.DOTALL)
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    for pattern, substitute in SUBSTITUTES.items():
        text, count = re.subn(pattern, substitute, text)
        assert count, f"the document has no command {pattern} any more"
    return text


def planted() -> list[Row]:
    """What exists in the account before: what others use, and what has the project's own names."""
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{prepared.ISSUER}"
    path = "/aws-service-role/spot.amazonaws.com/"
    role = f"arn:aws:iam::{ACCOUNT}:role{path}AWSServiceRoleForEC2Spot"
    audiences = {"url": f"https://{prepared.ISSUER}", "clientIdLists": ["https://github.com/example"]}
    spot = {"awsServiceName": "spot.amazonaws.com", "description": "EC2's own"}
    return [
        existing(IDENTITY_PROVIDER, provider, provider, audiences),
        existing(SERVICE_LINKED_ROLE, role, role, spot, path=path),
        *own(),
    ]


@dataclass(frozen=True)
class Walk:
    """What is there after the commands."""

    output: str
    project: Path
    rows: list[Row]
    requests: list[str]
    objects: list[str]

    def of(self, token: str) -> list[Row]:
        return [row for row in self.rows if row.type == token]


def project(folder: Path) -> Path:
    """What a clone has: copies of the files in git, and no folders but theirs."""
    copy = folder / "project"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def engine(folder: Path) -> Path:
    """A folder with the engine itself. The sandbox's command `pulumi` would keep the stack files as they
    are."""
    found = folder / "engine"
    found.mkdir()
    (found / "pulumi").symlink_to(tool("pulumi"))
    (found / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (found / "python").chmod(0o755)
    return found


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("from-nothing")
    copy, sandbox = project(folder), folder / "sandbox"
    environment = {**os.environ, **MOTO, **CHEAPER, DIRECTORY_VARIABLE: str(sandbox), "HOME": str(folder)}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "AWS_REGION": REGION}
    run = [sys.executable, "-m", "sandbox", "--project", str(copy)]
    with served() as (address, requests):
        s3, kms = (BOTO.client(name, region_name=REGION) for name in ("s3", "kms"))
        s3.create_bucket(Bucket=STATES)
        for stack in (prepared.ACCOUNT_SECRETS, "dev"):
            key = kms.create_key()["KeyMetadata"]["KeyId"]
            kms.create_alias(AliasName=prepared.secrets_alias(stack), TargetKeyId=key)
        subprocess.run([*run, "status"], cwd=ROOT, env=environment, check=True, capture_output=True)
        subprocess.run([*run, "exec", "--", "true"], cwd=ROOT, env=environment, check=True)
        store = Store(sandbox)
        for row in planted():
            store.put(row)
        store.close()
        script = folder / "commands.sh"
        script.write_text(
            f'set -ex\nPATH="{engine(folder)}:$PATH"\nunset PULUMI_BACKEND_URL\ncd "{copy}"\n{commands()}'
        )
        done = subprocess.run(
            [*run, "exec", "--", "bash", str(script)],
            cwd=ROOT,
            env={**environment, "AWS_ENDPOINT_URL": address},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-12000:]
        objects = [item["Key"] for item in s3.list_objects_v2(Bucket=STATES)["Contents"]]
        store = Store(sandbox)
        yield Walk(done.stdout, copy, store.all(), requests, objects)
        store.close()


def test_states_of_both_stacks_are_in_the_bucket(walk: Walk) -> None:
    assert ".pulumi/stacks/trading-bootstrap/account.json" in walk.objects
    assert ".pulumi/stacks/trading/dev.json" in walk.objects
    assert [row.outputs["bucket"] for row in walk.of(BUCKET) if row.name == "state"] == [STATES]
    aliases = {row.outputs["name"] for row in walk.of(ALIAS)}
    assert {prepared.secrets_alias("account"), prepared.secrets_alias("dev")} <= aliases


def test_stack_files_name_the_keys_of_the_stacks(walk: Walk) -> None:
    for stack, path in (("account", "bootstrap/Pulumi.account.yaml"), ("dev", "Pulumi.dev.yaml")):
        document = yaml.safe_load((walk.project / path).read_text())
        assert document["secretsprovider"] == prepared.secrets_provider(stack, REGION)
        assert document["encryptedkey"]


def test_what_existed_is_taken_over_and_keeps_what_others_use(walk: Walk) -> None:
    (provider,) = walk.of(IDENTITY_PROVIDER)
    assert provider.outputs["clientIdLists"] == ["https://github.com/example", "sts.amazonaws.com"]
    roles = [
        row for row in walk.of(SERVICE_LINKED_ROLE) if row.outputs["awsServiceName"] == "spot.amazonaws.com"
    ]
    assert [row.outputs["description"] for row in roles] == ["EC2's own"]


def test_what_has_the_projects_own_names_is_taken_over_and_updated(walk: Walk) -> None:
    """Nothing is replaced: of each, there is one with the id that it had, and with what the program says."""
    after = {row.key: row for row in walk.rows}
    for before in own():
        assert before.key in after, f"{before.id} was deleted"
        row = after[before.key]
        assert row.urn.startswith("urn:pulumi:account::trading-bootstrap::"), before.id
        assert [other.id for other in walk.of(row.type) if other.urn == row.urn] == [row.id]
        assert row.outputs != before.outputs or row.type == ATTACHMENT
    outputs = {row.type: after[row.key].outputs for row in own()}
    assert outputs[VERSIONING]["versioningConfiguration"]["status"] == "Enabled"
    assert "aws:SecureTransport" in outputs[BUCKET_POLICY]["policy"]
    assert outputs[BUCKET]["tagsAll"]["platform"] == "trading-account"
    assert outputs[KEY]["enableKeyRotation"] is True
    assert outputs[KEY]["description"] == "Encrypts the secrets in the state of the stack dev"
    assert outputs[ALIAS]["targetKeyId"] == KEY_ID
    assert "sts:AssumeRoleWithWebIdentity" in outputs[ROLE]["assumeRolePolicy"]
    assert "s3:PutObject" in outputs[INLINE]["policy"]
    # IAM can't change the description, so another one would replace the policy.
    assert outputs[POLICY]["description"] == "made by hand"
    assert '"Allow"' in outputs[POLICY]["policy"]


def test_moved_state_is_complete(walk: Walk) -> None:
    """The document's own preview would fail otherwise."""
    assert "--expect-no-changes" in commands()
    assert re.search(r"\d+ unchanged", walk.output)


def test_engine_stays_within_what_the_deploy_role_may_do_in_the_bucket(walk: Walk) -> None:
    """The paths of `bootstrap.pipelines`, against what the engine's own backend asked for."""
    allowed = {
        "GET": r"meta\.yaml|(stacks|history|backups)/trading/dev[./].*|locks/organization/trading/dev/.*",
        "PUT": r"(stacks|history|backups)/trading/dev[./].*|locks/organization/trading/dev/.*",
    }
    allowed |= {"HEAD": allowed["GET"], "DELETE": allowed["PUT"]}
    start = max(index for index, text in enumerate(walk.requests) if "trading-bootstrap/account" in text)
    prefix = f"/{STATES}/.pulumi/"
    beyond = [
        text
        for text in walk.requests[start + 1 :]
        for service, method, path in [text.split(" ", 2)]
        if service == "s3" and path.startswith(prefix)
        if not re.fullmatch(allowed.get(method, ""), path.removeprefix(prefix))
    ]
    assert beyond == []


def test_preflight_finds_what_the_commands_prepared(walk: Walk) -> None:
    found = {item["check"]: item for item in json.loads((walk.project / "preflight.json").read_text())}
    assert found["secrets-provider"]["status"] == "pass"
    assert found["state-key"]["status"] == "pass"


def test_deployed_stack_is_asked_in_its_cluster_and_by_a_second_preview(walk: Walk) -> None:
    found = {item["check"]: item for item in json.loads((walk.project / "verify.json").read_text())}
    assert found["second-preview"] == {
        "check": "second-preview",
        "status": "pass",
        "found": "a second preview is empty",
        "remedy": "",
    }
    asked = {
        "nodes": ("fail", "the cluster has no nodes"),
        "deployments": (
            "fail",
            r"trading/accounts has 0 of \d+ replicas; .*trading/orders has 0 of \d+ replicas.*",
        ),
        "pod-zones": ("fail", r"trading/accounts is ready in 0 of \d zones; .*"),
        "pod-identities": ("unknown", "no pod with a Pod Identity association runs"),
        "scaled-objects": ("fail", "KEDA can't scale trading/.*"),
        "network-policies": ("fail", ".*nothing enforces .*trading/default-deny.*"),
        "closed-ports": ("unknown", "no pod of trading is ready"),
    }
    of_cluster = {
        item.check.partition(" ")[0]
        for item in verify.questions(deployed("small"), no_clients)
        if item.service == "kubernetes"
    }
    assert set(asked) == of_cluster, "each check of a cluster gets its answer from the sandbox's cluster"
    for check, (status, text) in asked.items():
        item = found[f"{check} {REGION}"]
        assert (item["status"], bool(re.search(text, item["found"]))) == (status, True), item
    # moto is asked about everything else, and has nothing of the stack.
    assert "DBClusterNotFoundFault" in found[f"database {REGION}"]["found"]
    assert [check for check, item in found.items() if item["status"] == "pass"] == ["second-preview"]
    # Nothing answers HTTP under the stack's names.
    over_http = {
        item.check for item in verify.questions(deployed("small"), no_clients) if item.service == "https"
    }
    assert {"page", "stranger", "forged-subject", f"direct {REGION}"} <= over_http
    assert {found[check]["status"] for check in over_http} == {"unknown"}
    assert len(found) > 40


BACKEND = """
import pulumi
import pulumi_aws as aws
from bootstrap.state import StateBackend, StateBackendArgs

args = StateBackendArgs(
    account="123456789012", region="us-east-1", stacks=["dev"], log_retention_days=365, versions_days=365,
    protect=True,
)
provider = aws.Provider("here", region="us-east-1")
StateBackend("state", args, pulumi.ResourceOptions(provider=provider))
"""


def test_key_of_states_outlives_an_alias_that_somebody_points_at_another_key(tmp_path: Path) -> None:
    """The engine replaces a resource whose import has another id, although it is protected."""
    backend = Project.of_program(
        tmp_path, BACKEND, "account", "bootstrap", "components", "policy", "settings"
    )
    up = ("up", "--stack", "local", "--yes", "--skip-preview")
    backend.pulumi(*up)
    store = Store(backend.sandbox)
    before = {row.id for row in store.all(KEY)}
    for row in key(prepared.secrets_alias("dev")):  # it overwrites the alias
        store.put(row)
    assert "imported replacement" in backend.pulumi(*up)
    assert {row.id for row in store.all(KEY)} == {*before, KEY_ID}
    store.close()


@functools.cache
def _page() -> str:
    return (ROOT / "docs" / "deployment.md").read_text()


def test_readme_leads_to_the_commands() -> None:
    assert "docs/deployment.md#from-nothing-to-pulumi-up---stack-dev" in (ROOT / "README.md").read_text()
