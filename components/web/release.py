"""The web app's files in a folder named after the release, so that CloudFront's cache never needs an
invalidation.

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
"""Folder with the web app's files."""

CONFIGURATION = "config.json"
"""File with the stack's configuration that the web app requests. It is generated here and isn't in `APP`."""

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
"""Extension → content type of the web app's files. Python's own mapping differs between machines."""

CACHE_CONTROL = "s-maxage=31536000"
"""CloudFront caches a file for a year, which is safe because the release is part of the cache key."""

VIEWER_CACHE_CONTROL = "no-cache"
"""The value that CloudFront sends to viewers instead. The release isn't part of the URL that browsers and
proxies use, so they revalidate each time, and CloudFront answers *not modified* without contacting S3."""

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
    """The current files of the web app."""

    name: pulumi.Output[str]
    """Hexadecimal digest of all files, which is the name of the folder in the bucket."""
    files: Mapping[str, pulumi.Input[pulumi.Asset]]
    """Path → content."""

    @property
    def router(self) -> pulumi.Output[str]:
        """Code of the CloudFront function that sends viewers to this release.

        Only the web app's cache behaviour uses it. The usual solution for a single-page app, a custom error
        response that replaces 403 and 404 with index.html, applies to all behaviours and would replace the
        API's errors with a page.
        """
        return self.name.apply(router_code)


def current_release(configuration: pulumi.Output[str]) -> Release:
    """The files in `APP`, and `config.json` with the text `configuration`.

    Raises:
        ValueError: a file has an extension that isn't in `CONTENT_TYPES`.
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
    """Path in the web app → file, for all files in `APP`.

    Raises:
        ValueError: a file has an extension that isn't in `CONTENT_TYPES`.
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
    """A digest of everything that a viewer can notice. The same files and settings have the same name."""
    whole = json.dumps([digests, configuration, _ROUTER, CACHE_CONTROL])
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def router_code(release: str) -> str:
    """The code of the function that sends viewers to a release."""
    return _ROUTER.replace("RELEASE", release)
