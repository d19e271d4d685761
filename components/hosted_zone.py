"""Options for the whole hosted zone: DNSSEC signing and query logging."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import DeploymentContext
from components.common.iam import policy_document
from components.common.key import EncryptionKey, EncryptionKeyArgs, account_statement
from components.common.logs import all_streams, log_group
from components.common.signals import Signal


@dataclass(frozen=True, kw_only=True)
class ZoneSigningArgs:
    """Settings of DNSSEC."""

    context: DeploymentContext
    zone_id: pulumi.Input[str]


class ZoneSigning(Component):
    """Signs the zone with a key-signing key that is based on a customer managed KMS key.

    The component uses a provider for us-east-1, where Route 53 requires the KMS key.

    The chain of trust starts with the DS record in the parent zone, which doesn't belong to the platform. The
    output is for the owner of that zone. Add the DS record after signing is enabled. Before signing is
    disabled, remove the DS record and wait for its TTL: with a DS record but without signatures, validating
    resolvers can't resolve any name in the zone.
    """

    ds_record: pulumi.Output[str]

    def __init__(self, name: str, args: ZoneSigningArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:ZoneSigning", name, opts)
        service = {"Service": "dnssec-route53.amazonaws.com"}
        key = aws.kms.Key(
            name,
            description=f"Signs the hosted zone of {args.context.platform}",
            customer_master_key_spec="ECC_NIST_P256",
            key_usage="SIGN_VERIFY",
            deletion_window_in_days=30,
            # Route 53 Developer Guide, "Working with customer managed keys for DNSSEC".
            policy=policy_document(
                account_statement(self.account_id),
                {
                    "Sid": "Route53SignsThisZone",
                    "Effect": "Allow",
                    "Principal": service,
                    "Action": ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"],
                    "Resource": "*",
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": self.account_id},
                        "ArnEquals": {"aws:SourceArn": _zone_arn(args.zone_id)},
                    },
                },
                {
                    "Sid": "Route53GrantsItself",
                    "Effect": "Allow",
                    "Principal": service,
                    "Action": "kms:CreateGrant",
                    "Resource": "*",
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": self.account_id},
                        "ArnEquals": {"aws:SourceArn": _zone_arn(args.zone_id)},
                        "Bool": {"kms:GrantIsForAWSResource": True},
                    },
                },
            ),
            opts=self.child(protect=args.context.protect),
        )
        signing_key = aws.route53.KeySigningKey(
            name,
            hosted_zone_id=args.zone_id,
            key_management_service_arn=key.arn,
            # Only letters, digits and underscores are allowed.
            name=args.context.platform.replace("-", "_"),
            opts=self.child(protect=args.context.protect),
        )
        aws.route53.HostedZoneDnsSec(
            name,
            # Taken from the key-signing key, because a zone can be signed only once it has an active one.
            hosted_zone_id=signing_key.hosted_zone_id,
            opts=self.child(protect=args.context.protect),
        )
        self.ds_record = signing_key.ds_record
        self.report(
            _dnssec_signal(
                "dnssec-internal-failure",
                "DNSSECInternalFailure",
                "Route 53 can't sign the hosted zone",
                args.zone_id,
            ),
            _dnssec_signal(
                "dnssec-key-needs-action",
                "DNSSECKeySigningKeysNeedingAction",
                "Route 53 can't use the zone's key-signing key",
                args.zone_id,
            ),
        )
        self.register_outputs({"dsRecord": self.ds_record})


def _dnssec_signal(name: str, metric: str, title: str, zone_id: pulumi.Input[str]) -> Signal:
    return Signal(
        name=name,
        runbook="dnssec",
        title=title,
        namespace="AWS/Route53",
        metric=metric,
        dimensions={"HostedZoneId": zone_id},
        statistic="Sum",
        threshold=0,
        reason="Any failure counts. The last signatures expire within days, and then validating resolvers "
        "no longer answer for any name in the zone.",
        severity="critical",
        # Route 53 reports a few times a day.
        period_seconds=21600,
        periods=1,
    )


@dataclass(frozen=True, kw_only=True)
class QueryLogArgs:
    """Settings of the query log."""

    context: DeploymentContext
    zone: str
    zone_id: pulumi.Input[str]


class QueryLog(Component):
    """Logs every query that Route 53 answers for the zone. A zone can have only one query log."""

    def __init__(self, name: str, args: QueryLogArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:QueryLog", name, opts)
        key = EncryptionKey(
            f"{name}-key",
            EncryptionKeyArgs(alias=f"{args.context.platform}-query-log", context=args.context),
            self.child(),
        )
        logs = log_group(self, name, args.context.encrypted_with(key.arn), name=f"/aws/route53/{args.zone}")
        policy = aws.cloudwatch.LogResourcePolicy(
            name,
            policy_name=f"{args.context.platform}-query-log",
            policy_document=policy_document(
                {
                    "Sid": "Route53WritesQueriesOfThisZone",
                    "Effect": "Allow",
                    "Principal": {"Service": "route53.amazonaws.com"},
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": all_streams(logs.arn),
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": self.account_id},
                        "ArnEquals": {"aws:SourceArn": _zone_arn(args.zone_id)},
                    },
                }
            ),
            opts=self.child(),
        )
        aws.route53.QueryLog(
            name,
            zone_id=args.zone_id,
            cloudwatch_log_group_arn=logs.arn,
            # Route 53 checks at creation that it can write to the log group. The policy isn't an input here.
            opts=self.child(depends_on=[policy]),
        )
        self.register_outputs({})


def _zone_arn(zone_id: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.format("arn:aws:route53:::hostedzone/{0}", zone_id)
