"""A small client of GitHub's REST API for the scripts in this folder. It only needs Python's standard
library.

It follows the pages of a list, limits the size of what it reads, and never sends the token to another host
than the API's: https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api (read
2026-11-27).
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

BODY_LIMIT = 65_536
"""Characters that the body of a comment or an issue may have: GitHub refuses a longer one with *body is too
long (maximum is 65536 characters)*."""

PAGE_SIZE = 100
"""The largest number of results per page."""

MAX_PAGES = 100
"""Pages after which a list is given up, so that a wrong answer can't make a script run for ever."""

RESPONSE_BYTES = 20_000_000
"""Bytes that an answer in JSON may have."""

ATTEMPTS = 4
"""Attempts for a request that the server could not answer (5xx, or no answer)."""


class GitHubError(Exception):
    """A request failed. The text has the request and what GitHub answered."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status; 0 if there was no answer."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to the caller, because Python's own handler would send the token to the new host."""

    def redirect_request(self, *_: Any) -> None:
        """Follows no redirect."""


_Answer = HTTPResponse | urllib.error.HTTPError
"""An answer; a redirect is an `HTTPError`, which has the same methods."""

_OPENER = urllib.request.build_opener(_NoRedirect)


@dataclass(frozen=True)
class GitHub:
    """One repository in the API."""

    repository: str
    """Owner and name: `octo-org/octo-repo`."""
    token: str
    url: str = "https://api.github.com"
    pause: float = 2
    """Seconds before the second attempt; they double with each further one."""

    @classmethod
    def of_job(cls) -> GitHub:
        """The repository of the workflow that runs this script.

        Raises:
            GitHubError: a variable that GitHub sets is missing, or the workflow does not pass GITHUB_TOKEN.
        """
        names = ("GITHUB_REPOSITORY", "GITHUB_TOKEN", "GITHUB_API_URL")
        if missing := [name for name in names if not os.environ.get(name)]:
            raise GitHubError(
                f"the environment has no {' and no '.join(missing)}: run this script in a step of a workflow "
                "that passes GITHUB_TOKEN"
            )
        return cls(*(os.environ[name] for name in names))

    def get(self, path: str, **query: str | int) -> Any:
        """The answer to a GET request below `/repos/OWNER/NAME`."""
        with self._send("GET", self._address(path, query)) as answer:
            return _json(answer)

    def pages(self, path: str, key: str = "", **query: str | int) -> Generator[dict[str, Any]]:
        """All items of a list, page by page; `key` names the list if the answer is an object."""
        address: str | None = self._address(path, {**query, "per_page": PAGE_SIZE})
        for _ in range(MAX_PAGES):
            with self._send("GET", address) as answer:
                body = _json(answer)
                address = self._next(answer.headers.get("Link", ""))
            yield from body[key] if key else body
            if address is None:
                return
        raise GitHubError(f"{path} has more than {MAX_PAGES} pages of {PAGE_SIZE} results")

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Creates something."""
        with self._send("POST", self._address(path), body) as answer:
            return _json(answer)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Changes something."""
        with self._send("PATCH", self._address(path), body) as answer:
            return _json(answer)

    def download(self, path: str, limit: int) -> bytes:
        """What GET redirects to, without the token.

        Raises:
            GitHubError: it has more than `limit` bytes, or the address is not one of HTTPS.
        """
        answer = self._send("GET", self._address(path))
        if answer.status in (301, 302, 303, 307, 308):
            address = answer.headers.get("Location", "")
            answer.close()
            if urlsplit(address).scheme != urlsplit(self.url).scheme:
                raise GitHubError(
                    f"GET {path} was redirected to {address[:100]!r}, which is not an address of HTTPS"
                )
            # The address contains its own, short-lived signature.
            answer = self._open(urllib.request.Request(address), f"GET {path} (redirected)")  # noqa: S310
        with answer:
            content = answer.read(limit + 1)
        if len(content) > limit:
            raise GitHubError(f"GET {path}: more than {limit:,} bytes")
        return content

    def _address(self, path: str, query: Mapping[str, str | int] | None = None) -> str:
        address = f"{self.url}/repos/{quote(self.repository)}/{path}"
        return f"{address}?{urlencode(query)}" if query else address

    def _next(self, link: str) -> str | None:
        """The address of the next page in a `Link` header.

        Raises:
            GitHubError: it is an address of another server, to which the token must not be sent.
        """
        found = re.search(r'<([^<>]+)>;\s*rel="next"', link)
        if not found:
            return None
        if not found[1].startswith(f"{self.url}/"):
            raise GitHubError(f"the next page is not an address of {self.url}: {found[1][:100]!r}")
        return found[1]

    def _send(self, method: str, address: str, body: Mapping[str, Any] | None = None) -> _Answer:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "trading-platform",
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310
        return self._open(request, f"{method} {urlsplit(address).path}")

    def _open(self, request: urllib.request.Request, label: str) -> _Answer:
        """Sends a request, and repeats one that only reads if the server can't answer it."""
        for attempt in range(ATTEMPTS):
            try:
                return _OPENER.open(request, timeout=30)
            except urllib.error.HTTPError as error:
                if error.code in (301, 302, 303, 307, 308):
                    return error
                last = attempt + 1 == ATTEMPTS or error.code < 500 or request.get_method() != "GET"
                text, status = f"{error.code} {_message(error)}", error.code
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                last = attempt + 1 == ATTEMPTS or request.get_method() != "GET"
                text, status = str(error), 0
            if last:
                raise GitHubError(f"{label}: {text}", status)
            time.sleep(self.pause * 2**attempt)
        raise AssertionError


def _json(answer: _Answer) -> Any:
    content = answer.read(RESPONSE_BYTES + 1)
    if len(content) > RESPONSE_BYTES:
        raise GitHubError(f"the answer has more than {RESPONSE_BYTES:,} bytes")
    return json.loads(content) if content else None


def _message(error: urllib.error.HTTPError) -> str:
    """What GitHub says about an error, for example *Resource not accessible by integration*."""
    text = error.read(10_000).decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]


def event() -> dict[str, Any]:
    """The event that started the workflow."""
    with open(os.environ["GITHUB_EVENT_PATH"], encoding="utf-8") as file:  # noqa: PTH123
        return json.load(file)


def set_output(name: str, value: str) -> None:
    """Sets an output of the step; the value must be one line."""
    if "\n" in value:
        raise ValueError(f"the output {name} has several lines")
    with open(os.environ["GITHUB_OUTPUT"], "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"{name}={value}\n")


def run(main: Callable[[], int]) -> None:
    """Runs a script's `main`, and ends with its status or with one line for an error."""
    try:
        sys.exit(main())
    except GitHubError as error:
        sys.exit(f"error: {error}")
