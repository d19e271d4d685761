"""Service control policies, which hold on AWS's side what the rules of the policy pack hold before.

The rules run where the deployment runs, so they don't bind who calls AWS in another way. An organization's
service control policies do, for every user and role of a member account, but they only know what a request
says: its action, its resource, and the condition keys that the service fills in. Each statement names the
rules that it holds; docs/policy.md lists the rules without a counterpart.

The documents only deny, so that they go beside `FullAWSAccess`. They don't affect the organization's
management account and service-linked roles (AWS Organizations User Guide, "Service control policies (SCPs)",
read 2026-11-27).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from account import prepared
from policy.ours import OURS
from settings.aws_limits import EDGE_REGION

ADMINISTRATORS = "arn:aws:iam::*:role/OrganizationAccountAccessRole"
"""The role that AWS Organizations creates in each member account for the administrators of the organization
(AWS Organizations User Guide, "Accessing member accounts in an organization", read 2026-11-27)."""
PIPELINES = f"arn:aws:iam::*:role/{prepared.role_name('deploy', '*')}"

_GLOBAL = (
    *("account:*", "aws-portal:*", "billing:*", "budgets:*", "ce:*", "chatbot:*", "cloudfront:*", "cur:*"),
    *(
        "freetier:*",
        "globalaccelerator:*",
        "health:*",
        "iam:*",
        "invoicing:*",
        "organizations:*",
        "payments:*",
    ),
    *("pricing:*", "route53:*", "route53domains:*", "s3:GetAccountPublicAccessBlock", "s3:ListAllMyBuckets"),
    *("shield:*", "sts:*", "support:*", "tax:*", "trustedadvisor:*", "waf:*", "wafv2:*"),
)
"""Global services, and requests that a region of AWS's choice answers (AWS Organizations User Guide, "Deny
access to AWS based on the requested AWS Region", read 2026-11-27, and the platform's global services)."""


@dataclass(frozen=True, kw_only=True)
class Denial:
    """A statement of a service control policy."""

    sid: str
    why: str
    """What it denies, as a sentence for the documentation."""
    actions: Sequence[str]
    condition: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    resource: str = "*"
    rules: Sequence[str] = ()
    """The rules of the policy pack that it holds. Empty if it protects the account itself."""
    all_but: bool = False
    """Whether it denies all actions but these."""

    def statement(self) -> dict[str, Any]:
        """The statement."""
        return {
            "Sid": self.sid,
            "Effect": "Deny",
            ("NotAction" if self.all_but else "Action"): [*self.actions],
            "Resource": self.resource,
            **({"Condition": self.condition} if self.condition else {}),
        }


def policies(regions: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Name → document.

    Args:
        regions: the regions of the account's stacks.
    """
    return {
        name: {"Version": "2012-10-17", "Statement": [denial.statement() for denial in found]}
        for name, found in denials(regions).items()
    }


def denials(regions: Sequence[str]) -> dict[str, list[Denial]]:
    """Name of a policy → what it denies."""
    return {
        "trading-account": [*_account(regions), *_identities()],
        "trading-data": [*_storage(), *_stores(), *_machines(), *_endpoints()],
    }


def _account(regions: Sequence[str]) -> list[Denial]:
    return [
        Denial(
            sid="StayInTheOrganization",
            why="An account leaves the organization",
            actions=["organizations:LeaveOrganization"],
        ),
        Denial(
            sid="NoRootUser",
            why="The root user of an account calls anything",
            actions=["*"],
            condition={"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:root"}},
        ),
        Denial(
            sid="OnlyOurRegions",
            why="A request goes to a region in which no stack runs, unless the service is global",
            actions=_GLOBAL,
            all_but=True,
            condition={"StringNotEquals": {"aws:RequestedRegion": sorted({*regions, EDGE_REGION})}},
            rules=["region-is-allowed"],
        ),
        Denial(
            sid="KeepTheRecords",
            why="The records of the account and its detectors are turned off",
            actions=[
                *(
                    "access-analyzer:DeleteAnalyzer",
                    "cloudtrail:DeleteEventDataStore",
                    "cloudtrail:DeleteTrail",
                ),
                *("cloudtrail:PutEventSelectors", "cloudtrail:StopEventDataStoreIngestion"),
                *("cloudtrail:StopLogging", "cloudtrail:UpdateTrail", "config:DeleteConfigurationRecorder"),
                *(
                    "config:DeleteDeliveryChannel",
                    "config:StopConfigurationRecorder",
                    "guardduty:DeleteDetector",
                ),
                *("guardduty:DisassociateFromAdministratorAccount", "securityhub:DisableSecurityHub"),
            ],
            condition=_but(ADMINISTRATORS),
        ),
    ]


def _identities() -> list[Denial]:
    limit = prepared.workloads_arn("*")
    return [
        Denial(
            sid="NoUsers",
            why="Somebody creates a user, a key or a password of one",
            actions=["iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:CreateUser"],
            rules=["no-iam-users"],
        ),
        Denial(
            sid="OnlyLimitedRoles",
            why="A pipeline gives permissions to a role without the boundary of the workloads",
            actions=["iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePolicy"],
            condition={
                "ArnLike": {"aws:PrincipalArn": PIPELINES},
                "StringNotLike": {"iam:PermissionsBoundary": limit},
            },
            rules=["role-has-the-boundary"],
        ),
        Denial(
            sid="OnlyListedPolicies",
            why="A pipeline attaches a policy of AWS that policy/ours.yaml doesn't list",
            actions=["iam:AttachRolePolicy"],
            condition={
                "ArnLike": {"aws:PrincipalArn": PIPELINES},
                "ArnNotLike": {
                    "iam:PolicyARN": [
                        "arn:aws:iam::????????????:policy/*",  # of an account, and not of AWS
                        *(arn for arn in OURS.managed_policies if ":iam::aws:" in arn),
                    ]
                },
            },
            rules=["managed-policy-is-listed"],
        ),
        Denial(
            sid="ShareOnlyWithUs",
            why="Resources are shared with accounts outside of the organization",
            actions=["ram:CreateResourceShare"],
            condition={"Bool": {"ram:RequestedAllowsExternalPrincipals": "true"}},
            rules=["nothing-is-shared-with-strangers"],
        ),
        Denial(
            sid="NoPublicSecrets",
            why="A secret's policy may admit everybody",
            actions=["secretsmanager:PutResourcePolicy"],
            condition={"Bool": {"secretsmanager:BlockPublicPolicy": "false"}},
            rules=["document-admits-only-us"],
        ),
    ]


def _storage() -> list[Denial]:
    return [
        Denial(
            sid="OnlyTls",
            why="A request to S3 comes without TLS",
            actions=["s3:*"],
            condition={"Bool": {"aws:SecureTransport": "false"}},
            rules=["bucket-wants-tls", "bucket-policy-wants-tls"],
        ),
        Denial(
            sid="NoPublicLists",
            why="A bucket or an object gets an access control list that admits everybody",
            actions=["s3:CreateBucket", "s3:PutBucketAcl", "s3:PutObject", "s3:PutObjectAcl"],
            condition={
                "StringEquals": {"s3:x-amz-acl": ["authenticated-read", "public-read", "public-read-write"]}
            },
            rules=["bucket-has-no-acls"],
        ),
        Denial(
            sid="OnlyPipelinesChangeProtection",
            why=(
                "Anybody but the pipelines and the organization's administrators changes what protects "
                "buckets, keys, backups and flow logs: no condition key says how"
            ),
            actions=[
                *("backup:DeleteBackupVault", "backup:DeleteBackupVaultLockConfiguration"),
                *("backup:PutBackupVaultLockConfiguration", "ec2:DeleteFlowLogs", "kms:DisableKey"),
                *("kms:DisableKeyRotation", "kms:ScheduleKeyDeletion", "s3:PutAccountPublicAccessBlock"),
                *("s3:PutBucketOwnershipControls", "s3:PutBucketPublicAccessBlock", "s3:PutBucketVersioning"),
                "s3:PutEncryptionConfiguration",
            ],
            condition=_but(PIPELINES, ADMINISTRATORS),
            rules=[
                *("bucket-blocks-public-access", "public-access-block-is-complete", "bucket-keeps-versions"),
                *("versioning-is-enabled", "ownership-excludes-acls", "bucket-is-encrypted"),
                *("bucket-encryption-uses-our-key", "key-is-hard-to-delete", "key-is-rotated"),
                "vpc-has-flow-logs",
            ],
        ),
    ]


def _stores() -> list[Denial]:
    return [
        Denial(
            sid="EncryptedDatabases",
            why="A database is created without encryption",
            actions=["rds:CreateDBCluster"],
            condition={"Bool": {"rds:StorageEncrypted": "false"}},
            rules=["rds-cluster-is-encrypted"],
        ),
        Denial(
            sid="KeepSnapshots",
            why="A snapshot or an image is shared, or the account's block of public ones is turned off",
            actions=[
                *("ec2:DisableImageBlockPublicAccess", "ec2:DisableSnapshotBlockPublicAccess"),
                *("ec2:ModifyImageAttribute", "ec2:ModifySnapshotAttribute"),
                *("rds:ModifyDBClusterSnapshotAttribute", "rds:ModifyDBSnapshotAttribute"),
            ],
            # AWS Backup marks the snapshots that it copies.
            condition=_but("arn:aws:iam::*:role/backup*"),
            rules=["nothing-is-shared-with-strangers"],
        ),
        Denial(
            sid="EncryptedCaches",
            why="A cache is created without encryption at rest",
            actions=["elasticache:CreateReplicationGroup"],
            condition={"Bool": {"elasticache:AtRestEncryptionEnabled": "false"}},
            rules=["cache-is-encrypted"],
        ),
        Denial(
            sid="CachesUseTls",
            why="A cache accepts connections without TLS",
            actions=["elasticache:CreateReplicationGroup", "elasticache:ModifyReplicationGroup"],
            condition={"Bool": {"elasticache:TransitEncryptionEnabled": "false"}},
            rules=["cache-uses-tls"],
        ),
        Denial(
            sid="PrivateBrokers",
            why="Brokers become public",
            actions=["kafka:UpdateConnectivity"],
            condition={"Bool": {"kafka:publicAccessEnabled": "true"}},
            rules=["brokers-are-private"],
        ),
    ]


def _machines() -> list[Denial]:
    return [
        Denial(
            sid="EncryptedDisks",
            why="A disk is created without encryption",
            actions=["ec2:CreateVolume", "ec2:RunInstances"],
            resource="arn:aws:ec2:*:*:volume/*",
            condition={"Bool": {"ec2:Encrypted": "false"}},
            rules=["node-disks-are-encrypted"],
        ),
        Denial(
            sid="DisksStayEncrypted",
            why="The encryption of new disks is turned off",
            actions=["ec2:DisableEbsEncryptionByDefault"],
            rules=["node-disks-are-encrypted"],
        ),
        Denial(
            sid="TokensForMetadata",
            why="An instance answers requests for its metadata without a token (IMDSv1)",
            actions=["ec2:ModifyInstanceMetadataOptions", "ec2:RunInstances"],
            resource="arn:aws:ec2:*:*:instance/*",
            condition={"StringEquals": {"ec2:MetadataHttpTokens": "optional"}},
        ),
    ]


def _endpoints() -> list[Denial]:
    return [
        Denial(
            sid="ModernTls",
            why="A listener accepts versions of TLS before 1.2, or ciphers without forward secrecy",
            actions=["elasticloadbalancing:CreateListener", "elasticloadbalancing:ModifyListener"],
            condition={
                "Null": {"elasticloadbalancing:SecurityPolicy": "false"},
                "StringNotLike": {
                    "elasticloadbalancing:SecurityPolicy": [
                        # Those with Ext in their names add ciphers without forward secrecy.
                        *(f"ELBSecurityPolicy-TLS13-1-2-{kind}-*" for kind in ("FIPS", "PQ", "Res")),
                        *("ELBSecurityPolicy-TLS13-1-2-20*", "ELBSecurityPolicy-TLS13-1-3-*"),
                    ]
                },
            },
            rules=["listener-uses-modern-tls"],
        ),
        Denial(
            sid="NoPublicNetworkBalancers",
            why="A network load balancer faces the internet",
            actions=["elasticloadbalancing:CreateLoadBalancer"],
            resource="arn:aws:elasticloadbalancing:*:*:loadbalancer/net/*",
            condition={"StringEquals": {"elasticloadbalancing:Scheme": "internet-facing"}},
            rules=["only-albs-face-the-internet"],
        ),
        Denial(
            sid="NoPublicFunctions",
            why="A function gets a URL without authentication",
            actions=[
                *("lambda:AddPermission", "lambda:CreateFunctionUrlConfig", "lambda:UpdateFunctionUrlConfig")
            ],
            condition={"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
            rules=["lambda-is-not-public"],
        ),
        Denial(
            sid="FunctionsKnowTheirCallers",
            why="Everybody may call a function",
            actions=["lambda:AddPermission"],
            condition={"StringEquals": {"lambda:Principal": "*"}},
            rules=["lambda-is-not-public"],
        ),
    ]


def _but(*roles: str) -> dict[str, dict[str, Any]]:
    """The condition for everybody but some roles."""
    return {"ArnNotLike": {"aws:PrincipalArn": [*roles]}}
