"""Previews, deploys and checks a real stack: the commands of the action `pulumi`.

- `real_stack.py preview STACK FOLDER` reports what a deployment would change, and saves its plan.
- `real_stack.py deploy STACK [--approved FILE]` deploys, if the account is ready and the plan is the approved
one, and asks the deployed stack whether it does what it is for.
- `real_stack.py drift STACK FOLDER` reports what in the account differs from the stack's state.

All call the engine that the action installed, with the state backend that PULUMI_BACKEND_URL names.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from approved import UNCHANGED, PlanError, differences, digest_of, load, plan, refusal, save
from commands import TAIL, fail, failed_report, streamed, summarize, write_report
from github_api import event
from heartbeat import Heartbeat
from sandbox_report import labels

from policy import switches
from policy.switches import RESULT_VARIABLE, RulesError

POLICIES = ("--policy-pack", "policy/pack")

BLOCKED = 1
"""Exit status of `python -m report` for a change that the gate blocks; after it, the report is complete."""

UNKNOWN = 3
"""Exit status of `python -m account preflight` and `verify` if nothing fails, and something could not be
asked."""

SHOWN_VALUES = 20
"""Changed properties that the report of a drift shows for each resource."""


@dataclass(frozen=True)
class Previewed:
    """How a previewing command of the engine ended."""

    status: int
    text: str
    """The JSON document that it printed."""
    reasons: list[str]
    """What the engine and the policies reported."""


def previewed(arguments: Sequence[str], log: Path) -> Previewed:
    """Runs a previewing command of the engine, with a log of its events."""
    # The document has neither errors nor violated policies, but the log of the events has. Pulumi's
    # Automation API uses the option too; without the variable it does not exist.
    command = ["pulumi", *arguments, "--non-interactive", "--json", "--event-log", str(log)]
    environment = {
        **os.environ,
        "PULUMI_DEBUG_COMMANDS": "true",
        "PULUMI_OPTION_COLOR": "never",
        RESULT_VARIABLE: str(_result(log)),
    }
    print(f"$ {' '.join(command)}", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", env=environment)
    text = done.stdout[0 if done.stdout.startswith("{") else done.stdout.find("\n{") + 1 :]
    reasons = _reasons(log) or done.stdout.splitlines()[-TAIL:]
    if done.returncode:
        reasons = [*reasons[-TAIL:], f"pulumi {arguments[0]} ended with {done.returncode}"]
        print("\n".join(reasons), file=sys.stderr, flush=True)
    return Previewed(done.returncode, text, reasons)


def _result(log: Path) -> Path:
    """The file in which the policy pack says what the rules did, beside the log of the engine's events."""
    return log.with_name("rules.json")


def _reasons(log: Path) -> list[str]:
    """The messages and the violations of mandatory policies in a log of the engine's events."""
    lines: list[str] = []
    for line in log.read_text().splitlines() if log.exists() else []:
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        diagnostic, policy = found.get("diagnosticEvent", {}), found.get("policyEvent", {})
        if diagnostic and diagnostic["severity"] != "debug" and not diagnostic.get("ephemeral"):
            lines.append(f"{diagnostic.get('urn', '')} {diagnostic['message']}")
        elif policy.get("enforcementLevel") == "mandatory":
            lines.append(f"{policy.get('resourceUrn', '')} {policy['policyName']}: {policy['message']}")
    # Messages have marks for colors.
    text = "\n".join(re.sub(r"<\{%.*?%\}>", "", line).strip() for line in lines)
    return [line for line in text.splitlines() if line.strip()]


def preview(stack: str, folder: Path) -> int:
    """Writes `report.md` and, if the engine succeeds, `plan.json`. Returns the exit status of the step."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        # They hold every property, and the report and the plan are enough.
        document, log = Path(temporary) / "preview.json", Path(temporary) / "events.json"
        # The report estimates the cost of the unchanged resources too.
        found = previewed(["preview", "--stack", stack, "--show-sames", *POLICIES], log)
        if not found.status:
            print(switches.proof(_result(log), preview=True), flush=True)
        document.write_text(found.text, encoding="utf-8")
        log.touch()
        allowed = [argument for label in labels(event()) for argument in ("--label", label)]
        files = ["--preview", str(document), "--events", str(log), "--out", str(folder)]
        status, lines = streamed([sys.executable, "-m", "report", *files, *allowed])
    if status not in (0, BLOCKED) or not (folder / "report.md").exists():
        reasons = found.reasons if found.status else lines
        write_report(folder, failed_report(f"The preview of {stack} failed.", reasons))
        status = status or 1
    elif not found.status:
        entries = plan(digest_of(found.text))
        (folder / "plan.json").write_text(save(entries, os.environ["GITHUB_SHA"], stack), encoding="utf-8")
        # Once a change is merged, the environment's reviewers decide about it, and not its labels.
        status = status if os.environ.get("GITHUB_EVENT_NAME") == "pull_request" else 0
    summarize(folder)
    failed = found.status or status
    return fail(f"the preview of {stack} failed or is blocked: the report says why") if failed else 0


def deploy(stack: str, approved: Path | None) -> int:
    """Deploys the stack, and returns the exit status of the step."""
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary) / "events.json"
        # `up` gets no preview of its own below, at whose end rules over several resources are checked. The
        # preflight needs the unchanged resources too.
        found = previewed(["preview", "--stack", stack, "--show-sames", *POLICIES], log)
        if found.status:
            return fail(f"the deployment of {stack} did not begin: its preview failed")
        print(switches.proof(_result(log), preview=True), flush=True)
        document = Path(temporary) / "preview.json"
        document.write_text(found.text, encoding="utf-8")
        if not _is_ready(stack, document):
            return fail(f"the deployment of {stack} did not begin: the account isn't ready for it")
        try:
            current = plan(digest_of(found.text))
            if approved:
                wanted = load(approved.read_text(encoding="utf-8"), os.environ["GITHUB_SHA"], stack)
                if lines := differences(wanted, current):
                    return fail(refusal(lines))
        except (PlanError, OSError) as error:
            return fail(f"the deployment of {stack} did not begin: {error}")
        print(f"{len(current)} changes" + (", as approved" if approved else ""), flush=True)
        command = ["pulumi", "up", "--stack", stack, "--yes", "--skip-preview", "--non-interactive", "--diff"]
        with Heartbeat(*_platform(stack)):
            status, _ = streamed([*command, *POLICIES], {RESULT_VARIABLE: str(_result(log))})
        if not status:
            print(switches.proof(_result(log), preview=False), flush=True)
            _verify(stack)
    return status


def _is_ready(stack: str, preview: Path) -> bool:
    """Asks the account whether it is ready for what the preview shows. What it doesn't answer is no reason to
    stop: the role may not ask everything."""
    command = [sys.executable, "-m", "account", "preflight", "--stack", stack, "--preview", str(preview)]
    status, _ = streamed(command)
    return status in (0, UNKNOWN)


def _verify(stack: str) -> None:
    """Asks the deployed stack whether it does what it is for.

    A problem is a warning, because the deployment is done, and some answers need time after a first one.
    """
    status, _ = streamed([sys.executable, "-m", "account", "verify", "--stack", stack])
    if status not in (0, UNKNOWN):
        print(
            f"::warning title=make verify STACK={stack}::the deployment is done, but the stack doesn't do "
            "everything that it is for: this step's log says what",
            flush=True,
        )


def _platform(stack: str) -> tuple[str, list[str]]:
    """The platform's name and the regions of a stack file."""
    config = yaml.safe_load(Path(f"Pulumi.{stack}.yaml").read_text())["config"]
    return f"trading-{config['trading:environment']}", [
        region["name"] for region in config["trading:regions"]
    ]


def drift(stack: str, folder: Path) -> int:
    """Writes `drift.json`: what differs, or why that is not known. Returns the exit status of the step."""
    folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"stack": stack, "changes": [], "error": ""}
    with tempfile.TemporaryDirectory() as temporary:
        # It compares the account with the state, and writes nothing. A preview with --refresh would also
        # report what was merged and is not deployed yet.
        arguments = ["refresh", "--stack", stack, "--preview-only"]
        found = previewed(arguments, Path(temporary) / "events.json")
    if found.status:
        result["error"] = "\n".join(found.reasons)
    else:
        steps = digest_of(found.text).get("steps", [])
        result["changes"] = [_drifted(step) for step in steps if step["op"] not in UNCHANGED]
    (folder / "drift.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"{len(result['changes'])} resources differ", flush=True)
    return found.status


def _drifted(step: dict[str, Any]) -> dict[str, Any]:
    return {
        "urn": step["urn"],
        "operation": step["op"],
        "properties": sorted(step.get("detailedDiff") or {})[:SHOWN_VALUES],
    }


def main(arguments: Sequence[str]) -> int:
    """Runs one command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("preview", "drift", "deploy"):
        command = commands.add_parser(name)
        command.add_argument("stack")
        if name == "deploy":
            command.add_argument("--approved", type=Path)
        else:
            command.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        switches.refuse(os.environ)
        if options.command == "deploy":
            return deploy(options.stack, options.approved)
        return (preview if options.command == "preview" else drift)(options.stack, options.folder)
    except RulesError as error:
        return fail(str(error))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
