"""The migrations tier: what the Job runs, what it may do, and when it runs again."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
import pytest
import yaml
from cryptography import x509

from components.service import migrations
from components.service.migrations import DATABASE, Migrations, MigrationsArgs
from sandbox import tools
from tests.unit.harness import (
    ROOT,
    STACKS,
    Graph,
    Registered,
    context,
    deploy,
    platform,
)

ACCOUNT = "us-east-1:123456789012"
SECRET = f"arn:aws:secretsmanager:{ACCOUNT}:secret:database-master-AbCdEf"
KEY = f"arn:aws:kms:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
JOB = "kubernetes:batch/v1:Job"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def deployed(users: dict[str, list[str]] | None = None) -> Graph:
    def program() -> None:
        provider = aws.Provider("aws-us-east-1", region="us-east-1")
        Migrations(
            "migrations-us-east-1",
            MigrationsArgs(
                context=context(region="us-east-1", key_arn=KEY),
                cluster_arn=f"arn:aws:eks:{ACCOUNT}:cluster/trading-test",
                kubernetes=k8s.Provider("kubernetes", kubeconfig="{}"),
                vpc_cidr="10.0.0.0/16",
                host="writer.example.com",
                port=5432,
                database_name="trading",
                secret_arn=SECRET,
                users={"orders": ["orders_rw"]} if users is None else users,
                image=migrations.IMAGE,
                fetch_image=migrations.FETCH_IMAGE,
                ready=[],
            ),
            pulumi.ResourceOptions(provider=provider),
        )

    return deploy(program)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return deployed()


def pod(graph: Graph) -> dict[str, Any]:
    return graph.only(JOB).inputs["spec"]["template"]["spec"]


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in container["env"]}


def test_job_may_read_the_master_secret_and_nothing_else(graph: Graph) -> None:
    policy = json.loads(graph.only("aws:iam/rolePolicy:RolePolicy").inputs["policy"])
    assert [(s["Action"], s["Resource"]) for s in policy["Statement"]] == [
        (["secretsmanager:GetSecretValue"], [SECRET]),
        (["kms:Decrypt"], [KEY]),
    ]
    assert policy["Statement"][1]["Condition"]["StringEquals"] == {
        "kms:ViaService": "secretsmanager.us-east-1.amazonaws.com",
        "kms:EncryptionContext:SecretARN": SECRET,
    }
    assert graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment") == []


def test_role_is_the_jobs_alone(graph: Graph) -> None:
    association = graph.only("aws:eks/podIdentityAssociation:PodIdentityAssociation").inputs
    account = graph.only("kubernetes:core/v1:ServiceAccount").inputs["metadata"]
    assert (association["namespace"], association["serviceAccount"]) == (
        account["namespace"],
        account["name"],
    )
    assert pod(graph)["serviceAccountName"] == account["name"]


@pytest.mark.parametrize("stack", STACKS)
def test_no_password_is_in_any_object_of_the_job(stack: str) -> None:
    """The harness replaces secrets with `[secret]`, and generated passwords consist of forty `x`."""
    ours = [r for r in platform(stack).resources if r.parent.startswith("migrations-")]
    assert ours
    text = json.dumps([resource.inputs for resource in ours])
    assert "x" * 40 not in text
    assert "[secret]" not in text
    assert "kubernetes:core/v1:Secret" not in {resource.type for resource in ours}


def test_connection_is_verified_against_the_authority_of_rds(graph: Graph) -> None:
    (container,) = pod(graph)["containers"]
    variables = environment(container)
    assert variables["PGSSLMODE"] == "verify-full"
    folder, _, name = variables["PGSSLROOTCERT"].rpartition("/")
    assert {"name": "files", "mountPath": folder, "readOnly": True} in container["volumeMounts"]
    certificate = x509.load_pem_x509_certificate(graph.only(CONFIG_MAP).inputs["data"][name].encode())
    assert "Amazon RDS us-east-1 Root CA RSA2048 G1" in certificate.subject.rfc4514_string()


@pytest.mark.parametrize("path", sorted((DATABASE / "certificates").iterdir()), ids=lambda path: path.stem)
def test_certificate_is_that_of_its_region_and_holds_for_long(path: Any) -> None:
    """The certificate authority is the one that `Database` requests: `rds-ca-rsa2048-g1`."""
    (certificate,) = x509.load_pem_x509_certificates(path.read_bytes())
    names = {str(name.value) for name in certificate.subject}
    assert f"Amazon RDS {path.stem} Root CA RSA2048 G1" in names
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_after_utc > datetime(2060, 1, 1, tzinfo=UTC)


def test_pod_meets_what_its_namespace_enforces(graph: Graph) -> None:
    """The namespace enforces the pod security standard "restricted"."""
    spec = pod(graph)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
    assert spec["automountServiceAccountToken"] is False


def test_secret_stays_in_memory(graph: Graph) -> None:
    volumes = {volume["name"]: volume for volume in pod(graph)["volumes"]}
    assert volumes["work"]["emptyDir"]["medium"] == "Memory"
    (secret,) = pod(graph)["initContainers"]
    (path,) = re.findall(r">(\S+)$", secret["command"][-1])
    assert environment(pod(graph)["containers"][0])["MASTER_FILE"] == path
    assert path.startswith("/work/")


def test_network_lets_out_to_the_database_and_to_secrets_manager(graph: Graph) -> None:
    spec = graph.only("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]
    assert "ingress" not in spec
    (rule,) = spec["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "10.0.0.0/16"}}], "Secrets Manager has an endpoint in the VPC"
    assert [port["port"] for port in rule["ports"]] == [5432, 443]
    labels = graph.only(JOB).inputs["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()


def test_job_ends_and_stays(graph: Graph) -> None:
    """If the Job deleted itself, the next deployment would create it and run it again."""
    job = graph.only(JOB).inputs
    assert "ttlSecondsAfterFinished" not in job["spec"]
    assert job["spec"]["activeDeadlineSeconds"] < int(
        job["metadata"]["annotations"]["pulumi.com/timeoutSeconds"]
    )
    assert job["spec"]["backoffLimit"] == 2
    assert job["metadata"]["annotations"]["pulumi.com/replaceUnready"] == "true"


def test_job_is_waited_for(graph: Graph) -> None:
    assert "pulumi.com/skipAwait" not in graph.only(JOB).inputs["metadata"]["annotations"]


def name(graph: Graph, token: str) -> str:
    return graph.only(token).inputs["metadata"]["name"]


def test_same_files_and_users_are_the_same_job(graph: Graph) -> None:
    for token in (JOB, CONFIG_MAP):
        assert deployed().only(token).inputs == graph.only(token).inputs


def test_changed_user_makes_another_job_of_the_same_files(graph: Graph) -> None:
    other = deployed({"orders": ["orders_ro"]})
    assert name(other, JOB) != name(graph, JOB)
    assert other.only(CONFIG_MAP).inputs == graph.only(CONFIG_MAP).inputs


def test_changed_file_makes_other_files_and_another_job(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = migrations.files

    def changed(region: str) -> dict[str, str]:
        return {**original(region), "9999_more.sql": "-- migrate:up\n"}

    monkeypatch.setattr(migrations, "files", changed)
    other = deployed()
    assert name(other, JOB) != name(graph, JOB)
    assert name(other, CONFIG_MAP) != name(graph, CONFIG_MAP)


def test_job_starts_with_its_role_and_its_way_out(graph: Graph) -> None:
    assert {"migrations-us-east-1-identity", "migrations-us-east-1-policy"} <= graph.only(JOB).depends_on


def test_files_fit_a_config_map() -> None:
    """A ConfigMap can contain 1 MiB. If this test fails at half of that, merge old migrations into one."""
    assert sum(map(len, migrations.files("us-east-1").values())) < 512 * 1024


def test_images_are_of_the_versions_that_are_tested() -> None:
    version = tools.pinned_version(tools.PROGRAMS["dbmate"].package, tools.PROGRAMS["dbmate"].module)
    assert f"ghcr.io/amacneil/dbmate:{version.removeprefix('v')}" == migrations.IMAGE


def test_shell_scripts_parse() -> None:
    subprocess.run(["sh", "-n", DATABASE / "migrate.sh"], check=True)
    (secret,) = pod(deployed())["initContainers"]
    subprocess.run(["sh", "-n", "-c", secret["command"][-1]], check=True)


def test_namespace_grants_every_pod_dns_and_the_identity_agent() -> None:
    """The Job's own network policy does not repeat these rules."""
    documents = list(yaml.safe_load_all((ROOT / "k8s/manifests/network-policies.yaml").read_text()))
    (everyone,) = [d for d in documents if d["metadata"]["name"] == "dns-and-pod-identity"]
    assert everyone["spec"]["podSelector"] == {}


# The whole platform


def test_only_the_primary_region_migrates() -> None:
    assert [job.name for job in platform("full").of(JOB)] == ["migrations-us-east-1-job"]


def charts(graph: Graph, region: str) -> list[Registered]:
    found = [
        chart for chart in graph.of("kubernetes:helm.sh/v4:Chart") if chart.name.endswith(f"{region}-chart")
    ]
    assert found
    return found


def test_services_of_the_primary_region_start_after_the_migrations() -> None:
    for chart in charts(platform("full"), "us-east-1"):
        assert "migrations-us-east-1-job" in chart.depends_on
    for chart in charts(platform("full"), "eu-west-1"):
        assert "migrations-us-east-1-job" not in chart.depends_on


def test_job_runs_when_the_writer_and_the_secrets_value_are_there() -> None:
    graph = platform("full")
    needed = graph.only(JOB).depends_on
    assert {"database-us-east-1-0", "database-us-east-1-cluster", "database-us-east-1-master"} <= needed


@pytest.mark.parametrize("stack", STACKS)
def test_users_are_those_that_services_sign_in_as(stack: str) -> None:
    """The services' ConfigMap, `rds-db:connect` in IAM and the role in PostgreSQL name the same user."""
    graph = platform(stack)
    made = set(json.loads(environment(pod(graph)["containers"][0])["SERVICES"]))
    told = {
        c.inputs["data"]["DATABASE_USER"] for c in graph.of(CONFIG_MAP) if "DATABASE_USER" in c.inputs["data"]
    }
    allowed = {
        arn.rsplit("/", 1)[-1]
        for policy in graph.of("aws:iam/rolePolicy:RolePolicy")
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        if statement["Action"] == ["rds-db:connect"]
        for arn in statement["Resource"]
    }
    assert made == told == allowed != set()


@pytest.mark.parametrize("stack", STACKS)
def test_every_user_has_the_roles_that_its_service_needs(stack: str) -> None:
    users = json.loads(environment(pod(platform(stack))["containers"][0])["SERVICES"])
    assert users == {"accounts": ["accounts_rw", "ledger_post"], "orders": ["ledger_post", "orders_rw"]}
