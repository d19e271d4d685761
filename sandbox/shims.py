"""The commands `pulumi` and `aws`, which the sandbox puts first in the PATH."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from sandbox import tools
from sandbox.project import Sandbox, SandboxError, write_file

TOKEN_LIFETIME = timedelta(minutes=14)
"""The lifetime that AWS's own `eks get-token` returns."""

_PATH_OPTIONS = (
    "--config-file",
    "--event-log",
    "--file",
    "--plan",
    "--policy-pack",  # this and the next option can have several paths
    "--policy-pack-config",
    "--save-plan",
)
_CONFIG_CHANGES = ("cp", "rm", "rm-all", "set", "set-all")


def write(sandbox: Sandbox) -> Path:
    """Writes both commands as executables that only need this interpreter, and returns their folder."""
    folder = sandbox.directory / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(path) for path in (tools.REPOSITORY, sandbox.project, sandbox.directory)]
    for name in ("pulumi", "aws"):
        code = (
            "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
            "from sandbox import shims, project; "
            f"shims.run(shims.{name}, project.Sandbox(Path(sys.argv[2]), Path(sys.argv[3])), sys.argv[4:])"
        )
        command = shlex.join([sys.executable, "-c", code, *paths])
        _write(folder / name, f'{command} "$@"')
    # The engine uses this command to start a policy pack that is written in Python, in the pack's folder.
    python = shlex.quote(sys.executable)
    _write(folder / "pulumi-analyzer-policy-python", f'{python} -u __main__.py "$@"')
    return folder


def _write(path: Path, command: str) -> None:
    write_file(path, f"#!/bin/sh\n{tools.SHIM_MARK.decode()}\nexec {command}\n")
    path.chmod(0o755)


def run(
    command: Callable[[Sandbox, list[str]], NoReturn], sandbox: Sandbox, arguments: list[str]
) -> NoReturn:
    """Runs one of the commands below."""
    try:
        command(sandbox, arguments)
    except (SandboxError, OSError) as error:
        _fail(str(error), status=1)


def pulumi(sandbox: Sandbox, arguments: list[str]) -> NoReturn:
    """Runs the engine on the copy of the project. A stack with a file is created when it is first used."""
    if arguments[:1] == ["config"] and arguments[1:2] and arguments[1] in _CONFIG_CHANGES:
        _fail("the sandbox does not change stack files: edit Pulumi.<stack>.yaml, or use `up --config`")
    stack = _option(arguments, "--stack", "-s") or os.environ.get("PULUMI_STACK")
    sandbox.write_copy(stack)
    engine = str(tools.tool("pulumi"))
    if stack in sandbox.committed_stacks() and stack not in sandbox.deployed_stacks():
        command = [engine, "stack", "init", stack]
        made = subprocess.run(command, cwd=sandbox.copy, capture_output=True, text=True)
        if made.returncode:
            _fail(f"stack {stack} can't be created: {made.stderr.strip()}", status=1)
    sandbox.write_environment(stack)
    absolute = _with_absolute_paths(arguments)
    os.chdir(sandbox.copy)
    os.execv(engine, [engine, *absolute])  # noqa: S606 (a shell in between would intercept signals)


def aws(sandbox: Sandbox, arguments: list[str]) -> NoReturn:
    """Implements `aws eks get-token`, which kubeconfigs run. No other command is supported."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--cluster-name", "--region", "--output", "--profile", "--role-arn"):
        parser.add_argument(option)
    options, rest = parser.parse_known_args(arguments)
    if rest != ["eks", "get-token"] or not options.cluster_name:
        _fail(f"`aws {shlex.join(arguments)}`: the sandbox only has `aws eks get-token --cluster-name NAME`")
    try:
        token = sandbox.token(options.cluster_name)
    except SandboxError as error:
        _fail(str(error), status=255)
    expiry = (datetime.now(UTC) + TOKEN_LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
    credential = {
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "spec": {},
        "status": {"expirationTimestamp": expiry, "token": token},
    }
    print(json.dumps(credential))
    sys.exit(0)


def _fail(message: str, status: int = 2) -> NoReturn:
    print(f"sandbox: {message}", file=sys.stderr)
    sys.exit(status)


def _option(arguments: list[str], *names: str) -> str | None:
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else following
    return None


def _with_absolute_paths(arguments: list[str]) -> list[str]:
    """Makes paths absolute, because the engine runs in another folder than the user."""

    def absolute(paths: str) -> str:
        return ",".join(str(Path(path).absolute()) for path in paths.split(","))

    given: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in _PATH_OPTIONS:
            given.append(f"{name}={absolute(value)}")
        else:
            given.append(absolute(argument) if given and given[-1] in _PATH_OPTIONS else argument)
    return given
