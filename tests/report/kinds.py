"""Generates the table of dangers in `docs/report.md`. Run `python -m tests.report.kinds` to update it."""

from __future__ import annotations

from pathlib import Path

from report.dangers import KINDS
from tests.pages import filled, table
from tests.unit.harness import ROOT

PAGE = ROOT / "docs" / "report.md"


def render(page: str) -> str:
    """The page with the table of this program's kinds.

    Raises:
        ValueError: the page doesn't have the part of the table.
    """
    return filled(page, "kinds", f"\n{table(('kind', 'what it means'), KINDS.items())}\n")


def main() -> None:
    """Updates the page."""
    PAGE.write_text(render(PAGE.read_text()))
    print(f"wrote {PAGE.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
