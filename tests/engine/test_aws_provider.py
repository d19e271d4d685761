"""The AWS stand-in under the real engine: bad input, drift, replacement, deletion, secrets and crashes."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.project import DIRECTORY_VARIABLE
from tests.engine import session
from tests.engine.project import ROOT, Project

HEAD = """
import json, pulumi, pulumi_aws as aws
opts = pulumi.ResourceOptions(provider=aws.Provider("ireland", region="eu-west-1"))
def raw(token, name, **inputs):
    "Registers without the SDK's own checks."
    class Raw(pulumi.CustomResource):
        def __init__(self):
            super().__init__(token, name, inputs, opts)
    return Raw()
"""


PREVIEW = "pulumi preview --stack local --non-interactive"


class Account(Project):
    """A project with the test's own program."""

    def write(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(HEAD + program)

    def up(self, program: str, *options: str, expect: int = 0) -> str:
        self.write(program)
        return self.pulumi("up", "--stack", "local", "--yes", "--skip-preview", *options, expect=expect)

    def operations(self, program: str) -> dict[str, str]:
        self.write(program)
        return self.preview("local")

    def started(self, *arguments: str) -> subprocess.Popen[bytes]:
        session.close()
        command = [sys.executable, "-m", "sandbox", "--project", str(self.folder), *arguments]
        environment = {**os.environ, DIRECTORY_VARIABLE: str(self.sandbox)}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    def count(self) -> int:
        """The number of resources in the account, which a command may be changing."""
        path = self.sandbox / "aws.sqlite"
        with contextlib.suppress(sqlite3.OperationalError):
            store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            with contextlib.closing(store):
                return store.execute("SELECT count(*) FROM resource").fetchone()[0]
        return 0

    def execute(self, statement: str, *values: str) -> None:
        """Changes the account without the engine's knowledge."""
        with sqlite3.connect(self.sandbox / "aws.sqlite") as store:
            assert store.execute(statement, values).rowcount == 1
        store.close()


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account.of_program(tmp_path)


# A program ends at the first refused registration, so each case has its own program. They run in sequence.
BAD_INPUTS = {
    'raw("aws:ec2/vpc:Vpcs", "type")': [
        "unknown resource type: aws:ec2/vpc:Vpcs; did you mean aws:ec2/vpc:Vpc?"
    ],
    'raw("aws:sqs/queuePolicy:QueuePolicy", "type", queueUrl="q", policy="{}")': [
        "aws:sqs/queuePolicy:QueuePolicy: the sandbox does not support this AWS type yet"
    ],
    'raw("aws:lb/listener:Listener", "l", port="https", defaultActions=[{"type": "x", "redirekt": 1}])': [
        "aws:lb/listener:Listener l: loadBalancerArn: is required by aws:lb/listener:Listener",
        'aws:lb/listener:Listener l: port: expected number, got string "https"',
        "aws:lb/listener:Listener l: defaultActions[0].redirekt: "
        "unknown property of ListenerDefaultAction; did you mean redirect?",
    ],
    'raw("aws:rds/cluster:Cluster", "c", engine="oracle", engineVersoin="17", masterPassword=["hunter2"])': [
        "aws:rds/cluster:Cluster c: engineVersoin: unknown property of aws:rds/cluster:Cluster; "
        "did you mean engineVersion?",
        'aws:rds/cluster:Cluster c: engine: "oracle" is not one of aurora-mysql, aurora-postgresql',
        "aws:rds/cluster:Cluster c: masterPassword: expected string, got list [secret]",
    ],
    'raw("aws:rds/cluster:Cluster", "c", engine="aurora-postgresql", backupRetentionPeriod=99)': [
        "aws:rds/cluster:Cluster c: backupRetentionPeriod: 99 is outside AWS's range of 1 to 35"
    ],
    'raw("aws:sqs/queue:Queue", "q", region="eu-west-9")': [
        "aws:sqs/queue:Queue q: region: 'eu-west-9' is not an AWS region"
    ],
}


def test_preview_names_resource_property_and_value(account: Account) -> None:
    for number, line in enumerate(BAD_INPUTS):
        (account.folder / f"case{number}.py").write_text(f"{HEAD}\n{line}\n")
    loop = f"for n in $(seq 0 {len(BAD_INPUTS) - 1}); do cp case$n.py __main__.py; echo CASE; {PREVIEW}; done"
    script = f"cd '{account.folder}'; {loop}"
    _, *outputs = account.sandbox_command("exec", "--", "sh", "-c", script, expect=1).split("CASE\n")
    for output, expected in zip(outputs, BAD_INPUTS.values(), strict=True):
        assert [text for text in expected if text not in output] == [], output
        assert "hunter2" not in output


REFUSALS = """
vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", opts=opts)
subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="10.0.0.0/24", opts=opts)
after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[subnet]))
aws.ec2.Subnet("overlaps", vpc_id=vpc.id, cidr_block="10.0.0.0/20", opts=after)
aws.ec2.Subnet("outside", vpc_id=vpc.id, cidr_block="192.168.0.0/24", opts=opts)
aws.ec2.Subnet("no-vpc", vpc_id="vpc-0123456789abcdef0", cidr_block="10.1.0.0/24", opts=opts)
aws.lambda_.Function("no-role", role="arn:aws:iam::123456789012:role/nobody", runtime="python3.13",
    handler="h.h", code=pulumi.FileArchive("."), opts=opts)
aws.iam.RolePolicy("no-name", role="nobody", policy="{}", opts=opts)
aws.cloudwatch.CompositeAlarm("watches", alarm_name="watches", alarm_rule='ALARM("nobody")', opts=opts)
aws.lb.TargetGroup("long", name="a-name-of-more-than-32-characters", port=80, protocol="HTTP",
    vpc_id=vpc.id, opts=opts)
certificate = aws.acm.Certificate("here", domain_name="trade.example.com", validation_method="DNS", opts=opts)
aws.cloudfront.Distribution("edge", enabled=True,
    origins=[{"origin_id": "o", "domain_name": "origin.example.com"}],
    default_cache_behavior={"target_origin_id": "o", "viewer_protocol_policy": "https-only",
        "allowed_methods": ["GET", "HEAD"], "cached_methods": ["GET", "HEAD"]},
    restrictions={"geo_restriction": {"restriction_type": "none"}},
    viewer_certificate={"acm_certificate_arn": certificate.arn, "ssl_support_method": "sni-only"}, opts=opts)
"""


def test_what_aws_would_refuse_is_refused_with_resource_property_and_value(account: Account) -> None:
    output = account.up(REFUSALS, "--continue-on-error", expect=1)
    for expected in (
        "aws:ec2/subnet:Subnet overlaps: cidrBlock: 10.0.0.0/20 overlaps 10.0.0.0/24 of subnet",
        "aws:ec2/subnet:Subnet outside: cidrBlock: 192.168.0.0/24 is outside vpc's 10.0.0.0/16",
        "aws:ec2/subnet:Subnet no-vpc: vpcId: vpc-0123456789abcdef0 does not exist in eu-west-1",
        "aws:lambda/function:Function no-role: role: arn:aws:iam::123456789012:role/nobody does not exist",
        'aws:iam/rolePolicy:RolePolicy no-name: role: Role "nobody" does not exist',
        "aws:cloudwatch/compositeAlarm:CompositeAlarm watches: alarmRule: "
        "alarm nobody does not exist in eu-west-1",
        "aws:lb/targetGroup:TargetGroup long: name: "
        "'a-name-of-more-than-32-characters' has 33 characters; AWS allows 32",
        "aws:cloudfront/distribution:Distribution edge: viewerCertificate.acmCertificateArn: "
        "arn:aws:acm:eu-west-1:123456789012:certificate/",
    ):
        assert expected in output
    assert "must be in us-east-1" in output


QUEUE = 'aws.sqs.Queue("orders", name="orders", visibility_timeout_seconds=30, opts=opts)\n'
KEY = 'key = aws.kms.Key("key", description="for orders", opts=opts)\n'


def test_drift_is_found_by_refresh_and_mended_by_up(account: Account) -> None:
    account.up(QUEUE + KEY)
    for column in ("inputs", "outputs"):
        path = "'$.visibilityTimeoutSeconds'"
        account.execute(
            f"UPDATE resource SET {column} = json_set({column}, {path}, 5) WHERE type LIKE '%:Queue'"
        )
    account.execute("DELETE FROM resource WHERE type LIKE '%:Key'")
    assert "~ 1 updated" in (text := account.pulumi("refresh", "--stack", "local", "--yes"))
    assert "- 1 deleted" in text
    text = account.pulumi("preview", "--stack", "local", "--diff")
    assert "~ visibilityTimeoutSeconds: 5 => 30" in text
    text = account.up(QUEUE + KEY)
    assert "~ 1 updated" in text
    assert "+ 1 created" in text
    account.pulumi("refresh", "--stack", "local", "--yes", "--expect-no-changes")


def test_schemas_decide_between_update_and_replacement(account: Account) -> None:
    program = """
vpc = aws.ec2.Vpc("vpc", cidr_block="{cidr}", opts=opts)
aws.ec2.SecurityGroup("updated", vpc_id=vpc.id, tags={{"Name": "{cidr}"}}, opts=opts)
aws.sqs.Queue("in-place", name="in-place", delay_seconds={delay}, opts=opts)
aws.sqs.Queue("replaced", name="replaced{fifo}", fifo_queue={is_fifo}, opts=opts)
aws.dynamodb.Table("table", name="t", hash_key="{key}", attributes=[{{"name": "{key}", "type": "S"}}],
    billing_mode="PAY_PER_REQUEST", ttl={{"attribute_name": "expires", "enabled": True}}, opts=opts)
aws.dynamodb.Table("grows", name="g", hash_key="id", attributes=[{{"name": "id", "type": "S"}}],
    billing_mode="PROVISIONED", read_capacity={delay}, write_capacity=1, opts=opts)
"""
    account.up(program.format(cidr="10.0.0.0/16", delay=1, fifo="", is_fifo=False, key="id"))
    operations = account.operations(
        program.format(cidr="10.1.0.0/16", delay=2, fifo=".fifo", is_fifo=True, key="order")
    )
    assert operations == {
        "vpc": "replace",
        "updated": "replace",  # it is in another VPC
        "in-place": "update",
        "replaced": "replace",
        "table": "replace",
        "grows": "update",
    }
    output = account.pulumi("up", "--stack", "local", "--yes", "--skip-preview")
    assert "~ 2 updated" in output
    assert "+-4 replaced" in output


def test_what_is_in_use_is_not_deleted(account: Account) -> None:
    role = 'role = aws.iam.Role("role", name="orders", assume_role_policy="{}", opts=opts)\n'
    after = "after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role]))\n"
    policy = 'aws.iam.RolePolicy("policy", role="orders", policy="{}", opts=%s)\n'
    account.up(role + after + policy % "after")
    output = account.up(policy % "opts", expect=1)
    assert (
        "aws:iam/role:Role role: DependencyViolation: "
        "orders is still used by aws:iam/rolePolicy:RolePolicy policy" in output
    )


def test_secrets_are_not_in_the_state_in_plain_text(account: Account) -> None:
    account.up(
        """
secret = aws.secretsmanager.Secret("secret", opts=opts)
aws.secretsmanager.SecretVersion("version", secret_id=secret.id, secret_string="hunter2", opts=opts)
role = aws.iam.Role("role", assume_role_policy="{}", opts=opts)
aws.lambda_.Function("function", role=role.arn, runtime="python3.13", handler="h.h",
    code=pulumi.FileArchive("."), opts=opts,
    environment={"variables": {"plain": "seen", "key": pulumi.Output.secret("hunter3")}})
aurora = {"engine": "aurora-postgresql", "master_username": "admin1", "skip_final_snapshot": True}
aws.rds.Cluster("cluster", master_password="hunter4", opts=opts, **aurora)
aws.rds.Cluster("write-only", master_password_wo="hunter5", master_password_wo_version=1, opts=opts, **aurora)
"""
    )
    exported = account.pulumi("stack", "export", "--stack", "local")
    assert "hunter" not in exported
    assert "ciphertext" in exported


def test_killed_run_goes_on(account: Account) -> None:
    queues = 'for n in range(150): aws.sqs.Queue(f"queue-{n}", name=f"queue-{n}", opts=opts)\n'
    account.write(queues)
    process = account.started("up", "--stack", "local", "--no-policies")
    deadline = time.monotonic() + 60
    while process.poll() is None and not account.count():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < account.count() < 150

    # The engine doesn't know them, so they are taken back.
    assert "the last command was killed, so what it did is taken back" in account.sandbox_command(
        "preview", "--stack", "local", "--no-policies"
    )
    assert account.count() == 0
    account.sandbox_command("up", "--stack", "local", "--no-policies")
    assert account.status()["aws"] == {"sqs": 150}
    assert account.preview("local") == {}
    account.sandbox_command("down", "--stack", "local")
    assert account.status()["aws"] == {}
