"""Tier 6, the migrations: the Job that updates the database's schema and users to this version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.common.component import Component
from components.common.context import RegionContext
from components.common.workloads import ON_DEMAND, TOLERATION
from components.service.pod_identity import pod_identity
from settings import WORKLOAD_NAMESPACE

DATABASE = Path(__file__).parents[2] / "database"

IMAGE = "ghcr.io/amacneil/dbmate:2.33.0"
"""Image with dbmate and psql. The tests use the same version, from `tools/dbmate/go.mod`. It isn't pinned by
digest, because no public source for the digest of this version was found (November 2026)."""
FETCH_IMAGE = (
    "public.ecr.aws/aws-cli/aws-cli:2.37.4"
    "@sha256:fdd8d1fcbea9c371678dee5a40df8b178c7a781b4586605756ee28114c97ead6"
)
"""Image that fetches the master user's secret, because dbmate's image can't. The digest is that of the index
of all architectures. Several unrelated public repositories pin it (read in November 2026)."""

DEADLINE_SECONDS = 1800
"""Includes the start of a node, the wait for another run, and the migrations themselves."""

_NAME = "migrations"
_SECRET = "/work/master.json"  # noqa: S105 (a path)
_FETCH = 'umask 077; aws secretsmanager get-secret-value --secret-id "$SECRET_ARN" --query SecretString'


@dataclass(frozen=True, kw_only=True)
class MigrationsArgs:
    """Settings of the migrations."""

    context: RegionContext
    cluster_arn: pulumi.Input[str]
    kubernetes: k8s.Provider
    vpc_cidr: str
    host: pulumi.Input[str]
    """The cluster's writer endpoint. RDS's certificate authority issues its certificate
    (`database/certificates`)."""
    port: int
    database_name: str
    secret_arn: pulumi.Input[str]
    """Secret of the master user."""
    users: Mapping[str, Sequence[str]]
    """Database user → its group roles (`database/roles.sql`). Users of other services lose their roles."""
    image: str
    """`IMAGE`, or its copy in a mirror."""
    fetch_image: str
    """`FETCH_IMAGE`, or its copy in a mirror."""
    ready: list[pulumi.Resource]
    """Node pools, namespace, the database's writer and the secret's value."""


class Migrations(Component):
    """A Job that runs `database/migrate.sh`: roles, pending migrations, and the services' users.

    If a file or a user has changed, the Job is replaced and so runs again. A failed Job fails the deployment
    before the services change, and the next deployment replaces it. The master user's password isn't stored
    in any Kubernetes object: an init container fetches it into the pod's memory.

    Raises:
        FileNotFoundError: there is no certificate of RDS's certificate authority for the region.
    """

    ready: list[pulumi.Resource]
    """Services depend on the Job, because they need the schema and their users."""

    def __init__(self, name: str, args: MigrationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Migrations", name, opts)
        # Plain, so that a preview shows what will run.
        data, services = files(args.context.region), json.dumps(args.users, sort_keys=True)
        labels = {"app.kubernetes.io/name": _NAME}

        _, identity = pod_identity(
            self,
            name,
            cluster_arn=args.cluster_arn,
            namespace=WORKLOAD_NAMESPACE,
            service_account=_NAME,
            statements=_statements(args),
        )
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={"name": _NAME, "namespace": WORKLOAD_NAMESPACE},
            automount_service_account_token=False,
            opts=self.child(provider=args.kubernetes, depends_on=args.ready),
        )
        policy = k8s.networking.v1.NetworkPolicy(
            f"{name}-policy",
            metadata={"name": _NAME, "namespace": WORKLOAD_NAMESPACE},
            spec=_network(args, labels),
            opts=self.child(provider=args.kubernetes, depends_on=args.ready),
        )
        scripts = k8s.core.v1.ConfigMap(
            f"{name}-files",
            # Each version has its own name, so a Job that is still retrying keeps its files. A new user
            # doesn't change the name, because a preview prints all files of a new ConfigMap.
            metadata={"name": f"{_NAME}-{_digest(data)}", "namespace": WORKLOAD_NAMESPACE},
            data=data,
            immutable=True,
            opts=self.child(provider=args.kubernetes, depends_on=args.ready),
        )
        job = k8s.batch.v1.Job(
            f"{name}-job",
            metadata={
                "name": f"{_NAME}-{_digest(data, services)}",
                "namespace": WORKLOAD_NAMESPACE,
                "labels": labels,
                "annotations": {
                    "pulumi.com/timeoutSeconds": str(DEADLINE_SECONDS + 60),
                    # A failed Job isn't retried automatically, so the next deployment replaces it.
                    "pulumi.com/replaceUnready": "true",
                },
            },
            spec=_job(args, labels, services, scripts.metadata.name),
            # The pod assumes its role and opens connections at startup.
            opts=self.child(provider=args.kubernetes, depends_on=[*args.ready, account, policy, identity]),
        )
        self.ready = [job]
        self.register_outputs({"job": job.metadata.name})


def files(region: str) -> dict[str, str]:
    """File name → contents of everything that the Job runs. A mounted ConfigMap is a single flat folder."""
    paths = [
        *(DATABASE / name for name in ("migrate.sh", "migrate.sql", "roles.sql", "users.sql")),
        *sorted((DATABASE / "migrations").glob("*.sql")),
    ]
    certificate = DATABASE / "certificates" / f"{region}.pem"
    return {**{path.name: path.read_text() for path in paths}, "rds-ca.pem": certificate.read_text()}


def _digest(*parts: Mapping[str, str] | str) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]


def _statements(args: MigrationsArgs) -> list[dict[str, Any]]:
    """Permissions to read the secret's value, and to use the key only for this secret."""
    return [
        {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": [args.secret_arn]},
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": [args.context.key_arn],
            "Condition": {
                "StringEquals": {
                    "kms:ViaService": f"secretsmanager.{args.context.region}.amazonaws.com",
                    # "Secret encryption and decryption in AWS Secrets Manager", Secrets Manager User Guide.
                    "kms:EncryptionContext:SecretARN": args.secret_arn,
                }
            },
        },
    ]


def _network(args: MigrationsArgs, labels: Mapping[str, str]) -> Any:
    """The network policy, in addition to what the namespace allows every pod: DNS and the Pod Identity
    agent."""
    return {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [
            {
                "to": [{"ipBlock": {"cidr": args.vpc_cidr}}],
                "ports": [
                    {"protocol": "TCP", "port": args.port},
                    # Secrets Manager's interface endpoint (`INTERFACE_SERVICES` in `components/network.py`).
                    {"protocol": "TCP", "port": 443},
                ],
            }
        ],
    }


def _job(
    args: MigrationsArgs, labels: Mapping[str, str], services: str, config_map: pulumi.Input[str]
) -> Any:
    return {
        # No time to live: the next deployment would create a deleted Job again and so run it again.
        "backoffLimit": 2,
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "template": {
            "metadata": {
                "labels": {**labels, "app.kubernetes.io/part-of": "trading"},
                "annotations": {"karpenter.sh/do-not-disrupt": "true"},
            },
            "spec": _pod(args, services, config_map),
        },
    }


def _pod(args: MigrationsArgs, services: str, config_map: pulumi.Input[str]) -> Any:
    def container(
        name: str, image: str, command: list[str], environment: Mapping[str, Any], mounts: Mapping[str, str]
    ) -> dict[str, Any]:
        return {
            "name": name,
            "image": image,
            # A tag can be moved, so each attempt asks the registry what it stands for.
            "imagePullPolicy": "IfNotPresent" if "@sha256:" in image else "Always",
            "command": command,
            "env": [{"name": key, "value": value} for key, value in environment.items()],
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": volume, "mountPath": path, "readOnly": volume == "files"}
                for volume, path in mounts.items()
            ],
        }

    return {
        "serviceAccountName": _NAME,
        "automountServiceAccountToken": False,  # Pod Identity mounts its own token
        "enableServiceLinks": False,
        "restartPolicy": "Never",  # each attempt is a separate pod, so that its log is kept
        "priorityClassName": "trading-critical",
        "nodeSelector": {"karpenter.sh/nodepool": ON_DEMAND},
        "tolerations": [TOLERATION],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [
            container(
                "secret",
                args.fetch_image,
                ["sh", "-c", f"{_FETCH} --output text >{_SECRET}"],
                {"HOME": "/work", "AWS_REGION": args.context.region, "SECRET_ARN": args.secret_arn},
                {"work": "/work"},
            )
        ],
        "containers": [
            container(
                "migrate",
                args.image,
                ["sh", "/database/migrate.sh"],
                {
                    "HOME": "/work",
                    "PGHOST": args.host,
                    "PGPORT": str(args.port),
                    "PGDATABASE": args.database_name,
                    "PGSSLMODE": "verify-full",
                    "PGSSLROOTCERT": "/database/rds-ca.pem",
                    "MASTER_FILE": _SECRET,
                    "DBMATE_MIGRATIONS_DIR": "/database",
                    "SERVICES": services,
                },
                {"files": "/database", "work": "/work"},
            )
        ],
        "volumes": [
            {"name": "files", "configMap": {"name": config_map}},
            {"name": "work", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        ],
    }
