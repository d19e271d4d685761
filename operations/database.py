"""The names of a stack's database (`components/database`), and the secret of its master user."""

from __future__ import annotations

from typing import Any

from operations.procedure import Account, ProcedureError

SCALED = "application-autoscaling-"
"""Beginning of the names of readers that auto scaling adds."""
BROKEN, RESTORED = "-broken", "-restored"
"""Ends of the names of what a restored database replaces, and of the restored cluster before it does."""
LEFT_OVER = (BROKEN, RESTORED)


def global_database(platform: str) -> str:
    """Identifier of the global database of a platform."""
    return f"{platform}-database"


def cluster(platform: str, region: str) -> str:
    """Identifier of a region's cluster."""
    return f"{platform}-database-{region}"


def master_user(platform: str, region: str) -> str:
    """Beginning of the description of a region's master secret."""
    return f"Master user of {cluster(platform, region)};"


def master_secrets(account: Account, platform: str, region: str) -> list[Any]:
    """A region's master secrets, as `ListSecrets` describes them."""
    prefix = master_user(platform, region)
    pages = account.client("secretsmanager", region).get_paginator("list_secrets")
    return [
        secret
        for page in pages.paginate(Filters=[{"Key": "description", "Values": [prefix]}])
        for secret in page["SecretList"]
        if secret.get("Description", "").startswith(prefix)
    ]


def master_secret(account: Account, platform: str, region: str) -> Any:
    """A region's master secret, as `ListSecrets` describes it.

    Raises:
        ProcedureError: there is not exactly one.
    """
    found = master_secrets(account, platform, region)
    if len(found) != 1:
        raise ProcedureError(f"{len(found)} secrets in {region} describe {cluster(platform, region)}, not 1")
    return found[0]
