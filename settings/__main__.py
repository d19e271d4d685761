"""`python -m settings`: check a stack file, show the settings in force, or print the JSON Schema."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from settings.show import flat, lines, problems
from settings.stack import stack_schema
from settings.stack_file import StackFile, StackFileError, read, stack_path


def main(arguments: Sequence[str]) -> int:
    """Runs one command in the project's folder. Returns 2 for an error that the user can fix."""
    options = _parser().parse_args(arguments)
    if options.command == "schema":
        print(json.dumps(stack_schema(), indent=2))
        return 0
    try:
        file = read(stack_path(Path(), options.stack))
    except StackFileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not _is_right(file):
        return 2
    if options.command == "show":
        print(json.dumps(flat(file), indent=2) if options.json else "\n".join(lines(file)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m settings", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("schema", help="print the JSON Schema of the stack files")
    check = commands.add_parser("check", help="check a stack file and report every problem")
    show = commands.add_parser("show", help="show the settings in force and where each comes from")
    show.add_argument("--json", action="store_true", help="print JSON")
    for command in (check, show):
        command.add_argument("--stack", required=True, help="a stack with a Pulumi.<stack>.yaml file")
    return parser


def _is_right(file: StackFile) -> bool:
    found = problems(file)
    if found:
        several = "s" if len(found) > 1 else ""
        print(f"error: {file.name} has {len(found)} problem{several}:", file=sys.stderr)
    for problem in found:
        print(f"  {file.place(problem.where)}: {problem}", file=sys.stderr)
    return not found


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        # Exit quietly when the reader closes the pipe early, as `head` does.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except OSError as error:
        print(f"error: standard output: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards what is still buffered
        status = 1
    sys.exit(status)
