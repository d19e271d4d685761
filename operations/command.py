"""What the scripts in `operations/` have in common: their arguments, their errors and their exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

from operations.procedure import STOPPED, Procedure, ProcedureError, Runner
from settings import Settings, SettingsError
from settings.stack_file import StackFileError, read, stack_path

USAGE = 2
"""Exit status for arguments or settings that the user can correct."""


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The parser with the arguments of every procedure.

    Args:
        name: the procedure's module in `operations/`.
        description: what it does.
    """
    new = argparse.ArgumentParser(
        prog=f"python -m operations.{name}",
        description=description,
        allow_abbrev=False,
        epilog="The exit status is 0 if everything is done, 1 if a step could not be done, 2 for wrong "
        "arguments, and 3 if a person must do the next step.",
    )
    new.add_argument("--stack", required=True, help="a stack with a Pulumi.<stack>.yaml file")
    new.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    new.add_argument(
        "--yes", metavar="STACK", default="", help="confirm without a question, with the stack's name"
    )
    new.add_argument(
        "--record",
        metavar="FILE",
        type=Path,
        help="the file to which a line of JSON is appended for every step (default: "
        "operations-<stack>.jsonl)",
    )
    return new


def moment(option: str, text: str) -> datetime:
    """The time that an argument names.

    Args:
        option: the argument's option.
        text: its value.

    Raises:
        ProcedureError: it is no time in UTC.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise ProcedureError(
            f"{option} is {text!r}: give a time in UTC, such as 2026-01-31T14:05:00Z"
        ) from error


def execute(
    options: argparse.Namespace, procedure: Callable[[Settings, argparse.Namespace], Procedure]
) -> int:
    """Builds the procedure from the stack's settings and runs it. Prints an error as one line.

    Args:
        options: what `parser` returned.
        procedure: returns the procedure. It may raise `ProcedureError` for arguments that make no sense.
    """
    try:
        settings = Settings.parse(read(stack_path(Path(), options.stack)).values())
        chosen = procedure(settings, options)
    except (SettingsError, StackFileError, ProcedureError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    session: Any = boto3.Session()
    runner = Runner(
        chosen,
        lambda service, region: session.client(service, region_name=region),
        options.record or Path(f"operations-{options.stack}.jsonl"),
        confirmed=options.yes,
    )
    try:
        return runner.plan() if options.dry_run else runner.run()
    except ProcedureError as error:
        print(f"error: {error}", file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        print("interrupted: run the same command again, which continues", file=sys.stderr)
        return STOPPED
