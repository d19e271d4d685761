"""The shell code of the pages: their code blocks and inline commands, by section."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from tests.unit.harness import ROOT

PAGES = ("docs/operations.md", "docs/deployment.md")
FUNCTIONS = ROOT / "docs" / "operations.sh"
COMMANDS = ("aws", "kubectl", "promql", "sql")
"""Commands that are run when they are inline code, too, if they have options."""


@dataclass(frozen=True)
class Section:
    """A section of a page with shell code."""

    page: str
    title: str
    text: str
    snippets: tuple[str, ...]
    """In the order of the page. A later one may use variables that an earlier one sets."""

    @property
    def code(self) -> str:
        """All snippets. Each is its own group, so that one that fails does not end the others."""
        return "\n".join(self.snippets)


def sections(page: str) -> list[Section]:
    """The sections of a page that have shell code."""
    text = (ROOT / page).read_text()
    found: list[Section] = []
    # A comment in a code block also begins with a number sign.
    blocks = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
    bare = blocks.sub(lambda block: block[0].replace("#", "%"), text)
    begins = [match.start() for match in re.finditer(r"^#{1,3} ", bare, re.MULTILINE)]
    for begin, end in itertools.pairwise([*begins, len(text)]):
        part = text[begin:end]
        title = part.split("\n", 1)[0].lstrip("# ")
        snippets = tuple(_snippets(part))
        if snippets:
            found.append(Section(page, title, part, snippets))
    return found


def _snippets(text: str) -> list[str]:
    inline = "|".join(COMMANDS)
    found: list[str] = []
    for match in re.finditer(
        rf"^(?P<indent> *)```sh\n(?P<block>.*?)^ *```$|`(?P<inline>(?:{inline}) [^`]+)`",
        text,
        flags=re.MULTILINE | re.DOTALL,
    ):
        if match["block"] is not None:
            found.append(re.sub(rf"^{match['indent']}", "", match["block"], flags=re.MULTILINE))
        elif re.search(r"^(?!aws )| -", match["inline"]):
            found.append(re.sub(r"\n\s*", " ", match["inline"]))
    return found
