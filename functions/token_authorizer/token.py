"""Verifies access tokens, which are JSON Web Tokens with an RS256 signature (RFC 7519, RFC 9068)."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from .rs256 import PublicKey, verify

CLOCK_SKEW_SECONDS = 30
"""Accepted deviation of the issuer's clock."""

_PART = re.compile(r"[A-Za-z0-9_-]+")
# Printable ASCII without space, quote and backslash, because a header and the access log contain it
# unchanged.
_SUBJECT = re.compile(r"[!#-\[\]-~]{1,255}")


class InvalidTokenError(Exception):
    """Raised for an invalid token. The text gives the reason for the log, and isn't sent to the client."""


class Keys(Protocol):
    """A source of the issuer's keys."""

    def find(self, key_id: str) -> PublicKey | None:
        """The key with an id, or None."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The claims that a token must have."""

    issuer: str
    audience: str
    scope_claim: str


@dataclass(frozen=True)
class Caller:
    """The subject of a token, and its scopes."""

    subject: str
    scopes: frozenset[str]


def read_token(token: str, keys: Keys, rules: Rules, now: float) -> Caller:
    """Verifies a token and returns its caller.

    Args:
        token: the token without `Bearer`.
        keys: the issuer's keys.
        rules: the claims that the token must have.
        now: seconds since 1970.

    Raises:
        InvalidTokenError: the token is invalid.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise InvalidTokenError("is not a signed JSON Web Token")
    header = _document(parts[0], "header")
    # Never let the token choose the algorithm, such as `none` or an HMAC with the public key as its key.
    if header.get("alg") != "RS256":
        raise InvalidTokenError(f"is not signed with RS256 but {str(header.get('alg'))[:20]!r}")
    if "crit" in header:
        raise InvalidTokenError("requires an unknown extension")
    key_id = header.get("kid")
    if not isinstance(key_id, str):
        raise InvalidTokenError("does not name a key")
    key = keys.find(key_id)
    if key is None:
        raise InvalidTokenError("names a key that the issuer does not have")
    if not verify(key, f"{parts[0]}.{parts[1]}".encode(), _decoded(parts[2], "signature")):
        raise InvalidTokenError("has a wrong signature")
    return _caller(_document(parts[1], "payload"), rules, now)


def _caller(claims: Mapping[str, Any], rules: Rules, now: float) -> Caller:
    if claims.get("iss") != rules.issuer:
        raise InvalidTokenError("is from another issuer")
    audience = claims.get("aud")
    audiences = cast(list[object], audience) if isinstance(audience, list) else [audience]
    if rules.audience not in audiences:
        raise InvalidTokenError("is for another audience")
    if now >= _time(claims, "exp") + CLOCK_SKEW_SECONDS:
        raise InvalidTokenError("has expired")
    if "nbf" in claims and now < _time(claims, "nbf") - CLOCK_SKEW_SECONDS:
        raise InvalidTokenError("is not valid yet")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise InvalidTokenError("has no valid subject")
    return Caller(subject, _scopes(claims.get(rules.scope_claim)))


def _scopes(claim: object) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list):
        return frozenset(scope for scope in cast(list[object], claim) if isinstance(scope, str))
    return frozenset()


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidTokenError(f"has no valid {name} time")
    return value


def _decoded(part: str, what: str) -> bytes:
    # Python's decoder would skip characters that aren't in the alphabet.
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        raise InvalidTokenError(f"has a {what} that is not base64url")
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _document(part: str, what: str) -> dict[str, Any]:
    try:
        document: object = json.loads(_decoded(part, what), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise InvalidTokenError(f"has a {what} that is not JSON") from error
    if not isinstance(document, dict):
        raise InvalidTokenError(f"has a {what} that is not a JSON object")
    return cast(dict[str, Any], document)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON parsers disagree about which of two equal keys applies (RFC 7519, section 4, allows to reject
    # them).
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is given twice")
    return fields
