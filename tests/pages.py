"""Tables and generated parts of the pages in `docs/`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(page: str, part: str, text: str) -> str:
    """A page with another text between the comments `<!-- part … -->` and `<!-- end of part -->`.

    Raises:
        ValueError: the page doesn't have the comments.
    """
    begin = re.search(rf"<!-- {part}\b.*-->\n", page)
    end = f"<!-- end of {part} -->"
    if not begin or end not in page[begin.end() :]:
        raise ValueError(f"the page must have <!-- {part} --> and {end}")
    _, _, after = page[begin.end() :].partition(end)
    return f"{page[: begin.end()]}{text}{end}{after}"
