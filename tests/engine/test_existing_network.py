"""A stack in an existing VPC and zone: the sandbox contains the resources that its stack file requires."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.project import Project, Values
from tests.unit.existing_network import existing_vpc

STACK = "small"
PRESENT = ["secretsmanager", "sts"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    found = Project.make(tmp_path_factory.mktemp("existing"))

    def use_existing(values: Values) -> None:
        values["trading:domain"] = {"zone": "trading-desk.io", "host": "trade.trading-desk.io"}
        values["trading:cluster"]["viewerRoleArns"] = ["arn:aws:iam::123456789012:role/desk/Viewers"]
        (region,) = values["trading:regions"]
        region["existingVpc"] = existing_vpc(region) | {"interfaceEndpoints": PRESENT}

    found.change(STACK, use_existing)
    return found


def test_preview_shows_what_would_be_built_in_the_vpc(project: Project) -> None:
    operations = project.preview(STACK)
    assert set(operations.values()) == {"create"}
    assert not [name for name in operations if name.startswith("network-us-east-1-nat")]
    assert not {f"network-us-east-1-{service}" for service in PRESENT} & operations.keys()


def test_stack_deploys_is_complete_and_goes(project: Project) -> None:
    output = project.deploy(STACK)
    assert "https://trade.trading-desk.io" in output
    resources = project.resources(STACK)
    assert not [r for r in resources if r["type"] in ("aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet")]
    groups = [r for r in resources if r["type"] == "aws:ec2/securityGroup:SecurityGroup"]
    assert {group["inputs"]["vpcId"] for group in groups} == {"vpc-00000000000000001"}
    assert project.preview(STACK) == {}
    project.sandbox_command("down", "--stack", STACK)
    assert project.remaining() == []


def test_what_no_stack_file_names_is_refused_with_the_files_that_were_read(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("{name: small, runtime: python}")
    (folder / "Pulumi.local.yaml").write_text("config: {trading:domain: {zone: trading-desk.io}}")
    (folder / "Pulumi.other.yaml").write_text("config: {}")
    (folder / "__main__.py").write_text(
        "import pulumi_aws as aws\n"
        "import pulumi\n"
        "opts = pulumi.InvokeOptions(provider=aws.Provider('p', region='eu-west-1'))\n"
        "aws.route53.get_zone(name='trading-desk.io', opts=opts)\n"
        "aws.route53.get_zone(name='somebody-elses.io', opts=opts)\n"
    )
    project = Project(folder, tmp_path / "sandbox")
    output = project.pulumi("preview", "--stack", "local", expect=None)
    assert 'no Route 53 Hosted Zone matched {"name": "somebody-elses.io"}' in output
    assert "those that Pulumi.local.yaml, Pulumi.other.yaml name" in output
