"""Settings of an account: the keys of the stack files in this folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from account.prepared import ACCOUNT_SECRETS
from bootstrap.linked_roles import LINKED_ROLES
from policy.ours import OURS
from settings.aws_limits import MANAGED_POLICIES, MANAGED_POLICY_LENGTH
from settings.loading import StackModel
from settings.model import Broken, DnsLabel, Model, refuse_duplicates, rule
from settings.regions import Region
from settings.tags import Tags

DEPLOYER = Path(__file__).parent / "deployer"
"""Folder with the policies of each stack's roles, as `python -m account policy --json` prints them."""

REGISTRIES = ("public.ecr.aws", "registry.k8s.io", "quay.io")
"""Registries that ECR can cache without credentials (Amazon ECR User Guide, "Sync an upstream registry with
an Amazon ECR private registry", read 2026-11-27)."""
CREDENTIAL_REGISTRIES = ("ghcr.io", "registry-1.docker.io", "registry.gitlab.com")
"""Registries that ECR caches only with credentials, from a secret whose name begins with
`ecr-pullthroughcache/` (the same page)."""

Account = Annotated[str, Field(pattern=r"^\d{12}$", examples=["123456789012"])]
Repository = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}/[\w.-]{1,100}$", examples=["example/trading"])
]
ServiceName = Annotated[str, Field(pattern=r"^[a-z0-9.-]+\.amazonaws\.com$", examples=["spot.amazonaws.com"])]
CredentialArn = Annotated[
    str,
    Field(
        pattern=r"^arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:ecr-pullthroughcache/\S+$",
        examples=["arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/ghcr-a1b2c3"],
    ),
]


class CacheRule(Model):
    """A pull through cache rule: ECR fetches and keeps the images of a registry."""

    registry: str = Field(examples=["ghcr.io"])
    """The registry, such as `ghcr.io`."""
    credentials: dict[str, CredentialArn] = {}
    """Region → ARN of the secret with the registry's user name and token. Some registries require one."""

    @rule
    def _registry_can_be_cached(self) -> Iterator[Broken]:
        known = (*REGISTRIES, *CREDENTIAL_REGISTRIES)
        if self.registry not in known:
            yield Broken(f"{self.registry} must be one of {', '.join(known)}", ("registry",))
        for region, arn in self.credentials.items():
            if arn.split(":")[3] != region:
                yield Broken(f"{arn} must be in {region}", ("credentials", region))


class BootstrapSettings(StackModel):
    """All settings of an account."""

    account: Account
    """The account's number. A deployment with credentials of another account is refused."""
    repository: Repository
    """The repository on GitHub whose jobs may assume the roles."""
    regions: list[Region] = Field(min_length=1)
    """The regions of the stacks. The first one holds the state and its keys."""
    stacks: list[DnsLabel] = Field(min_length=1, examples=["dev"])
    """The platform's stacks in this account. Each gets a key for its secrets, and three roles."""
    tags: Tags
    """Tags of every resource, seven at most. `owner` and `cost-center` are required."""
    protect: bool = True
    """Whether the state and its keys are protected from deletion."""
    log_retention_days: int = Field(default=365, ge=30, le=3650)
    """Days for which the log of all requests to the state bucket is kept."""
    state_versions_days: int = Field(default=365, ge=30, le=3650)
    """Days for which older versions of a state are kept."""
    service_linked_roles: list[ServiceName] = [*LINKED_ROLES]
    """Services whose role must exist before the first deployment."""
    image_cache: dict[Annotated[str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$")], CacheRule] = {}
    """Prefix of the repositories → the registry that ECR caches there, in every region. Name the caches in
    `cluster.imageMirrors` of the platform's stacks."""

    @field_validator("account")
    @classmethod
    def _rules_know_the_account(cls, account: str) -> str:
        if account not in OURS.accounts:
            raise ValueError(
                f"is not in `accounts` of policy/ours.yaml ({', '.join(OURS.accounts)}): add it there, or "
                "the rules take your own account for a stranger's"
            )
        return account

    @field_validator("regions")
    @classmethod
    def _regions_are_distinct(cls, regions: list[str]) -> list[str]:
        refuse_duplicates("region", regions)
        return regions

    @field_validator("stacks")
    @classmethod
    def _stacks_are_distinct(cls, stacks: list[str]) -> list[str]:
        refuse_duplicates("stack", stacks)
        if ACCOUNT_SECRETS in stacks:
            raise ValueError(
                f"{ACCOUNT_SECRETS} is the name of this project's own stack: choose another name"
            )
        return stacks

    @rule
    def _caches_have_their_credentials(self) -> Iterator[Broken]:
        for prefix, cache in self.image_cache.items():
            where = ("imageCache", prefix, "credentials")
            if cache.registry in CREDENTIAL_REGISTRIES:
                for region in sorted({*self.regions} - {*cache.credentials}):
                    yield Broken(f"must have a secret in {region}: {cache.registry} requires one", where)

    @property
    def home(self) -> str:
        """The region of the state and its keys."""
        return self.regions[0]


class DeployerError(Exception):
    """Raised if a stack's policies are missing or too large. The text says how to write them."""


def deployer(stack: str) -> dict[str, list[dict[str, Any]]]:
    """The policies of a stack's roles: kind of the role → documents.

    Raises:
        DeployerError: the file is missing, isn't what the command prints, or exceeds IAM's limits.
    """
    path = DEPLOYER / f"{stack}.json"
    command = f"write it with `make deployer-policy STACK={stack} OUT=bootstrap/deployer/{stack}.json`"
    try:
        found = json.loads(path.read_text())
        policies = {
            "deploy": found["policies"],
            "preview": found["reads"],
            "read": found["reads"] + found["sensitive"],
        }
    except FileNotFoundError:
        raise DeployerError(f"{path.name} is missing in bootstrap/deployer: {command}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeployerError(f"{path.name} is not the output of the command ({error!r}): {command}") from None
    for kind, documents in policies.items():
        if len(documents) > MANAGED_POLICIES:
            raise DeployerError(
                f"{path.name}: {kind} has {len(documents)} policies, and a role accepts {MANAGED_POLICIES}"
            )
        for document in documents:
            if len(json.dumps(document, separators=(",", ":"))) > MANAGED_POLICY_LENGTH:
                raise DeployerError(
                    f"{path.name}: a policy of {kind} exceeds {MANAGED_POLICY_LENGTH} characters: {command}"
                )
    return policies
