"""Text and archives of a pull request's own jobs: they can't act in GitHub's name, and what is harmless
stays."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from untrusted import FILE_BYTES, UntrustedError, file_of_archive, harmless, shortened

from tests.workflows.github_server import archive

REPOSITORY = "octo-org/octo-repo"


def visible(text: str) -> str:
    """The text as a reader sees it."""
    return text.replace("\u200b", "")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("ping @octocat and @octo-org/team", r"@[a-z]"),
        ("_a_@octocat `@octocat", r"@[a-z]"),
        ("&#64;octocat &#064;x &#x40;y &#X0040;z &commat;all", r"&(#|c)"),
        ("fixes #12 and octo-org/other#3", r"#\d"),
        ("&#35;12 &num;12", r"&(#|n)"),
        ("GH-12 gh-3", r"(?i)gh-\d"),
        ("https://github.com/octo-org/other/issues/3", r"github\.com/"),
        ("https://GitHub.com/octo-org/other/pull/3", r"(?i)github\.com/"),
        ("![pixel](https://attacker.example/p.png)", r"!\[|\]\("),
        ("[Approve](https://attacker.example)", r"\]\("),
        ("[Approve](javascript:alert(1))", r"\]\("),
        ("[Approve][x]\n\n[x]: https://attacker.example", r"\]\[|\]:"),
        ("[Approve](https://github.com/octo-org/octo-repo/actions/../../../evil)", r"\]\("),
        ('<a href="https://attacker.example">x</a> <img src=x> <script>x</script>', r"<[a-z/]"),
        ("<https://attacker.example>", r"<h"),
        ('<details open onclick="x">', r"<d"),
        ("<!-- trading-platform: previews -->", r"<!"),
        ("<!DOCTYPE html> <?xml ?>", r"<[!?]"),
        ("&lt;!-- hidden --&gt; &#60;x", r"&(l|#)"),
        ("safe\u202etxet desrever\u2066", "[\u202e\u2066]"),
        ("bell\x07 escape\x1b[31m nul\x00", r"[\x00-\x08\x0b-\x1f]"),
    ],
)
def test_text_can_not_act(text: str, pattern: str) -> None:
    assert re.search(pattern, text)
    assert not re.search(pattern, harmless(text, REPOSITORY))


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "<details>\n\n<summary>Changes</summary>\n\ntext\n\n</details>",
        "- a\n  - b `code` **bold**",
        "```diff\n- a\n+ b\n```",
        "image@sha256:" + "0" * 64,
        "if a < b and c <= d && e",
        "[the run](https://github.com/octo-org/octo-repo/actions/runs/1#artifacts)",
        "[below](#danger)",
    ],
)
def test_harmless_text_is_unchanged(text: str) -> None:
    assert harmless(text, REPOSITORY) == text


def test_what_is_interrupted_looks_the_same() -> None:
    text = "mail @octocat about #12: <none> ![x](y) [z](https://example.com)"
    assert visible(harmless(text, REPOSITORY)) == text


def test_block_of_html_ends_before_text_that_follows_at_once() -> None:
    assert harmless("<details>\n```\ncode\n```\n</details>\ntext") == (
        "<details>\n\n```\ncode\n```\n</details>\n\ntext"
    )


def test_only_the_named_file_is_read() -> None:
    content = archive(report__md="wanted", **{"../../report__md": "other", "dir/report__md": "other"})
    assert file_of_archive(content, "report.md") == "wanted"
    assert file_of_archive(archive(other__md="x"), "report.md") is None


def test_file_that_unpacks_to_too_much_is_refused() -> None:
    content = archive(report__md=b"0" * (FILE_BYTES + 1))
    assert len(content) < 10_000
    with pytest.raises(UntrustedError, match=r"report.md has more than 1,000,000 bytes"):
        file_of_archive(content, "report.md")


def test_size_that_the_archive_declares_is_not_believed() -> None:
    content = bytearray(archive(report__md=b"0" * (FILE_BYTES + 1)))
    place = content.rindex(b"PK\x01\x02") + 24  # the uncompressed size in the central directory
    content[place : place + 4] = (10).to_bytes(4, "little")
    try:
        text = file_of_archive(bytes(content), "report.md") or ""
    except UntrustedError:
        text = ""
    assert len(text) <= 10


@pytest.mark.parametrize("cut", [0, 10, 60, -30])
def test_broken_archive_is_refused(cut: int) -> None:
    with pytest.raises(UntrustedError, match="not a readable archive"):
        file_of_archive(archive(report__md="text" * 100)[:cut], "report.md")


def test_encrypted_archive_is_refused() -> None:
    content = bytearray(archive(report__md="text"))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + flags] |= 1
    with pytest.raises(UntrustedError, match="not a readable archive"):
        file_of_archive(bytes(content), "report.md")


def test_text_that_is_not_utf8_is_shown() -> None:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as file:
        file.writestr("report.md", b"caf\xe9")
    assert file_of_archive(stored.getvalue(), "report.md") == "caf\ufffd"


LONG = "\n".join(
    [
        "# Report",
        "",
        "<details>",
        "",
        "<summary>All</summary>",
        "",
        "~~~~diff",
        *["+ line"] * 500,
        "~~~~",
        "",
        "</details>",
    ]
)


def test_long_text_is_cut_with_everything_closed() -> None:
    text = shortened(LONG, 1_000, "The rest is elsewhere.")
    assert len(text) <= 1_000
    assert text.endswith("+ line\n~~~~\n\n</details>\n\nThe rest is elsewhere.")


def test_text_that_fits_is_closed_too() -> None:
    assert shortened("```\ncode", 100, "rest") == "```\ncode\n```"
    assert shortened("text\n", 100, "rest") == "text"


@pytest.mark.parametrize("limit", [0, 5, 22, 40, 100, 999, len(LONG) - 1, len(LONG)])
def test_no_limit_is_exceeded(limit: int) -> None:
    assert len(shortened(LONG, limit, "The rest is elsewhere.")) <= limit


def test_line_that_is_too_long_is_left_out() -> None:
    assert shortened("a\n" + "x" * 500, 100, "rest") == "a\n\nrest"


def test_fence_that_contains_another_is_closed_by_its_own() -> None:
    assert shortened("````\n```\ncode", 100, "rest").endswith("code\n````")
    assert shortened("``` not`a`fence\ntext", 100, "rest") == "``` not`a`fence\ntext"
