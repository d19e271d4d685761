"""`python -m sandbox`: deploy the platform on this machine, without an AWS account."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from policy import switches
from policy.switches import RESULT_VARIABLE, Result, RulesError
from sandbox import previewed
from sandbox.apiserver import ApiServers
from sandbox.aws.store import Row, Store
from sandbox.folder import SandboxError, deleted, is_sandbox, lock, lock_holder
from sandbox.project import PACK, Sandbox

if TYPE_CHECKING:
    from sandbox.engine import Session

TIER = "trading:tier:"
"""Prefix of the type tokens of all tiers."""

CLOSED_PIPE = 128 + signal.SIGPIPE
"""A shell's exit status for a command whose output is no longer read."""


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit status.

    The status is 2 if the user's arguments or files are wrong, and 1 if the sandbox fails.
    """
    options = _parser().parse_args(arguments)
    try:
        sandbox = Sandbox.of(options.project)
        if options.function is not _reset:
            sandbox.check(getattr(options, "stack", None))
    except SandboxError as error:
        _bad(str(error))
    try:
        return options.function(sandbox, options)
    except (RulesError, SandboxError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(arguments: Sequence[str]) -> int:
    """Runs `main` and handles errors of the operating system, such as a full disk or a closed pipe."""
    _open_standard_streams()
    try:
        try:
            return main(arguments)
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except BrokenPipeError:
        status = CLOSED_PIPE
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    # Otherwise writing the rest of the buffer would fail again when the interpreter exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _open_standard_streams() -> None:
    """Opens standard streams that the caller closed, so that no file of the sandbox takes their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--project",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the folder that contains Pulumi.yaml (default: the current one)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("exec", help="run a command in the sandbox: exec -- pulumi stack export")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- COMMAND ARGUMENT…")
    run.set_defaults(function=_exec)
    for name, function, text in (
        ("up", _up, "deploy a stack"),
        ("preview", _preview, "show what a deployment would change"),
        ("down", _down, "destroy a stack's resources"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--stack", default="local", help="a stack with a Pulumi.<stack>.yaml file (default: local)"
        )
        if function is not _down:
            command.add_argument(
                "--no-policies", action="store_true", help="do not enforce the rules of policy/pack"
            )
        if function is _preview:
            command.add_argument(
                "--json", action="store_true", help="print all resources as JSON, also unchanged ones"
            )
        command.set_defaults(function=function)
    status = commands.add_parser("status", help="show what is running and what the sandbox contains")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(function=_status)
    reset = commands.add_parser("reset", help="delete the sandbox and everything in it")
    reset.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    reset.set_defaults(function=_reset)
    return parser


def _session(sandbox: Sandbox) -> Session:
    # Imported here because the import takes most of a second and needs a writable folder for temporary files.
    from sandbox.engine import Session

    return Session(sandbox)


def _exec(sandbox: Sandbox, options: argparse.Namespace) -> int:
    command = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    if not command:
        _bad("exec needs a command: python -m sandbox exec -- pulumi stack export")
    with _session(sandbox) as session:
        return session.run(command)


def _up(sandbox: Sandbox, options: argparse.Namespace) -> int:
    if not _settings_are_right(sandbox, options.stack):
        return 2
    # Rules over several resources are checked at the end of a preview. Without it, the deployment could
    # create resources that violate them. Without rules, nobody would look at the preview, so it is skipped.
    rules = _policies(sandbox, options)
    with _session(sandbox) as session:
        result = _result_file(session)
        digest = previewed.digest(sandbox) if rules else ""
        if not rules or previewed.last(sandbox, options.stack) == digest:
            rules = [*rules, "--skip-preview"]
            _repeat_preview(sandbox, options.stack, result)
        previewed.remember(sandbox, options.stack, "")
        status = session.run(["pulumi", "up", "--stack", options.stack, "--yes", *rules])
        if status == 0:
            if not options.no_policies:
                print(switches.proof(result, preview=False))
            previewed.remember(sandbox, options.stack, digest)
    if status == 0:
        _print_tiers(sandbox.deployment(options.stack).get("resources", []))
    return status


def _preview(sandbox: Sandbox, options: argparse.Namespace) -> int:
    if not _settings_are_right(sandbox, options.stack):
        return 2
    rules = _policies(sandbox, options)
    with _session(sandbox) as session:
        result = _result_file(session)
        form = ["--json", "--show-sames"] if options.json else ["--diff"]
        status = session.run(["pulumi", "preview", "--stack", options.stack, *form, *rules])
    if status == 0 and not options.no_policies:
        # Standard output can be JSON.
        print(switches.proof(result, preview=True), file=sys.stderr)
    return status


def _repeat_preview(sandbox: Sandbox, stack: str, result: Path) -> None:
    """Stores the data of the last deployment as that of a preview, which would have found the same."""
    data = [resource["urn"] for resource in sandbox.deployment(stack).get("resources", [])]
    Result(preview=True, rules=0, resources=0, problems=0, excepted=0, waiting=0, data=data).save(result)


def _result_file(session: Session) -> Path:
    """An empty place for the result of the policy pack, which gets it through the environment."""
    path = session.sandbox.directory / "rules"
    path.unlink(missing_ok=True)
    session.environment[RESULT_VARIABLE] = str(path)
    return path


def _settings_are_right(sandbox: Sandbox, stack: str) -> bool:
    """Whether the stack's settings are valid; if not, prints the problems that the project's command reports.

    Without this check, an error would only appear after the tools and the engine have started.
    """
    if not (sandbox.project / "settings" / "__main__.py").is_file():
        return True
    command = [sys.executable, "-m", "settings", "check", "--stack", stack]
    checked = subprocess.run(
        command,
        cwd=sandbox.project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if checked.returncode:
        print(checked.stdout, end="")
        print(checked.stderr, end="", file=sys.stderr)
    return checked.returncode == 0


def _policies(sandbox: Sandbox, options: argparse.Namespace) -> list[str]:
    """The engine's options for the project's policy pack.

    Raises:
        RulesError: the pack is missing, or the environment could weaken it.
    """
    if options.no_policies:
        return []
    switches.refuse(os.environ)
    pack = sandbox.repository / PACK
    if not (pack / "PulumiPolicy.yaml").is_file():
        raise RulesError(
            f"{pack} has no policy pack, so no rule would be checked: restore it, or leave the rules out "
            "with --no-policies"
        )
    return ["--policy-pack", str(pack)]


def _down(sandbox: Sandbox, options: argparse.Namespace) -> int:
    stack = options.stack
    resources = sandbox.deployment(stack).get("resources", [])
    protected = sorted(_shown(resource["urn"]) for resource in resources if resource.get("protect"))
    if protected:
        print(
            f"error: stack {stack} protects {len(protected)} resources:",
            *protected,
            sep="\n  ",
            file=sys.stderr,
        )
        print(
            f"Nothing was destroyed. To allow it, set `trading:protect: false` in Pulumi.{stack}.yaml, run "
            f"`python -m sandbox up --stack {stack} --no-policies`, and then run this command again.",
            file=sys.stderr,
        )
        return 1
    with _session(sandbox) as session:
        previewed.remember(sandbox, stack, "")
        status = session.run(["pulumi", "destroy", "--stack", stack, "--yes", "--skip-preview"])
    left = sandbox.deployment(stack).get("resources", [])
    kept = _aws_rows(sandbox, stack)
    print(f"\nRemaining of stack {stack}: {len(left)} resources in its state, {len(kept)} in AWS.")
    print(f"Clusters in the sandbox: {', '.join(ApiServers(sandbox.directory).names()) or 'none'}.")
    for item in left:
        print(f"  {_shown(item['urn'])}")
    for row in kept:
        print(f"  in AWS: {_shown(row.urn)}")
    return status


def _status(sandbox: Sandbox, options: argparse.Namespace) -> int:
    status = _holdings(sandbox)
    if options.json:
        print(json.dumps(status, indent=2))
        return 0
    print(f"{status['directory']}: {status['running'] or 'nothing is running'}")
    _print_table(
        ("Stack", "Resources", "Protected"),
        [(name, stack["resources"], stack["protected"]) for name, stack in status["stacks"].items()],
    )
    _print_table(("AWS service", "Resources"), status["aws"].items())
    for cluster in status["clusters"]:
        objects = cluster["objects"]
        _print_table((f"Kind in cluster {cluster['name']}", "Objects"), (objects or {"(in use)": ""}).items())
    return 0


def _holdings(sandbox: Sandbox) -> dict[str, Any]:
    """The counts that `status` shows."""
    states = {stack: sandbox.deployment(stack).get("resources", []) for stack in sandbox.deployed_stacks()}
    running = lock_holder(sandbox.directory)
    servers = ApiServers(sandbox.directory)
    if not running and servers.names():
        # Counting objects needs the API servers, which don't run between commands.
        with lock(sandbox.directory):
            try:
                servers.start_existing()
                clusters = servers.status()
            finally:
                servers.stop()
    else:
        clusters = servers.status()
    return {
        "directory": str(sandbox.directory),
        "running": running,
        "stacks": {
            stack: {
                "resources": len(resources),
                "protected": sum(bool(resource.get("protect")) for resource in resources),
            }
            for stack, resources in states.items()
        },
        "aws": dict(sorted(_aws_resources(sandbox).items())),
        "clusters": [
            {"name": cluster["name"], "endpoint": cluster["endpoint"], "objects": cluster["objects"]}
            for cluster in clusters
        ],
    }


def _aws_resources(sandbox: Sandbox) -> Counter[str]:
    """AWS service → number of resources."""
    return Counter(row.type.removeprefix("aws:").split("/")[0] for row in _aws_rows(sandbox, None))


def _aws_rows(sandbox: Sandbox, stack: str | None) -> list[Row]:
    """The AWS resources of one stack or of all."""
    if not is_sandbox(sandbox.directory):
        return []
    store = Store(sandbox.directory)
    rows = [row for row in store.all() if stack in (None, row.urn.split("::")[0].removeprefix("urn:pulumi:"))]
    store.close()
    return rows


def _reset(sandbox: Sandbox, options: argparse.Namespace) -> int:
    if is_sandbox(sandbox.directory) and not options.yes:
        if not sys.stdin.isatty():
            _bad("reset deletes everything in the sandbox: confirm with --yes")
        print(f"Delete the sandbox in {sandbox.directory} with everything in it? [y/N] ", end="", flush=True)
        answer = sys.stdin.readline()
        if answer.strip().lower() not in ("y", "yes"):
            return 1
    print(deleted(sandbox.directory))
    return 0


def _bad(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _shown(urn: str) -> str:
    """The type and name of a URN."""
    _, _, types, name = urn.split("::", 3)
    return f"{types.rsplit('$', 1)[-1]} {name}"


def _print_tiers(resources: Iterable[dict[str, Any]]) -> None:
    """Prints the number of resources in each tier, in the order in which the tiers were completed.

    The resources of a nested tier count for the outer tier.
    """
    place: dict[str, str] = {}
    counts: Counter[str] = Counter()
    complete: dict[str, str] = {}
    for resource in resources:  # parents come before their children
        urn, kind = resource["urn"], resource["type"]
        if kind.startswith("pulumi:providers:") and "::default" in urn:
            continue  # the engine doesn't count its default providers either
        tier = place.get(resource.get("parent", ""), "")
        if not tier and kind.startswith(TIER):
            tier = kind.removeprefix(TIER)
        place[urn] = tier
        row = tier or ("providers" if kind.startswith("pulumi:providers:") else "(no tier)")
        counts[row] += 1
        complete[row] = max(complete.get(row, ""), resource.get("created", ""))
    rows = sorted(counts.items(), key=lambda item: complete[item[0]])
    _print_table(("Tier", "Resources"), [*rows, ("total", counts.total())])


def _print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = [header, *rows]
    widths = [max(len(str(row[column])) for row in table) for column in range(len(header))]
    print()
    for row in table:
        first, *others = (str(cell) for cell in row)
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
