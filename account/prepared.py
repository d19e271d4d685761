"""What the project `bootstrap` prepares in an account: the names, and what the pipelines need of the roles.

Both the project and the preflight use them. `.github/workflows` has the environments and the sessions.
"""

from __future__ import annotations

ISSUER = "token.actions.githubusercontent.com"
"""GitHub's issuer of the tokens of jobs ("OpenID Connect reference", GitHub Docs, read 2026-11-27)."""
AUDIENCE = "sts.amazonaws.com"
"""The audience for which `aws-actions/configure-aws-credentials` asks."""

DEPLOY_SECONDS = 7200
"""Duration of the session of a deployment (`session-seconds` in `.github/workflows/deploy.yaml`)."""
READ_SECONDS = 3600
"""Duration of all other sessions (the default of `.github/actions/pulumi/action.yaml`)."""

SESSIONS = {"deploy": DEPLOY_SECONDS, "preview": READ_SECONDS, "read": READ_SECONDS}
"""Kind of a role → its longest session, in seconds."""

BOUNDARY = "trading-boundary"
"""Name of the permissions boundary of the pipelines' roles."""
WORKLOADS = "trading-workloads"
"""Name of the permissions boundary of the roles that stacks create."""
STATE_ALIAS = "alias/trading-state"
"""Alias of the key that encrypts the state bucket."""
ACCOUNT_SECRETS = "account"
"""Name of the secrets of the stack that prepares the account."""

ENVIRONMENTS = {"deploy": "{}", "preview": "preview-{}", "read": "read-{}"}
"""Kind of a role → the environment of its jobs, in which `{}` is the stack's name. Every job on AWS has an
environment, so no token has the subject `pull_request` or `ref:refs/heads/main` ("The subject claim includes
the environment name when the job references an environment", GitHub Docs, read 2026-11-27)."""


def state_bucket(account: str, region: str) -> str:
    """Name of the bucket with the states of all stacks. Bucket names are unique in all accounts."""
    return f"trading-state-{account}-{region}"


def secrets_alias(stack: str) -> str:
    """Alias of the key that encrypts the secrets of a stack's state."""
    return f"alias/trading-secrets-{stack}"


def secrets_provider(stack: str, region: str) -> str:
    """The address of that key for `pulumi stack init --secrets-provider`."""
    return f"awskms:///{secrets_alias(stack)}?region={region}"


def policy_arn(account: str, name: str) -> str:
    """ARN of a policy with this name."""
    return f"arn:aws:iam::{account}:policy/{name}"


def workloads_arn(account: str) -> str:
    """ARN of the permissions boundary of the roles that stacks create."""
    return policy_arn(account, WORKLOADS)


def role_name(kind: str, stack: str) -> str:
    """Name of a role of the pipelines."""
    return f"trading-{kind}-{stack}"


def subject(kind: str, stack: str, repository: str) -> str:
    """The only subject whose tokens may assume the role."""
    return f"repo:{repository}{environment(kind, stack)}"


def environment(kind: str, stack: str) -> str:
    """The end of the role's subject, which names the environment of a job."""
    return f":environment:{ENVIRONMENTS[kind].format(stack)}"
