"""The policy pack under the real engine, on a program that is small enough to read here."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.engine.project import ROOT, Project

PROGRAM = """
import json, pulumi, pulumi_aws as aws
tags = {"owner": "team", "cost-center": "1", "environment": "dev"}
provider = aws.Provider("ireland", region="eu-west-1", default_tags={"tags": tags})
opts = pulumi.ResourceOptions(provider=provider)
kept = pulumi.ResourceOptions(provider=provider, protect=True)

def bucket(name, key_id=None, parent=None):
    below = pulumi.ResourceOptions(provider=provider, protect=True, parent=parent)
    bucket = aws.s3.Bucket(name, opts=below)
    where = [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")]
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": where, "Condition": plain}
    policy = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [deny]})
    by_key = {"sse_algorithm": "aws:kms", "kms_master_key_id": key_id}
    rule = {"apply_server_side_encryption_by_default": by_key if key_id else {"sse_algorithm": "AES256"}}
    end = {"id": "end", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": 9}}
    rest = pulumi.ResourceOptions(provider=provider, parent=parent)
    on = {"status": "Enabled"}
    aws.s3.BucketPolicy(name, bucket=bucket.id, policy=policy, opts=rest)
    aws.s3.BucketServerSideEncryptionConfiguration(name, bucket=bucket.id, rules=[rule], opts=rest)
    aws.s3.BucketLifecycleConfiguration(name, bucket=bucket.id, rules=[end], opts=rest)
    aws.s3.BucketVersioning(name, bucket=bucket.id, versioning_configuration=on, opts=rest)
    aws.s3.BucketOwnershipControls(
        name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=rest
    )
    block = dict.fromkeys(
        ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"), True
    )
    aws.s3.BucketPublicAccessBlock(name, bucket=bucket.id, **block, opts=rest)

class Foundation(pulumi.ComponentResource):
    "The component whose bucket of logs policy/exceptions.yaml names."
    def __init__(self):
        super().__init__("trading:tier:Foundation", "foundation")

class Raw(pulumi.CustomResource):
    "Registers without the SDK, which would make secrets of some inputs."
    def __init__(self, token, name, **inputs):
        super().__init__(token, name, inputs, opts)
"""
VERSION = """
key = aws.kms.Key("key", enable_key_rotation=True, opts=kept)
secret = aws.secretsmanager.Secret("s", kms_key_id=key.arn, opts=kept)
Raw("aws:secretsmanager/secretVersion:SecretVersion", "v", secretId=secret.id, secretString=VALUE)
"""


class Checked(Project):
    """A project whose program the rules check."""

    def up(self, program: str, expect: int = 0) -> str:
        return self._run("up", program, expect)

    def preview_of(self, program: str, expect: int = 0) -> str:
        return self._run("preview", program, expect)

    def _run(self, command: str, program: str, expect: int) -> str:
        (self.folder / "__main__.py").write_text(PROGRAM + program)
        return self.sandbox_command(command, "--stack", "local", expect=expect)

    def buckets(self) -> int:
        return self.status()["aws"].get("s3", 0)


@pytest.fixture
def project(tmp_path: Path) -> Checked:
    return Checked.of_program(tmp_path, "", "policy")


def test_resource_against_a_rule_is_never_created(project: Checked) -> None:
    output = project.up('aws.s3.Bucket("archive", opts=opts)', expect=1)
    assert "stateful-resource-is-protected" in output
    assert "archive: is not protected: set protect=True" in output
    assert project.buckets() == 0
    project.sandbox_command("up", "--stack", "local", "--no-policies")
    assert project.buckets() == 1


@pytest.mark.parametrize(
    ("settings", "is_production"),
    [
        ("'trading:protect': true, 'trading:environment': dev", True),
        ("'trading:protect': false", True),  # the resources have the tag dev, but no setting says so
        ("'trading:protect': false, 'trading:environment': ' PROD '", True),
        ("'trading:protect': 'no', 'trading:environment': dev", True),
        ("'trading:protect': false, 'trading:environment': dev", False),
    ],
)
def test_rules_of_production_hold_by_the_settings(
    project: Checked, settings: str, is_production: bool
) -> None:
    unprotected = 'aws.kms.Key("key", enable_key_rotation=True, opts=opts)'
    (project.folder / "Pulumi.local.yaml").write_text(f"config: {{{settings}}}")
    output = project.preview_of(unprotected, expect=is_production)
    assert ("key: is not protected: set protect=True" in output) == is_production


def test_provider_must_have_the_tag_of_the_settings(project: Checked) -> None:
    (project.folder / "Pulumi.local.yaml").write_text("config: {'trading:environment': test}")
    output = project.preview_of("", expect=1)
    assert "the tag environment in defaultTags is dev, but the stack's settings say test" in output


def test_what_breaks_a_rule_of_several_resources_is_never_created(project: Checked) -> None:
    alone = 'aws.s3.Bucket("archive", opts=kept)'
    output = project.up(alone, expect=1)
    assert "bucket-is-encrypted [S3.17]" in output
    assert project.buckets() == 0
    project.sandbox_command("up", "--stack", "local", "--no-policies")
    assert project.buckets() == 1


def test_companion_is_refused_when_its_value_becomes_known(project: Checked) -> None:
    """The preview knows neither the key nor what depends on it, so the rule waits for the deployment."""
    managed = 'key = aws.kms.Key("key", enable_key_rotation=True, opts=kept)\n'
    managed += 'bucket("archive", key.arn.apply(lambda arn: "alias/aws/s3"))'
    output = project.up(managed, expect=1)
    assert "Previewing update" in output
    assert "bucket-encryption-uses-our-key [S3.17]" in output.split("Updating (local)")[1]
    assert not [it for it in project.resources("local") if "ServerSideEncryption" in it["type"]]


def test_data_that_was_not_previewed_is_never_created(project: Checked) -> None:
    """The stack rules would see such a bucket only at the end of the deployment, when it exists."""
    hidden = 'if not pulumi.runtime.is_dry_run():\n    aws.s3.Bucket("archive", opts=kept)'
    output = project.up(hidden, expect=1)
    assert "archive holds data and was not in the preview of this deployment" in output
    assert project.buckets() == 0


def test_companions_are_found_at_preview(project: Checked) -> None:
    """For resources that do not exist yet, ids are unknown, so companions are found by their references.

    Only the one with a wrong value is refused; the bucket has all that it needs.
    """
    output = project.preview_of('bucket("archive")', expect=1)
    assert "bucket-encryption-uses-our-key [S3.17]" in output
    assert "archive: a rule does not use the region's key: set kmsMasterKeyId" in output
    assert output.count("[mandatory]") == 1


def test_what_keeps_the_rules_or_is_excepted_passes(project: Checked) -> None:
    output = project.up(
        'key = aws.kms.Key("key", enable_key_rotation=True, opts=kept)\n'
        'bucket("archive", key.arn)\n'
        'bucket("foundation-eu-west-1-logs", parent=Foundation())  # policy/exceptions.yaml names it\n'
    )
    assert "[mandatory]" not in output
    assert re.search(r"Rules: \d+ checked the \d+ resources of the deployment: 0 problems, [1-9]", output)
    assert project.buckets() == 14


def test_name_alone_is_no_exception(project: Checked) -> None:
    output = project.preview_of('bucket("foundation-eu-west-1-logs")', expect=1)
    assert "[S3.17]" in output


@pytest.mark.parametrize(
    "configuration",
    [
        {"all": "disabled"},
        {"all": "advisory"},
        {"resource-rules": "advisory"},
        {"stack-rules": {"enforcementLevel": "disabled"}},
        {"all": "mandatory", "stack-rules": "advisory"},
    ],
)
def test_configuration_of_the_pack_does_not_weaken_it(project: Checked, configuration: object) -> None:
    (project.folder / "__main__.py").write_text(PROGRAM + 'aws.s3.Bucket("archive", opts=opts)')
    path = project.folder / "off.json"
    path.write_text(json.dumps(configuration))
    pack = ["--policy-pack", str(project.folder / "policy/pack"), "--policy-pack-config", str(path)]
    output = project.pulumi("up", "--stack", "local", "--yes", "--skip-preview", *pack, expect=1)
    assert "the pack's configuration changes the enforcement level of" in output
    assert project.buckets() == 0


def test_pack_says_what_it_did_without_our_commands_too(project: Checked) -> None:
    (project.folder / "__main__.py").write_text(PROGRAM)
    pack = ["--policy-pack", str(project.folder / "policy/pack")]
    output = project.pulumi("preview", "--stack", "local", *pack)
    assert re.search(r"Rules: \d+ checked the [1-9]\d* resources of the preview: 0 problems", output)


def test_exception_that_has_ended_fails_what_is_right(project: Checked) -> None:
    """The settings are here for the pack; without the settings' command, no stack file is checked."""
    (project.folder / "policy").unlink()
    shutil.copytree(ROOT / "policy", project.folder / "policy")
    shutil.copytree(
        ROOT / "settings", project.folder / "settings", ignore=shutil.ignore_patterns("__main__.py")
    )
    entries = project.folder / "policy" / "exceptions.yaml"
    entries.write_text(re.sub(r"expires: \S+", "expires: 2020-01-31", entries.read_text(), count=1))
    output = project.preview_of("", expect=1)
    assert "exceptions.yaml: exceptions[0]" in output
    assert "expired on 2020-01-31: trading-platform must fix the resources" in output


def test_plain_secret_is_refused_and_a_secret_one_is_not(project: Checked) -> None:
    plain = project.preview_of(VERSION.replace("VALUE", '"hunter2"'), expect=1)
    assert "secretString is plain text" in plain
    secret = project.preview_of(VERSION.replace("VALUE", 'pulumi.Output.secret("hunter2")'), expect=1)
    assert "secretString is plain text" not in secret
    assert "secret-is-rotated" in secret
    assert "hunter2" not in secret


def test_deployment_that_repeats_the_last_one_needs_no_preview(project: Checked) -> None:
    """After any change, rules of several resources must hold before something is created."""
    right = 'aws.kms.Key("key", enable_key_rotation=True, opts=kept)'
    assert "Previewing update" in project.up(right)
    assert "Previewing update" not in (repeated := project.up(right))
    assert "unchanged" in repeated
    wrong = f'{right}\nbucket("archive")'
    assert "Previewing update" in project.up(wrong, expect=1)
    assert project.buckets() == 0
    assert "Previewing update" in project.up(right)
    (project.folder / "Pulumi.local.yaml").write_text("config: {'trading:environment': dev}")
    assert "Previewing update" in project.up(right)
    exceptions = project.folder / "exceptions.yaml"
    exceptions.write_text("")
    assert "Previewing update" in project.up(right)
