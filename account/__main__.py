"""`python -m account`: the permissions that a deployment needs, whether an account is ready for it, and
whether it has worked."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import yaml

from account import question
from account.guardrails import policies
from account.permissions import UnknownActionError, UnknownTypeError
from account.policy import Deployer, PolicyError, compact, deployer
from account.preflight import (
    SECRETS_PROVIDER,
    asked,
    questions,
    secrets_key,
    secrets_provider,
    secrets_region,
)
from account.question import Answer, Question, answers
from account.stack import Caller, Stack, caller
from account.verify import questions as verify
from account.verify.clients import Clients
from account.verify.engine import Engine, EngineError
from bootstrap.config import BootstrapSettings
from policy.scan.plan import State
from report.planned import PlannedError, planned
from report.planned import resources as previewed
from settings import Settings, SettingsError
from settings.aws_limits import EDGE_REGION
from settings.stack_file import StackFileError, read, stack_path

BOOTSTRAP = Path("bootstrap")
"""The folder of the project that prepares an account."""


def main(arguments: Sequence[str]) -> int:
    """Runs one command in the project's folder. Returns 2 for an error that the user can fix."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "verify":
            return _verify(options)
        if options.command == "guardrails":
            return _guardrails(options.out)
        resources = _resources(options.stack, getattr(options, "preview", None))
        if options.command == "preflight":
            return _preflight(options.stack, resources, options.json)
        found = generated(_stack(options.stack, resources, None))
        if options.out:
            _write(options.out, json.dumps(as_json(found), indent=1))
            counts = f"{len(found.policies)} policies for deployments, {len(found.reads)} for previews"
            print(f"{options.out}: {counts}")
            return 0
    except EngineError as error:
        print(f"error: {error}: {error.answer.remedy}", file=sys.stderr)
        return 2
    except (
        OutputError,
        PlannedError,
        PolicyError,
        SettingsError,
        StackFileError,
        UnknownActionError,
        UnknownTypeError,
    ) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(as_json(found), indent=2) if options.json else "\n".join(lines(found)))
    return 0


class OutputError(Exception):
    """Raised if a file can't be written. The text names the path and the reason."""


def _write(path: Path, text: str) -> None:
    """Writes a file, and creates the folders that it needs."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"--out: {path} can't be written ({error.strerror}): name a file in a folder in which you may "
            "write"
        ) from None


def _guardrails(folder: Path | None) -> int:
    """Prints the service control policies for the account, or writes a file for each."""
    settings = BootstrapSettings.parse(read(stack_path(BOOTSTRAP, "account")).values())
    found = policies(settings.regions)
    if folder is None:
        print(json.dumps(found, indent=2))
        return 0
    for name, document in found.items():
        path = folder / f"{name}.json"
        _write(path, compact(document))
        print(f"{path}: {len(compact(document))} characters")
    return 0


def _resources(stack: str, preview: Path | None) -> Sequence[State]:
    """The stack's resources: those of a preview, or else those that the sandbox plans."""
    return planned(stack) if preview is None else previewed(_text(preview), str(preview))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlannedError(f"{path} can't be read: {error.strerror}") from None


def _preflight(name: str, resources: Sequence[State], is_json: bool) -> int:
    session: Any = boto3.Session()

    def clients(service: str, region: str) -> Any:
        return None if service == "none" else session.client(service, region_name=region)

    stack = _stack(name, resources, caller(clients("sts", EDGE_REGION)))
    found = [
        (SECRETS_PROVIDER, secrets_provider(_document(name))),
        *answers([*questions(stack, clients)], clients),
    ]
    return _told(found, is_json)


def _verify(options: argparse.Namespace) -> int:
    source = str(options.state or f"the state of stack {options.stack}")
    text = _text(options.state) if options.state else Engine(options.stack).export()
    stack = _stack(options.stack, previewed(text, source), None)
    clients = Clients(boto3.Session(), options.stack, stack)
    token = os.environ.get(verify.TOKEN_VARIABLE, "").strip()
    found = [*verify.questions(stack, clients, options.messages, token)]
    return _told(answers(found, clients), options.json)


def _told(found: Sequence[tuple[Question, Answer]], is_json: bool) -> int:
    """Prints the answers, and returns the exit status."""
    print(json.dumps(question.as_json(found), indent=2) if is_json else "\n".join(question.table(found)))
    return question.exit_status(found)


def _stack(name: str, resources: Sequence[State], who: Caller | None) -> Stack:
    document = _document(name)
    return Stack(
        settings=Settings.parse(read(stack_path(Path(), name)).values()),
        resources=resources,
        secrets_key=secrets_key(document),
        secrets_region=secrets_region(document),
        caller=who,
    )


def _document(name: str) -> Any:
    """The whole stack file."""
    return yaml.safe_load(stack_path(Path(), name).read_text())


def generated(stack: Stack) -> Deployer:
    """The permissions of the stack's roles. Only the role that deploys asks the account, before and after a
    deployment.

    Raises:
        PolicyError, UnknownTypeError, UnknownActionError: as `account.policy.deployer`.
    """
    return deployer(stack.resources, {*asked(stack), *verify.asked(stack)})


def as_json(found: Deployer) -> dict[str, object]:
    """The policies, and what they don't limit to the stack's own resources."""
    return {
        "policies": found.policies,
        "sizes": found.sizes,
        "reads": found.reads,
        "sensitive": found.sensitive,
        "unlimited": [{"action": item.action, "reason": item.reason} for item in found.unlimited],
    }


def lines(found: Deployer) -> Iterator[str]:
    """The policies for people."""
    for number, (policy, size) in enumerate(zip(found.policies, found.sizes, strict=True), 1):
        yield f"# Policy {number} of {len(found.policies)}, {size} characters"
        yield json.dumps(policy, indent=2)
    reasons: dict[str, list[str]] = defaultdict(list)
    for item in found.unlimited:
        reasons[item.reason].append(item.action)
    yield (
        f"# {len(found.actions)} actions. {len(found.unlimited)} of those that write or return data aren't "
        "limited to the stack's own resources (but to its regions, where the service has regions):"
    )
    yield from (f"#   {reason}: {', '.join(actions)}" for reason, actions in sorted(reasons.items()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m account", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    policy = commands.add_parser("policy", help="print the policies that the role that deploys needs")
    preflight = commands.add_parser(
        "preflight",
        help="ask the account whether it is ready for a deployment. The exit status is 0 if it is, 1 if a "
        "check fails, and 3 if one is unknown and none fails",
    )
    afterwards = commands.add_parser(
        "verify",
        help="ask whether the deployed stack does what it is for. The exit status is as that of preflight. "
        f"{verify.TOKEN_VARIABLE} in the environment may have an access token for the API",
    )
    for command in (policy, preflight, afterwards):
        command.add_argument("--stack", required=True, help="a stack with a Pulumi.<stack>.yaml file")
        command.add_argument("--json", action="store_true", help="print JSON")
    preflight.add_argument(
        "--preview",
        type=Path,
        metavar="FILE",
        help="the output of `pulumi preview --json --show-sames`, instead of a plan in the sandbox",
    )
    afterwards.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="the output of `pulumi stack export`, instead of running it",
    )
    afterwards.add_argument(
        "--messages",
        action="store_true",
        help="send messages to each alarm topic that say that they are a test: its subscribers get them",
    )
    guardrails = commands.add_parser(
        "guardrails", help="print service control policies for the account, with the regions of bootstrap/"
    )
    guardrails.add_argument("--out", type=Path, metavar="FOLDER", help="write a file for each policy")
    policy.add_argument("--out", type=Path, metavar="FILE", help="write the JSON to a file, for bootstrap/")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
