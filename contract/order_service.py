"""`python -m contract.order_service`: checks an order service against the contract, from the outside.

It places real orders in the service, so run it against a test environment, with an account and a symbol whose
orders the service passes on to no market. By default, each order buys a tiny quantity far below any price.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from contract.checks import Result, Trial, results
from contract.client import Client, NoAnswerError
from functions.order_intake.problems import FieldError, Problem

LIMIT_SECONDS = 5.0
"""Half of the time that order intake waits for an answer, where its alarm on slow answers rings."""
WIDTHS = (21, 7, 38, 42)
"""Columns of the table."""


def main(arguments: Sequence[str]) -> int:
    """Runs the checks and prints their results.

    Returns:
        0: no check failed. 1: at least one failed. 2: the checks couldn't be run.
    """
    options = _parser().parse_args(arguments)
    try:
        trial = _trial(options)
    except (ValueError, NoAnswerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = results(trial)
    print(json.dumps([asdict(result) for result in found], indent=2) if options.json else table(found))
    return 1 if any(result.status == "fail" for result in found) else 0


def table(found: Sequence[Result]) -> str:
    """The results as a table, with long cells on several lines, and their sum."""
    rows = [("check", "result", "found", "wanted")]
    rows += [(result.check, result.status, result.found, result.wanted) for result in found]
    lines = [line for row in rows for line in _lines(row)]
    counts = [
        f"{count} {status}"
        for status in ("pass", "fail", "unknown")
        if (count := sum(result.status == status for result in found))
    ]
    return "\n".join([*lines, "", ", ".join(counts)])


def _lines(row: Iterable[str]) -> list[str]:
    cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, WIDTHS, strict=True)]
    height = max(len(cell) for cell in cells)
    return [
        "  ".join(
            (cell[line] if line < len(cell) else "").ljust(width)
            for cell, width in zip(cells, WIDTHS, strict=True)
        ).rstrip()
        for line in range(height)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m contract.order_service", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("url", metavar="URL", help="address of the service, such as https://orders.test:8443")
    parser.add_argument("--account", default="contract-test", help="account of the orders (%(default)s)")
    parser.add_argument(
        "--caller",
        default="contract-caller",
        metavar="SUBJECT",
        help="a caller who may trade for the account (%(default)s)",
    )
    parser.add_argument(
        "--stranger", metavar="SUBJECT", help="a caller who may not; without one, a check stays unknown"
    )
    parser.add_argument("--symbol", default="CONTRACT-TEST", help="symbol of the orders (%(default)s)")
    parser.add_argument(
        "--quantity", default="0.0001", help="what each order buys; some buy twice as much (%(default)s)"
    )
    parser.add_argument(
        "--limit-price", default="0.01", help="limit price of the orders, all of which buy (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print a list of {check, status, found, wanted}")
    return parser


def _trial(options: argparse.Namespace) -> Trial:
    """What the options say.

    Raises:
        ValueError: an option has no valid value.
        NoAnswerError: the service can't be reached.
    """
    try:
        # A late answer is waited for, so that only the check of the time fails.
        client = Client(options.url, patience=2 * LIMIT_SECONDS)
    except ValueError as error:
        raise ValueError(f"URL {options.url!r}: {error}") from None
    for name in ("caller", "stranger"):
        value: str | None = getattr(options, name)
        if value is not None and (
            not value.isascii() or not value.isprintable() or value.strip() != value or not value
        ):
            raise ValueError(f"--{name} {value!r}: must be printable ASCII without spaces at its ends")
    if options.stranger == options.caller:
        raise ValueError(f"--stranger {options.stranger!r}: must differ from --caller")
    orders = {"symbol": options.symbol, "quantity": options.quantity, "limit_price": options.limit_price}
    trial = Trial(client, options.account, options.caller, options.stranger, **orders, limit=LIMIT_SECONDS)
    try:
        trial.check_arguments()
    except Problem as problem:
        raise ValueError("; ".join(_option_error(trial, error) for error in problem.errors)) from None
    with client.connect():
        return trial


def _option_error(trial: Trial, error: FieldError) -> str:
    option = "--" + error.field.removesuffix("_id").replace("_", "-")
    return f"{option} {getattr(trial, error.field)!r}: {error.message}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
