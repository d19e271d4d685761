"""The version of the settings' format: `trading:settingsVersion` in a stack file.

A stack file must give its version. A file without it has version 1, which didn't have the key, and its
contents may now have another meaning. It is therefore rejected, with a text that says what to change.
"""

from __future__ import annotations

from collections.abc import Iterator

VERSION = 2
"""The version that this release reads."""

CHANGES = {
    2: "services, api.routes, streaming.topics and tables are mappings by name (routes by path), whose "
    "entries are added to the defaults: an entry with a default's name changes the keys that it gives, an "
    "entry with another name is added, and `NAME: null` removes a default",
}
"""Version → what to change in a stack file of the previous version."""


def upgrade(version: int) -> str:
    """Says what to change in a stack file of an older version."""
    return "; ".join(_changes(version)) + f". Then set settingsVersion: {VERSION}"


def _changes(version: int) -> Iterator[str]:
    for newer in range(version + 1, VERSION + 1):
        yield f"since version {newer} {CHANGES[newer]}"
