"""`python -m policy.scan`: scan a stack's state with Checkov, an external scanner.

Exit status: 0 if every failed check has an exception, 1 if another check fails, 2 if the scan itself fails.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from policy import exceptions
from policy.exceptions import ExceptionsError
from policy.rules import NAMES
from policy.scan.checkov import CheckovError, judge
from policy.scan.manifests import manifests
from policy.scan.plan import PlanError, State, plan
from sandbox.project import Sandbox, SandboxError
from sandbox.sdk_schema import UnknownTypeError
from sandbox.tools import ToolError


class ScanError(Exception):
    """Raised if there is nothing to scan. The text says what to do."""


_FAILURES = (CheckovError, ExceptionsError, PlanError, SandboxError, ScanError, ToolError, UnknownTypeError)


@dataclass(frozen=True)
class Finding:
    """A failed check."""

    check: str
    title: str
    type: str
    name: str
    urn: str
    attributes: Sequence[str]
    """The attributes that the check evaluated, with Terraform's or Kubernetes' names."""
    note: str
    """Mentions an expired exception; otherwise empty."""


@dataclass(frozen=True)
class Verdict:
    """The result of a scan."""

    checkov: str
    """Checkov's version."""
    resources: int
    """Number of AWS resources."""
    objects: int
    """Number of Kubernetes objects."""
    passed: int
    excepted: int
    failed: Sequence[Finding]
    unseen: Sequence[str]
    """Properties that only the stack's key can decrypt. Checks cannot evaluate them."""


def scan(state: Sequence[State], today: datetime.date) -> Verdict:
    """Scans the resources of a stack, as `pulumi stack export` shows them.

    Raises:
        PlanError, UnknownTypeError, CheckovError, ToolError, ExceptionsError: the scan failed.
    """
    entries = exceptions.load(known_rules=NAMES)
    made, objects = plan(state), manifests(state)
    report = judge(made.document, objects.documents)
    resources = {**made.resources, **objects.resources}
    failed: list[Finding] = []
    excepted = 0
    for result in sorted((r for r in report.results if not r.passed), key=lambda r: (r.check, r.address)):
        resource = resources[result.address]
        note = exceptions.judged(entries, result.check, resource, "", today)
        if note is None:
            excepted += 1
        else:
            failed.append(
                Finding(
                    check=result.check,
                    title=result.title,
                    type=resource.type,
                    name=resource.name,
                    urn=resource.urn,
                    attributes=result.attributes,
                    note=note.strip(),
                )
            )
    return Verdict(
        checkov=report.version,
        resources=sum(it.type.startswith("aws:") for it in made.resources.values()),
        objects=len(objects.documents),
        passed=sum(result.passed for result in report.results),
        excepted=excepted,
        failed=failed,
        unseen=sorted(made.hidden),
    )


def main(arguments: Sequence[str]) -> int:
    """Scans one stack, prints the result, and returns the exit status."""
    options = _parser().parse_args(arguments)
    today = datetime.datetime.now(datetime.UTC).date()
    try:
        verdict = scan(_state(options), today)
    except _FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # status 1 would mean that a check failed
        print(f"error: the scan failed: {error!r}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(asdict(verdict), indent=2))
    else:
        print(_text(verdict, "the state" if options.state else f"stack {options.stack}"))
    return 1 if verdict.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m policy.scan", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--stack", default="local", help="a stack that is deployed in the sandbox (default: local)"
    )
    parser.add_argument(
        "--state",
        metavar="FILE",
        help="the output of `pulumi stack export` for any other stack; - reads standard input",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _state(options: argparse.Namespace) -> Sequence[State]:
    if options.state:
        try:
            text = sys.stdin.read() if options.state == "-" else Path(options.state).read_text()
            document: Mapping[str, Any] = json.loads(text)
            return document["deployment"].get("resources") or []
        except OSError as error:
            raise ScanError(str(error)) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ScanError(f"{options.state} is not the output of `pulumi stack export`") from None
    resources = Sandbox.of(Path()).deployment(options.stack).get("resources")
    if not resources:
        raise ScanError(
            f"stack {options.stack} is not deployed in the sandbox: run `make up STACK={options.stack}` "
            "first. To scan a stack on AWS, run "
            "`pulumi stack export --stack NAME | .venv/bin/python -m policy.scan --state -`"
        )
    return resources


def _text(verdict: Verdict, what: str) -> str:
    lines: list[str] = []
    for (check, title), findings in groupby(
        verdict.failed, key=lambda finding: (finding.check, finding.title)
    ):
        lines.append(f"{check}: {title}")
        for finding in findings:
            lines.append(f"  {finding.type} {finding.name}{f' {finding.note}' if finding.note else ''}")
            if finding.attributes:
                lines.append(f"    evaluated {', '.join(finding.attributes)}")
        lines.append("")
    lines += [f"Not checked, because all of it is secret: {item}" for item in verdict.unseen]
    lines.append(
        f"Checkov {verdict.checkov} on {what} ({verdict.resources} AWS resources and "
        f"{verdict.objects} Kubernetes objects): {verdict.passed} checks passed, "
        f"{len(verdict.failed)} failed, {verdict.excepted} excepted (policy/exceptions.yaml)."
    )
    if verdict.failed:
        lines.append(
            "Fix the resources in their tier, or explain in policy/exceptions.yaml why they are right."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
