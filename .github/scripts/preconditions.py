"""Checks what a job on a real stack needs, before it installs anything, and says what to set up.

`preconditions.py check` reads what the workflow passes in the environment, and sets the output `engine` of
the step. `preconditions.py session` explains why AWS refused the session; it runs only then. It only needs
Python's standard library.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from github_api import set_output

SESSION_SECONDS = (900, 43_200)
"""Shortest and longest session of a role (STS, `AssumeRoleWithWebIdentity`, read 2026-11-27)."""

DEFAULT_SESSION = 3_600
"""The longest session of a role whose `MaxSessionDuration` was never set, in seconds."""

DOCUMENTATION = "docs/deployment.md#deploy-from-pipelines"

_BACKENDS = ("s3://", "https://", "azblob://", "gs://", "file://", "postgres://")


def problems(environment: dict[str, str]) -> Generator[str]:
    """What is missing or wrong, one sentence for each."""
    name = environment.get("RUNNER_VARIABLE", "")
    if not environment.get("RUNNER_LABEL"):
        yield (
            f"the repository's variable {name} is not set: name a runner in one of the networks of "
            "cluster.publicAccessCidrs, or in the VPC of a private endpoint. Runners that GitHub hosts can't "
            "reach a cluster, so that every preview and every deployment fails once one exists"
        )
    role, where = environment.get("AWS_ROLE", ""), environment.get("ENVIRONMENT", "")
    variable = environment.get("ROLE_VARIABLE", "")
    if not role:
        yield f"the variable {variable} of the environment {where} is not set: name the role to assume"
    elif not re.fullmatch(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+", role):
        yield (
            f"{variable} of the environment {where} is {role!r}; expected an ARN such as "
            "arn:aws:iam::123456789012:role/deploy"
        )
    backend = environment.get("PULUMI_BACKEND_URL", "")
    if not backend.startswith(_BACKENDS):
        yield f"PULUMI_BACKEND_URL is {backend!r}; expected the address of a state backend such as s3://bucket"
    seconds = environment.get("SESSION_SECONDS", "")
    shortest, longest = SESSION_SECONDS
    if not seconds.isdecimal() or not shortest <= int(seconds) <= longest:
        yield f"session-seconds is {seconds!r}; expected a number from {shortest:,} to {longest:,}"


def engine(requirements: str) -> str:
    """The engine's version: that of the SDK in requirements.txt.

    Raises:
        ValueError: it has none.
    """
    found = re.search(r"^pulumi==([\d.]+)", requirements, re.MULTILINE)
    if not found:
        raise ValueError("requirements.txt has no line such as pulumi==3.255.0")
    return found[1]


def refused(environment: dict[str, str]) -> str:
    """Why AWS may have refused a session."""
    seconds = int(environment["SESSION_SECONDS"])
    role, where = environment["AWS_ROLE"], environment["ENVIRONMENT"]
    name = role.rsplit("/", 1)[-1]
    text = (
        f"AWS refused a session of {seconds:,} seconds for {role} (the message is in the step before). Its "
        f"trust policy must allow the subject repo:{environment['GITHUB_REPOSITORY']}:environment:{where}."
    )
    if seconds > DEFAULT_SESSION:
        text += (
            f" Its MaxSessionDuration must be at least {seconds}; it is {DEFAULT_SESSION} unless it was set: "
            f"aws iam update-role --role-name {name} --max-session-duration {seconds}"
        )
    return text


def main(arguments: list[str]) -> int:
    """Runs one of the two commands."""
    environment = dict(os.environ)
    if arguments == ["session"]:
        print(f"error: {refused(environment)}", file=sys.stderr)
        return 1
    found = list(problems(environment))
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    if found:
        print(f"{DOCUMENTATION} describes the variables and environments.", file=sys.stderr)
        return 1
    try:
        set_output("engine", engine(Path("requirements.txt").read_text()))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
