"""The version of the settings' format: `trading:settingsVersion` in a stack file.

A stack file must say its version. One that says none is of version 1, from before there was such a key, and
may mean something else today: so it is refused with what to change, and never guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator

VERSION = 2
"""What this release reads."""

CHANGES = {
    2: "services, api.routes, streaming.topics and tables are mappings by name (routes by path), which are "
    "added to the defaults: an entry with a default's name replaces those of its keys that it gives, another "
    "name is an addition, and `NAME: null` removes a default",
}
"""Version → what a stack file of the version before must change."""


def upgrade(version: int) -> str:
    """What to change in a stack file of an older version."""
    return "; ".join(_changes(version)) + f". Then say settingsVersion: {VERSION}"


def _changes(version: int) -> Iterator[str]:
    for newer in range(version + 1, VERSION + 1):
        yield f"since version {newer} {CHANGES[newer]}"
