"""The issuer's public keys, which are fetched over HTTPS and kept between invocations (RFC 7517)."""

from __future__ import annotations

import base64
import http.client
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from .rs256 import PublicKey

MAX_AGE_SECONDS = 3600
"""After this time the keys are fetched again, so that keys that the issuer has withdrawn stop working."""
STALE_SECONDS = 6 * 3600
"""How long the keys are used while the issuer can't be reached, so that a short outage has no effect."""
COOLDOWN_SECONDS = 10
"""Minimum time between two attempts, so that tokens with invented key ids don't cause many requests."""
TIMEOUT_SECONDS = 2.0
"""Timeout for connecting, and for each part of a response."""
MAX_ANSWER_BYTES = 256 * 1024
DISCOVERY = "/.well-known/openid-configuration"


class KeysUnavailableError(Exception):
    """Raised if the issuer's keys aren't available, so that tokens can't be verified."""


class KeySet:
    """The RS256 keys of an issuer. It isn't safe to use from several threads.

    If a token names an unknown key, the keys are fetched again, so the issuer can rotate keys at any time.
    """

    def __init__(self, issuer: str, jwks_url: str = "", now: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._now = now
        self._keys: Mapping[str, PublicKey] = {}
        self._fetched_at = -float("inf")
        self._tried_at = -float("inf")

    def find(self, key_id: str) -> PublicKey | None:
        """The issuer's key with an id, or None if the issuer has no such key.

        Raises:
            KeysUnavailableError: the keys must be fetched, but the issuer can't be reached.
        """
        now = self._now()
        due = now - self._fetched_at >= MAX_AGE_SECONDS or key_id not in self._keys
        if due and now - self._tried_at >= COOLDOWN_SECONDS:
            self._tried_at = now
            try:
                self._keys = _usable(_get_json(self._jwks_url or self._discovered()))
                self._fetched_at = now
            except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
                if key_id not in self._keys:
                    raise KeysUnavailableError(f"{type(error).__name__}: {error}") from error
        if now - self._fetched_at >= STALE_SECONDS:
            raise KeysUnavailableError("the issuer's keys could not be fetched for too long")
        return self._keys.get(key_id)

    def _discovered(self) -> str:
        document = _get_json(self._issuer.rstrip("/") + DISCOVERY)
        if document.get("issuer") != self._issuer:
            raise ValueError("the discovery document belongs to another issuer")
        url = str(document.get("jwks_uri"))
        if urlsplit(url).scheme != urlsplit(self._issuer).scheme:
            raise ValueError(f"jwks_uri {url!r} has another scheme than the issuer")
        return url


def _get_json(url: str) -> dict[str, Any]:
    """Fetches the JSON object at a URL. It doesn't follow redirects, because the settings must have the final
    URL.

    Raises:
        OSError, HTTPException, ValueError: the URL has no JSON object.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        path = parts.path or "/"
        query = f"?{parts.query}" if parts.query else ""
        connection.request("GET", path + query, headers={"Accept": "application/json"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise ValueError(f"{url} answered {response.status}")
        content = response.read(MAX_ANSWER_BYTES + 1)
    finally:
        connection.close()
    if len(content) > MAX_ANSWER_BYTES:
        raise ValueError(f"{url} answered more than {MAX_ANSWER_BYTES} bytes")
    document: object = json.loads(content)
    if not isinstance(document, dict):
        raise ValueError(f"{url} did not return a JSON object")  # noqa: TRY004 (not a type error)
    return cast(dict[str, Any], document)


def _usable(document: Mapping[str, Any]) -> dict[str, PublicKey]:
    """Key id → key, for the keys that are intended for RS256 signatures."""
    keys: dict[str, PublicKey] = {}
    listed: object = document.get("keys")
    for entry in cast(list[object], listed) if isinstance(listed, list) else []:
        if not isinstance(entry, dict):
            continue
        key = cast(dict[str, Any], entry)
        meant = key.get("use", "sig") == "sig" and key.get("alg", "RS256") == "RS256"
        if key.get("kty") != "RSA" or not meant or not isinstance(key.get("kid"), str):
            continue
        try:
            keys[key["kid"]] = PublicKey(_number(key.get("n")), _number(key.get("e")))
        except ValueError:
            continue  # an issuer can list unsupported keys for other clients
    if not keys:
        raise ValueError("the issuer lists no key for RS256")
    return keys


def _number(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]+={0,2}", value):
        raise ValueError("is not a number in base64url")
    bare = value.rstrip("=")
    return int.from_bytes(base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)), "big")
