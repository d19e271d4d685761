"""Previews as the real engine prints them, of a program that is small enough to read here.

Others are of settings of the fixture stack `small`. Run `python -m tests.report.recordings` to record all of
them again, for example after an update of the engine; it takes about five minutes.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from report import preview
from report.preview import Preview
from tests.engine.project import Project

FOLDER = Path(__file__).with_name("recordings")

_HEAD = """
import json, pulumi, pulumi_aws as aws, pulumi_random as random
tags = {"owner": "team", "cost-center": "1", "environment": "dev"}
provider = aws.Provider("ireland", region="eu-west-1", default_tags={"tags": tags})
opts = pulumi.ResourceOptions(provider=provider)
kept = pulumi.ResourceOptions(provider=provider, protect=True)

def policy(*actions, **more):
    statement = {"Sid": "Objects", "Effect": "Allow", "Action": list(actions), "Resource": "arn:aws:s3:::a/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **more}]})

trust = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
role = aws.iam.Role("role", assume_role_policy=trust, opts=opts)
vpc = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16", opts=opts)
"""

BEFORE = f"""{_HEAD}
key = aws.kms.Key("key", enable_key_rotation=True, description="first", opts=kept)
group = aws.ec2.SecurityGroup("group", vpc_id=vpc.id, opts=opts)
aws.vpc.SecurityGroupIngressRule("office", security_group_id=group.id, ip_protocol="tcp", from_port=443,
    to_port=443, cidr_ipv4="203.0.113.0/24", opts=opts)
aws.iam.RolePolicy("objects", role=role.name, policy=policy("s3:GetObject"), opts=opts)
table = aws.dynamodb.Table("table", attributes=[dict(name="id", type="S")], hash_key="id",
    billing_mode="PAY_PER_REQUEST", deletion_protection_enabled=True, opts=opts)
secret = aws.secretsmanager.Secret("secret", kms_key_id=key.arn, opts=opts)
aws.secretsmanager.SecretVersion("value", secret_id=secret.id,
    secret_string=pulumi.Output.secret("first"), opts=opts)
topic = aws.sns.Topic("topic", opts=opts)
for name in ("errors", "latency"):
    aws.cloudwatch.MetricAlarm(name, namespace="AWS/Lambda", metric_name="Errors", statistic="Sum", period=60,
        evaluation_periods=1, threshold=1, comparison_operator="GreaterThanThreshold",
        alarm_actions=[topic.arn], dimensions={{"TableName": table.name}}, opts=opts)
aws.cloudwatch.LogGroup("logs", retention_in_days=30, opts=opts)
"""

AFTER = f"""{_HEAD}
key = aws.kms.Key("key", enable_key_rotation=True, description="second", opts=opts)
group = aws.ec2.SecurityGroup("group", vpc_id=vpc.id, opts=opts)
aws.vpc.SecurityGroupIngressRule("office", security_group_id=group.id, ip_protocol="tcp", from_port=443,
    to_port=443, cidr_ipv4="0.0.0.0/0", opts=opts)
aws.iam.RolePolicy("objects", role=role.name, policy=policy("s3:GetObject", "s3:PutObject"), opts=opts)
table = aws.dynamodb.Table("table", attributes=[dict(name="key", type="S")], hash_key="key",
    billing_mode="PAY_PER_REQUEST", deletion_protection_enabled=False, opts=opts)
secret = aws.secretsmanager.Secret("secret", kms_key_id=key.arn, opts=opts)
aws.secretsmanager.SecretVersion("value", secret_id=secret.id,
    secret_string=pulumi.Output.secret("second"), opts=opts)
topic = aws.sns.Topic("topic", opts=opts)
aws.cloudwatch.MetricAlarm("errors", namespace="AWS/Lambda", metric_name="Errors", statistic="Sum", period=60,
    evaluation_periods=1, threshold=1, comparison_operator="GreaterThanThreshold",
    alarm_actions=[topic.arn], dimensions={{"TableName": table.name}}, opts=opts)
aws.cloudwatch.LogGroup("logs", retention_in_days=7, opts=opts)
aws.cloudwatch.LogGroup("more-logs", retention_in_days=7, opts=opts)
"""

BROKEN = "raise ValueError('there is no such region')"


def text(name: str) -> str:
    """A recorded document."""
    return (FOLDER / f"{name}.json").read_text()


def events(name: str) -> str:
    """The recorded events of a preview, as far as the report reads them."""
    return (FOLDER / f"{name}.events").read_text()


def recorded(name: str, policies: bool = False) -> Preview:
    """A recorded preview."""
    return preview.read(text(name), events(name) if policies else "")


def trimmed(document: Mapping[str, Any], sames: bool = False) -> dict[str, Any]:
    """A document without what the report doesn't read: positions in the program, and most outputs."""
    steps = [step for step in document.get("steps", []) if sames or not _is_unchanged(step)]
    return {**document, "duration": 1, "steps": [_trimmed_step(step) for step in steps]}


def _is_unchanged(step: Mapping[str, Any]) -> bool:
    nothing: Mapping[str, Any] = {}
    old, new = step.get("oldState", nothing), step.get("newState", nothing)
    return step["op"] == "same" and old.get("protect") == new.get("protect")


_UNREAD = ("stackTrace", "sourcePosition", "created", "modified", "dependencies")


def _trimmed_step(step: Mapping[str, Any]) -> dict[str, Any]:
    detail: Mapping[str, Any] = step.get("detailedDiff") or {}
    shown = {path.split(".")[0].split("[")[0] for path in detail}
    trimmed = dict(step)
    for side in ("oldState", "newState"):
        if state := step.get(side):
            outputs = {key: value for key, value in state.get("outputs", {}).items() if key in shown}
            kept = {key: value for key, value in state.items() if key not in _UNREAD}
            trimmed[side] = {**kept, "outputs": outputs}
    return trimmed


def policy_events(log: str) -> str:
    """The findings of the policy pack in a file of events."""
    return "".join(f"{line}\n" for line in log.splitlines() if json.loads(line).get("policyEvent"))


def _values(config: dict[str, Any]) -> None:
    config["trading:cluster"]["publicAccessCidrs"] = ["203.0.0.0/16"]
    config["trading:monitoring"]["logRetentionDays"] = 3
    config["trading:cache"]["nodeType"] = "cache.t4g.medium"
    config["trading:services"]["orders"]["cpu"] = "200m"


def _network(config: dict[str, Any]) -> None:
    config["trading:regions"][0]["cidr"] = "10.48.0.0/16"


def _tags(config: dict[str, Any]) -> None:
    config["trading:tags"]["team"] = "payments"


SETTINGS = {"small-values": _values, "small-network": _network, "small-tags": _tags}
"""Name of a recording → the change of the fixture stack `small`."""

_PARTS = {
    "small-network": "ec2/vpc:|ec2/subnet:|EventStreaming|InternalLoadBalancer",
    "small-tags": "pulumi:providers:|ALB|trading:tier:Web",
}
"""Name of a recording → the resources that are kept of it. The counts are those of the kept ones."""


def part(document: Mapping[str, Any], pattern: str) -> dict[str, Any]:
    """A document with some of its steps."""
    steps = [step for step in document["steps"] if re.search(pattern, step["urn"])]
    summary = {**Counter(step["op"] for step in steps), "same": document["changeSummary"].get("same", 0)}
    return {**document, "steps": steps, "changeSummary": summary}


class Recorder(Project):
    """Runs the real engine on the program."""

    @classmethod
    def start(cls, directory: Path) -> Recorder:
        """Deploys the program before the change."""
        project = cls.of_program(directory, BEFORE, "policy")
        project.change("local", lambda values: values.update({"trading:protect": False}))
        project.sandbox_command("up", "--stack", "local", "--no-policies")
        return project

    def document(self, program: str, *options: str) -> dict[str, Any]:
        """What the engine prints about a change of the program."""
        (self.folder / "__main__.py").write_text(program)
        printed = self.pulumi("preview", "--stack", "local", "--json", *options, expect=None)
        return json.loads(printed[printed.index("{\n") :])


def _record_settings(directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    project = Project.make(directory)
    project.sandbox_command("up", "--stack", "small", "--no-policies")
    stack_file = project.folder / "Pulumi.small.yaml"
    committed = stack_file.read_text()
    for name, edit in SETTINGS.items():
        project.change("small", edit)
        printed = project.pulumi("preview", "--stack", "small", "--json")
        yield name, json.loads(printed[printed.index("{\n") :])
        stack_file.write_text(committed)


def main() -> None:
    """Records all previews again."""
    os.environ["PULUMI_DEBUG_COMMANDS"] = "true"  # without it, there is no --event-log
    with tempfile.TemporaryDirectory() as directory:
        project = Recorder.start(Path(directory))
        log = Path(directory) / "events"
        pack = ["--policy-pack", "policy/pack", "--event-log", str(log)]
        documents = {
            "changes": project.document(AFTER, *pack),
            "replacement-steps": project.document(AFTER, "--show-replacement-steps"),
            "all": project.document(AFTER, "--show-sames"),
            "nothing": project.document(BEFORE),
            "broken": project.document(BROKEN),
        }
        (FOLDER / "changes.events").write_text(policy_events(log.read_text()))
    with tempfile.TemporaryDirectory() as settings:
        documents |= dict(_record_settings(Path(settings)))
    for name, document in documents.items():
        whole = trimmed(document, sames=name == "all")
        shown = json.dumps(part(whole, _PARTS[name]) if name in _PARTS else whole, indent=1)
        (FOLDER / f"{name}.json").write_text(shown.replace(directory, "/folder") + "\n")
        print(f"recorded {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
