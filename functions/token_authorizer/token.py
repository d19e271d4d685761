"""Access tokens: JSON Web Tokens that are signed with RS256 (RFC 7519, RFC 9068)."""

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
"""How far the issuer's clock may be off."""

_PART = re.compile(r"[A-Za-z0-9_-]+")
# Printable ASCII without space, quote and backslash: it goes into a header and into the access log as it is.
_SUBJECT = re.compile(r"[!#-\[\]-~]{1,255}")


class InvalidTokenError(Exception):
    """The token opens nothing; the text says why, for the log and not for the client."""


class Keys(Protocol):
    """The issuer's keys."""

    def find(self, key_id: str) -> PublicKey | None:
        """The key of this id."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a token must say."""

    issuer: str
    audience: str
    scope_claim: str


@dataclass(frozen=True)
class Caller:
    """Whom a token was given to, and what for."""

    subject: str
    scopes: frozenset[str]


def read_token(token: str, keys: Keys, rules: Rules, now: float) -> Caller:
    """The caller whom a token speaks for.

    Args:
        token: the token alone, without `Bearer`.
        keys: the issuer's.
        rules: what the token must say.
        now: seconds since 1970.

    Raises:
        InvalidTokenError: no such caller.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise InvalidTokenError("is no signed JSON Web Token")
    header = _document(parts[0], "header")
    # The one algorithm, whatever the token would like: `none`, or an HMAC keyed with our public key.
    if header.get("alg") != "RS256":
        raise InvalidTokenError(f"is not signed with RS256 but {str(header.get('alg'))[:20]!r}")
    if "crit" in header:
        raise InvalidTokenError("wants an extension that is not known")
    key_id = header.get("kid")
    if not isinstance(key_id, str):
        raise InvalidTokenError("names no key")
    key = keys.find(key_id)
    if key is None:
        raise InvalidTokenError("names a key that the issuer does not have")
    if not verify(key, f"{parts[0]}.{parts[1]}".encode(), _decoded(parts[2], "signature")):
        raise InvalidTokenError("has a wrong signature")
    return _caller(_document(parts[1], "payload"), rules, now)


def _caller(claims: Mapping[str, Any], rules: Rules, now: float) -> Caller:
    if claims.get("iss") != rules.issuer:
        raise InvalidTokenError("is another issuer's")
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
        raise InvalidTokenError("has no subject that can be passed on")
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
        raise InvalidTokenError(f"has no {name} that is a time")
    return value


def _decoded(part: str, what: str) -> bytes:
    # Python's decoder skips what is not of the alphabet.
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        raise InvalidTokenError(f"has a {what} that is no base64url")
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _document(part: str, what: str) -> dict[str, Any]:
    try:
        document: object = json.loads(_decoded(part, what), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise InvalidTokenError(f"has a {what} that is no JSON") from error
    if not isinstance(document, dict):
        raise InvalidTokenError(f"has a {what} that is no JSON object")
    return cast(dict[str, Any], document)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON parsers disagree about which of two equal keys counts (RFC 7519, section 4 lets us refuse it).
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is given twice")
    return fields
