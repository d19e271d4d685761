"""Prepares an account for the platform. docs/deployment.md has the commands."""

from __future__ import annotations

import sys
from pathlib import Path

# The engine runs this folder, and the project's packages are in the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pulumi
import pulumi_aws as aws

from account import prepared
from bootstrap.account_wide import AccountRoles, AccountRolesArgs, RegionWide, RegionWideArgs
from bootstrap.adopted import AdoptionError
from bootstrap.config import BootstrapSettings, DeployerError, deployer
from bootstrap.pipelines import Pipelines, PipelinesArgs
from bootstrap.state import StateBackend, StateBackendArgs
from settings import SettingsError


def deploy(settings: BootstrapSettings) -> None:
    """Deploys what exists once, and then what exists once in each region."""
    policies = {stack: deployer(stack) for stack in settings.stacks}
    tags = {"environment": "account", "platform": "trading-account", **settings.tags}
    providers = {
        region: aws.Provider(
            f"aws-{region}",
            region=region,
            allowed_account_ids=[settings.account],
            default_tags={"tags": tags},
        )
        for region in settings.regions
    }
    at_home = pulumi.ResourceOptions(provider=providers[settings.home])
    state = StateBackend(
        "state",
        StateBackendArgs(
            account=settings.account,
            region=settings.home,
            stacks=[prepared.ACCOUNT_SECRETS, *settings.stacks],
            log_retention_days=settings.log_retention_days,
            versions_days=settings.state_versions_days,
            protect=settings.protect,
        ),
        at_home,
    )
    pipelines = Pipelines(
        "pipelines",
        PipelinesArgs(
            account=settings.account,
            repository=settings.repository,
            stacks=settings.stacks,
            policies=policies,
            state=state,
        ),
        at_home,
    )
    roles = AccountRoles("account", AccountRolesArgs(services=settings.service_linked_roles), at_home)
    for region, provider in providers.items():
        RegionWide(
            f"region-{region}",
            RegionWideArgs(
                account=settings.account,
                region=region,
                logs_role_arn=roles.logs_role_arn,
                image_cache=settings.image_cache,
                protect=settings.protect,
            ),
            pulumi.ResourceOptions(provider=provider),
        )
    _export(settings, state, pipelines)


def _export(settings: BootstrapSettings, state: StateBackend, pipelines: Pipelines) -> None:
    """Exports what the commands of the documentation and the variables of the pipelines need."""
    pulumi.export(
        "state", pulumi.Output.format("s3://{0}?region={1}&awssdk=v2", state.bucket_name, settings.home)
    )
    for stack, key in state.secrets_key_arns.items():
        provider = prepared.secrets_provider(stack, settings.home)
        pulumi.export(f"secretsProvider-{stack}", key.apply(lambda _, provider=provider: provider))
    for stack, roles in pipelines.roles.items():
        for kind, arn in roles.items():
            pulumi.export(f"role-{kind}-{stack}", arn)
    pulumi.export("permissionsBoundary", pipelines.workloads_arn)
    pulumi.export("protected", settings.protect)


try:
    deploy(BootstrapSettings.load())
except (AdoptionError, DeployerError, SettingsError) as error:
    # The user must fix a setting or a file. The message explains how, and a traceback would hide it.
    sys.exit(f"error: {error}")
