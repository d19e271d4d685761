"""Text and archives from jobs that ran code of a pull request: whoever wrote that code decides what is in
them.

A workflow with more rights reads them as data: it never runs, imports or unpacks to disk anything from them,
limits their sizes, and shows their text so that it can't act in GitHub's name: no mention of a person, no
reference that appears in another issue, no hidden comment, no image or link of its own.
https://docs.github.com/en/actions/reference/security/secure-use (read 2026-11-27).
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib

ARCHIVE_BYTES = 10_000_000
"""Bytes that an artifact may have."""

FILE_BYTES = 1_000_000
"""Bytes that a file in an artifact may have."""

ALLOWED_TAGS = ("details", "summary", "br", "b", "sub", "code", "kbd", "h3", "h4")
"""HTML that a report may use. None of these takes an address."""

_BREAK = "\u200b"
"""A space without width. It stops what it interrupts from working, and changes nothing that a reader sees, in
or outside of code: so no rule here depends on where Markdown's code begins and ends, which an author can
obscure."""

_TAG = re.compile(rf"</?(?:{'|'.join(ALLOWED_TAGS)})\s*/?>", re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")


class UntrustedError(Exception):
    """An artifact is not what a report's artifact may be."""


def file_of_archive(content: bytes, name: str) -> str | None:
    """The text of a file at the top of a ZIP archive; `None` if it has none.

    Nothing is written to disk, so that names such as `../../x` mean nothing.

    Raises:
        UntrustedError: it is not an archive, or the file is too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename == name]
            if not entries:
                return None
            # The declared size is the author's, so the number of bytes that are read is limited too.
            with archive.open(entries[-1]) as file:
                data = file.read(FILE_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise UntrustedError(f"the artifact is not a readable archive: {error}") from error
    if len(data) > FILE_BYTES:
        raise UntrustedError(f"{name} has more than {FILE_BYTES:,} bytes")
    return data.decode("utf-8", errors="replace")


def harmless(text: str, repository: str = "") -> str:
    """Markdown that looks the same and does nothing, for example mention people.

    Links stay only if they lead to `https://github.com/REPOSITORY/actions/` or to an anchor of the comment.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    # Control characters, and those that show text in another order than it has.
    text = re.sub(
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", "", text
    )
    text = re.sub(r"<(?=[a-zA-Z/!?])", lambda found: _tag(text, found.start()), text)
    # Also as an entity, which Markdown decodes before GitHub looks for mentions.
    text = re.sub(r"&(?=(?:#0*(?:64|35|60);|#[xX]0*(?:40|23|3[cC]);|commat;|num;|lt;?))", f"&{_BREAK}", text)
    text = re.sub(r"@(?!sha256:[0-9a-f]{64})", f"@{_BREAK}", text)
    text = re.sub(r"#(?=\d)", f"#{_BREAK}", text)
    text = re.sub(r"\b(GH)-(?=\d)", rf"\1-{_BREAK}", text, flags=re.IGNORECASE)
    text = re.sub(r"!(?=\[)", f"!{_BREAK}", text)
    ours = (
        rf"(?:https://github\.com/{re.escape(repository)}/actions/[\w/#-]*\)|#[\w-]+\))"
        if repository
        else r"#[\w-]+\)"
    )
    text = re.sub(rf"\](?=\()(?!\({ours})", f"]{_BREAK}", text)
    text = re.sub(r"\](?=:|\[)", f"]{_BREAK}", text)
    kept = rf"(?!/{re.escape(repository)}/actions/)" if repository else ""
    text = re.sub(rf"(github\.com)(?=/){kept}", rf"\1{_BREAK}", text, flags=re.IGNORECASE)
    # A line that begins with a tag begins a block of HTML, which ends at an empty line.
    return re.sub(r"^( {0,3}<[a-z/][^\n]*)\n(?=\S)", r"\1\n\n", text, flags=re.MULTILINE)


def _tag(text: str, start: int) -> str:
    return "<" if _TAG.match(text, start) else f"<{_BREAK}"


def shortened(text: str, limit: int, rest: str) -> str:
    """At most `limit` characters of Markdown, cut between two lines, with all that is open closed.

    `rest` is the sentence that says where the rest is. It is only added to a text that is cut.
    """
    whole = text.rstrip() + _closing(text)
    if len(whole) <= limit:
        return whole
    lines = text.splitlines()
    note = f"\n\n{rest}"
    kept, length = 0, 0
    while kept < len(lines) and length + len(lines[kept]) + 1 <= limit:
        length += len(lines[kept]) + 1
        kept += 1
    while True:
        part = "\n".join(lines[:kept])
        result = part + _closing(part) + note
        if len(result) <= limit or not kept:
            return result if len(result) <= limit else rest[:limit]
        kept -= 1


def _closing(text: str) -> str:
    """What closes the fenced code and the `<details>` that a text leaves open."""
    fence, details, blank = "", 0, True
    html = False
    for line in text.splitlines():
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not found[2].strip():
                fence = ""
        elif not line.strip():
            html = False
        elif not html and found and not (found[1][0] == "`" and "`" in found[2]):
            fence = found[1]
        else:
            html = html or (blank and bool(_TAG.match(line.lstrip())))
            details += len(re.findall(r"<details\s*>", line, re.IGNORECASE))
            details = max(0, details - len(re.findall(r"</details\s*>", line, re.IGNORECASE)))
        blank = not line.strip()
    closed = f"\n{fence}" if fence else ""
    return closed + "\n\n</details>" * details
