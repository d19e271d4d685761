"""The web app's files under a name of their own, which is why nothing is ever invalidated.

See `docs/decisions/0003-releases-instead-of-invalidations.md`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

APP = Path(__file__).parents[2] / "web"
"""Folder of the web app's files."""

CONFIGURATION = "config.json"
"""What the web app asks for to know this stack: made here, not in `APP`."""

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""What a file of the web app may be. A table, because Python's own guess differs between machines."""

CACHE_CONTROL = "s-maxage=31536000"
"""CloudFront keeps a file for a year: what it keeps has the release in its key."""

VIEWER_CACHE_CONTROL = "no-cache"
"""What CloudFront says instead. Browsers and proxies see no release in the address, so they ask each time,
and CloudFront answers *not modified* without asking S3."""

_ROUTER = """\
// Viewers name files; the bucket has them below the release. A path without an extension is a place in the
// single-page app, which index.html shows.
function handler(event) {
  var request = event.request;
  var isFile = request.uri.split('/').pop().includes('.');
  request.uri = '/RELEASE' + (isFile ? request.uri : '/index.html');
  return request;
}
"""


@dataclass(frozen=True)
class Release:
    """The files of the web app as they are now."""

    name: pulumi.Output[str]
    """Hexadecimal digest of all of them: the folder in the bucket."""
    files: Mapping[str, pulumi.Input[pulumi.Asset]]
    """Path → content."""

    @property
    def router(self) -> pulumi.Output[str]:
        """CloudFront Function that sends viewers to this release.

        It serves the web app's behaviour alone. The usual way to a single-page app, a custom error
        response that turns 403 and 404 into index.html, holds for every behaviour and would replace the
        API's errors by a page.
        """
        return self.name.apply(router_code)


def current_release(configuration: pulumi.Output[str]) -> Release:
    """The files in `APP`, and `config.json` with the text `configuration`.

    Raises:
        ValueError: a file has an extension that is not in `CONTENT_TYPES`.
    """
    paths = app_files()
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}
    return Release(
        name=configuration.apply(lambda text: release_name(digests, text)),
        files={
            # A relative path, so that the state is the same on every machine.
            **{name: pulumi.FileAsset(os.path.relpath(path)) for name, path in paths.items()},
            CONFIGURATION: configuration.apply(lambda text: pulumi.StringAsset(text)),
        },
    )


def app_files() -> dict[str, Path]:
    """Path in the web app → file, of all in `APP`.

    Raises:
        ValueError: as `current_release`.
    """
    paths = {path.relative_to(APP).as_posix(): path for path in sorted(APP.rglob("*")) if path.is_file()}
    for name, path in paths.items():
        if path.suffix not in CONTENT_TYPES:
            raise ValueError(
                f"web/{name}: no content type is known for this extension; "
                f"known are {', '.join(CONTENT_TYPES)}"
            )
    return paths


def release_name(digests: Mapping[str, str], configuration: str) -> str:
    """A digest of everything that a viewer can notice: the same files and settings have the same name."""
    whole = json.dumps([digests, configuration, _ROUTER, CACHE_CONTROL])
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def router_code(release: str) -> str:
    """The code of the function that sends viewers to a release."""
    return _ROUTER.replace("RELEASE", release)
