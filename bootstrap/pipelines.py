"""GitHub as an identity provider, and the roles that the pipelines assume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from account import prepared
from bootstrap import adopted
from bootstrap.adopted import adopting, identity_provider
from bootstrap.state import StateBackend
from bootstrap.workloads import STATE_KEYS
from bootstrap.workloads import boundary as workloads_boundary
from components.common.component import Component
from components.common.iam import policy_document

PROJECT = "trading"
"""Name of the platform's project, which is part of the paths of states (`Pulumi.yaml`)."""


@dataclass(frozen=True, kw_only=True)
class PipelinesArgs:
    """Settings of the pipelines' access."""

    account: str
    repository: str
    stacks: Sequence[str]
    policies: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
    """Stack → kind of the role → policy documents, from `bootstrap.config.deployer`."""
    state: StateBackend


class Pipelines(Component):
    """Access of the jobs in `.github/workflows`, without keys that can leak.

    Each stack has three roles. *deploy* changes the stack, *preview* only reads configurations, for a pull
    request's code, and *read* also reads what a refresh compares, such as the value of a secret.
    """

    roles: Mapping[str, Mapping[str, pulumi.Output[str]]]
    """Stack → kind → ARN of the role."""
    workloads_arn: pulumi.Output[str]
    """The permissions boundary of the roles that stacks create."""

    def __init__(self, name: str, args: PipelinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Pipelines", name, opts)
        provider = self._identity_provider(f"{name}-github")
        boundary = self._policy(
            f"{name}-boundary",
            prepared.BOUNDARY,
            policy_document(*_boundary(args.account)),
            args.account,
            "The most that the pipelines' roles can do, whatever their policies allow",
        )
        workloads = self._policy(
            f"{name}-workloads",
            prepared.WORKLOADS,
            policy_document(*workloads_boundary(args.account)),
            args.account,
            "The most that a stack's roles can do, whatever their policies allow",
        )
        self.workloads_arn = workloads.arn
        self.roles = {
            stack: {
                kind: self._role(f"{name}-{kind}-{stack}", kind, stack, args, provider.arn, boundary.arn)
                for kind in prepared.ENVIRONMENTS
            }
            for stack in args.stacks
        }
        self.register_outputs({"providerArn": provider.arn})

    def _identity_provider(self, name: str) -> aws.iam.OpenIdConnectProvider:
        found = identity_provider(prepared.ISSUER, pulumi.InvokeOptions(parent=self))
        existing, audiences = found or (None, [])
        return aws.iam.OpenIdConnectProvider(
            name,
            url=f"https://{prepared.ISSUER}",
            # Others in the account may use other audiences.
            client_id_lists=sorted({*audiences, prepared.AUDIENCE}),
            opts=adopting(self.child(), existing),
        )

    def _policy(
        self,
        name: str,
        policy_name: str,
        document: pulumi.Input[str],
        account: str,
        description: str | None = None,
    ) -> aws.iam.Policy:
        arn = prepared.policy_arn(account, policy_name)
        return aws.iam.Policy(
            name,
            name=policy_name,
            description=description,
            policy=document,
            opts=self.child(
                import_=adopted.policy(arn, pulumi.InvokeOptions(parent=self)),
                # IAM can't change it, so that another text would replace the policy, which IAM refuses as
                # long as a role uses it.
                ignore_changes=["description"],
            ),
        )

    def _role(
        self,
        name: str,
        kind: str,
        stack: str,
        args: PipelinesArgs,
        provider: pulumi.Input[str],
        boundary: pulumi.Input[str],
    ) -> pulumi.Output[str]:
        subject = prepared.subject(kind, stack, args.repository)
        role_name = prepared.role_name(kind, stack)
        role = aws.iam.Role(
            name,
            name=role_name,
            description=f"Assumed by jobs in the environment {subject.rpartition(':')[2]}",
            assume_role_policy=policy_document(
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": provider},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": {
                        "StringEquals": {
                            f"{prepared.ISSUER}:aud": prepared.AUDIENCE,
                            f"{prepared.ISSUER}:sub": subject,
                        }
                    },
                }
            ),
            max_session_duration=prepared.SESSIONS[kind],
            permissions_boundary=boundary,
            opts=self.child(import_=adopted.role(role_name, pulumi.InvokeOptions(parent=self))),
        )
        aws.iam.RolePolicy(
            f"{name}-state",
            name="state",
            role=role.name,
            policy=policy_document(*_state_access(args.state, kind, stack)),
            opts=self.child(),
        )
        for number, document in enumerate(args.policies[stack][kind], 1):
            policy = self._policy(
                f"{name}-{number}", f"{role_name}-{number}", pulumi.Output.json_dumps(document), args.account
            )
            aws.iam.RolePolicyAttachment(
                f"{name}-{number}", role=role.name, policy_arn=policy.arn, opts=self.child()
            )
        return role.arn


def _state_access(state: StateBackend, kind: str, stack: str) -> list[dict[str, Any]]:
    """What the engine does with a state in a bucket, and with its secrets.

    A preview takes no lock and writes nothing (pulumi/pulumi v3.255.0, `pkg/backend/diy/backend.go`,
    `Preview`; the paths are those of `store.go` and `lock.go`).
    """
    own = [f"stacks/{PROJECT}/{stack}.*"]
    written = [
        *own,
        f"history/{PROJECT}/{stack}/*",
        f"backups/{PROJECT}/{stack}/*",
        f"locks/organization/{PROJECT}/{stack}/*",
    ]
    is_writer = kind == "deploy"

    def objects(paths: Sequence[str]) -> list[pulumi.Output[str]]:
        return [pulumi.Output.format("{0}/.pulumi/{1}", state.bucket_arn, path) for path in paths]

    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
            "Resource": state.bucket_arn,
        },
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": objects(["meta.yaml", *(written if is_writer else own)]),
        },
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt", *(["kms:GenerateDataKey"] if is_writer else [])],
            "Resource": state.key_arn,
        },
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:DescribeKey"],
            "Resource": state.secrets_key_arns[stack],
        },
        {
            "Effect": "Deny",
            "Action": "kms:*",
            "NotResource": [state.key_arn, state.secrets_key_arns[stack]],
            "Condition": STATE_KEYS,
        },
    ]
    if is_writer:
        statements.append(
            {"Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": objects(written)}
        )
    return statements


def _boundary(account: str) -> list[dict[str, Any]]:
    """Everything that stacks consist of, without what this project prepares, what ends the account's safety,
    and roles that can do more than the platform (IAM User Guide, "Permissions boundaries for IAM entities",
    "Delegating responsibility to others using permissions boundaries", read 2026-11-27)."""
    own = [
        *(f"arn:aws:iam::{account}:role/{prepared.role_name(kind, '*')}" for kind in prepared.ENVIRONMENTS),
        f"arn:aws:iam::{account}:policy/trading-*",
        f"arn:aws:iam::{account}:oidc-provider/{prepared.ISSUER}",
    ]
    return [
        {"Sid": "OfTheRolesPolicies", "Effect": "Allow", "Action": "*", "Resource": "*"},
        {
            "Sid": "NotThePipelinesOwnAccess",
            "Effect": "Deny",
            "Action": [
                "iam:Add*",
                "iam:Attach*",
                "iam:Create*",
                "iam:Delete*",
                "iam:Detach*",
                "iam:PassRole",
                "iam:Put*",
                "iam:Remove*",
                "iam:Set*",
                "iam:Tag*",
                "iam:Untag*",
                "iam:Update*",
            ],
            "Resource": own,
        },
        {
            # The pipelines' only use of these keys. Their policies say which of the keys each may use.
            "Sid": "NotTheKeysOfTheStates",
            "Effect": "Deny",
            "NotAction": ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
            "Resource": "*",
            "Condition": STATE_KEYS,
        },
        {
            # Without its alias, a key would be an ordinary one.
            "Sid": "NotTheirAliases",
            "Effect": "Deny",
            "Action": ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            "Resource": [
                f"arn:aws:kms:*:{account}:{alias}"
                for alias in (prepared.STATE_ALIAS, prepared.secrets_alias("*"))
            ],
        },
        {
            "Sid": "OnlyLimitedRoles",
            "Effect": "Deny",
            "Action": [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            "Resource": "*",
            "Condition": {"StringNotEquals": {"iam:PermissionsBoundary": prepared.workloads_arn(account)}},
        },
        {
            "Sid": "RolesStayLimited",
            "Effect": "Deny",
            "Action": "iam:DeleteRolePermissionsBoundary",
            "Resource": "*",
        },
        {
            "Sid": "NoPeopleAndNoKeys",
            "Effect": "Deny",
            "Action": [
                "iam:*AccessKey*",
                "iam:*Group*",
                "iam:*LoginProfile*",
                "iam:*MFADevice*",
                "iam:*SAMLProvider*",
                "iam:*AccountPasswordPolicy",
                "iam:CreateUser",
                "iam:DeleteUser",
                "iam:UpdateUser",
                "iam:*UserPolicy",
                "iam:*UserPermissionsBoundary",
            ],
            "Resource": "*",
        },
        {
            "Sid": "NotTheAccountItself",
            "Effect": "Deny",
            "Action": [
                "account:*",
                "organizations:*",
                "cloudtrail:Delete*",
                "cloudtrail:Put*",
                "cloudtrail:Stop*",
                "cloudtrail:Update*",
                "config:Delete*",
                "config:Stop*",
                "guardduty:Delete*",
                "guardduty:Disassociate*",
                "ec2:DisableEbsEncryptionByDefault",
                "s3:PutAccountPublicAccessBlock",
            ],
            "Resource": "*",
        },
    ]
