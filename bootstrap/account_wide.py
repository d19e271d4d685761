"""Settings and roles that an account has once, or once in each region, so that no stack may own them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bootstrap.adopted import adopting, cache_rule, service_linked_role
from bootstrap.config import CacheRule
from components.common.component import Component
from components.common.key import symmetric_key
from components.common.service_role import api_logs_role


@dataclass(frozen=True, kw_only=True)
class AccountRolesArgs:
    """Settings of the roles that an account has once."""

    services: Sequence[str]
    """The services whose role must exist."""


class AccountRoles(Component):
    """Service-linked roles, and the role with which API Gateway writes logs."""

    logs_role_arn: pulumi.Output[str]
    """Role of API Gateway. It is known once the role may write logs, because API Gateway refuses it
    before."""

    def __init__(self, name: str, args: AccountRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:AccountRoles", name, opts)
        for service in args.services:
            existing = service_linked_role(service, pulumi.InvokeOptions(parent=self))
            options = adopting(self.child(ignore_changes=["description"]), existing)
            aws.iam.ServiceLinkedRole(f"{name}-{service}", aws_service_name=service, opts=options)
        role, permission = api_logs_role(self, f"{name}-api-logs")
        self.logs_role_arn = pulumi.Output.all(role.arn, permission.id).apply(lambda found: str(found[0]))
        self.register_outputs({"logsRoleArn": self.logs_role_arn})


@dataclass(frozen=True, kw_only=True)
class RegionWideArgs:
    """Settings of a region."""

    account: str
    region: str
    logs_role_arn: pulumi.Input[str]
    image_cache: Mapping[str, CacheRule]
    protect: bool


class RegionWide(Component):
    """Settings that an account has once in each region.

    All of them exist in every account, so AWS overwrites them and refuses no creation. They stay when the
    stack is destroyed: the stacks of the platform need them.
    """

    def __init__(self, name: str, args: RegionWideArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:RegionWide", name, opts)
        stays = self.child(retain_on_delete=True)
        aws.apigateway.Account(name, cloudwatch_role_arn=args.logs_role_arn, opts=stays)
        aws.backup.RegionSettings(
            name,
            resource_type_opt_in_preference={"Aurora": True, "DynamoDB": True},
            resource_type_management_preference={"DynamoDB": True},
            opts=self.child(
                # The provider writes only these types and reads all of them, so it would find a difference in
                # every preview (terraform-provider-aws, `internal/service/backup/region_settings.go`, read
                # 2026-11-27). Others in the account decide about the other types. The preflight finds it if
                # someone has turned one of ours off.
                ignore_changes=["resourceTypeOptInPreference", "resourceTypeManagementPreference"],
                retain_on_delete=True,
            ),
        )
        # Nodes' disks have the platform's own key. This one is for disks that nobody gave a key.
        key = symmetric_key(
            self,
            f"{name}-disks",
            description="Encrypts disks for which no other key is given",
            account_id=args.account,
            protect=args.protect,
        )
        default = aws.ebs.DefaultKmsKey(name, key_arn=key.arn, opts=stays)
        aws.ebs.EncryptionByDefault(
            name, enabled=True, opts=self.child(depends_on=[default], retain_on_delete=True)
        )
        for prefix, cache in args.image_cache.items():
            existing = cache_rule(prefix, cache.registry, pulumi.InvokeOptions(parent=self))
            aws.ecr.PullThroughCacheRule(
                f"{name}-{prefix}",
                ecr_repository_prefix=prefix,
                upstream_registry_url=cache.registry,
                credential_arn=cache.credentials.get(args.region),
                opts=adopting(self.child(), existing),
            )
        self.register_outputs({})
