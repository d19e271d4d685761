"""Prints the notes of a release: the section of CHANGELOG.md for a tag such as `v0.3.0`. With `--create`,
creates the release on GitHub.

Usage: python .github/scripts/release_notes.py TAG [--create]. It exits with a message if the tag is not the
version of `pyproject.toml`, or the changelog has no dated section for it. It only needs Python 3.11.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from github_api import GitHub, GitHubError


def notes(tag: str, project: Path) -> str:
    """The changelog's section for a tag, without its heading.

    Raises:
        ValueError: the tag, pyproject.toml and CHANGELOG.md do not agree.
    """
    version = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, but the version in pyproject.toml is {version}: tag v{version}")
    sections = re.split(r"^## ", (project / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    for heading, _, text in (section.partition("\n") for section in sections):
        if re.fullmatch(rf"{re.escape(version)} \S \d{{4}}-\d\d-\d\d", heading.strip()):
            return text.strip()
    headings = ", ".join(section.partition("\n")[0] for section in sections)
    raise ValueError(
        f"CHANGELOG.md has no section for {version} with a date such as 2026-11-26; it has: {headings}"
    )


def create(github: GitHub, tag: str, text: str) -> str:
    """Creates the release of a tag that exists, and returns its address.

    Raises:
        GitHubError: there is no such tag (GitHub would create one), or it has a release.
    """
    github.get(f"git/ref/tags/{tag}")
    return github.post("releases", {"tag_name": tag, "name": tag, "body": text})["html_url"]


if __name__ == "__main__":
    try:
        section = notes(sys.argv[1], Path())
        print(create(GitHub.of_job(), sys.argv[1], section) if "--create" in sys.argv else section)
    except (ValueError, GitHubError) as error:
        sys.exit(f"error: {error}")
