"""Validates orders. `api/openapi.yaml` has the same limits, and a test checks that they agree."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from .problems import FieldError, Problem

MAX_BODY_BYTES = 4096
"""An order with the longest possible values is below 1 KiB."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
# At most 12 digits before the point and 8 after it, which fits the ledger's decimal(20, 8).
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]{1,8})?")
_FIELDS = {
    "account_id": (_IDENTIFIER, "must be 1 to 64 letters, digits, '_' or '-'"),
    "client_order_id": (_IDENTIFIER, "must be 1 to 64 letters, digits, '_' or '-'"),
    "symbol": (re.compile(r"[A-Z0-9][A-Z0-9.-]{0,19}"), "must be 1 to 20 capitals, digits, '.' or '-'"),
    "side": (re.compile("buy|sell"), "must be buy or sell"),
    "type": (re.compile("limit|market"), "must be limit or market"),
    "quantity": (_DECIMAL, "must be a decimal as a string: up to 12 digits, and 8 after the point"),
    "limit_price": (_DECIMAL, "must be a decimal as a string: up to 12 digits, and 8 after the point"),
}


@dataclass(frozen=True)
class Order:
    """A valid order. Amounts stay strings, so they are never rounded."""

    fields: Mapping[str, str]

    @property
    def account_id(self) -> str:
        """The account that the order is for."""
        return self.fields["account_id"]

    @property
    def client_order_id(self) -> str:
        """The client's name of the order, which is unique within the account."""
        return self.fields["client_order_id"]

    def payload(self) -> bytes:
        """The order as JSON. The same order has the same bytes, regardless of the order of its fields."""
        return json.dumps(self.fields, sort_keys=True, separators=(",", ":")).encode()

    def fingerprint(self, caller: str) -> str:
        """A digest of the order and its caller, because equal orders of two callers are different orders."""
        return hashlib.sha256(b"\0".join([caller.encode(), self.payload()])).hexdigest()

    def idempotency_key(self, caller: str) -> str:
        """The key under which the order service accepts the order once.

        It contains the fingerprint, so that no other order can ever have the same key.
        """
        return f"{self.account_id}/{self.client_order_id}/{self.fingerprint(caller)[:32]}"


def parse_order(body: bytes, content_type: str) -> Order:
    """Parses the order in a request's body.

    Raises:
        Problem: 415 (not JSON), 413 (too large), 400 (not a JSON object) or 422 (with each wrong field).
    """
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise Problem(415, "media-type", "Unsupported media type", "send an order as application/json")
    if len(body) > MAX_BODY_BYTES:
        raise Problem(413, "too-large", "Content too large", f"an order has at most {MAX_BODY_BYTES} bytes")
    try:
        document: object = json.loads(body, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "malformed", "Malformed request", f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Problem(400, "malformed", "Malformed request", "the body is not a JSON object")
    fields = cast(dict[str, Any], document)
    errors = tuple(_errors(fields))
    if errors:
        raise Problem(422, "invalid-order", "Invalid order", "the order cannot be accepted as it is", errors)
    return Order(cast(dict[str, str], fields))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON parsers disagree about which of two equal keys applies, so such an order is rejected.
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is given twice")
    return fields


def _errors(fields: Mapping[str, Any]) -> list[FieldError]:
    errors = [FieldError(name[:64], "is not a field of an order") for name in fields if name not in _FIELDS]
    for name, (pattern, rule) in _FIELDS.items():
        value = fields.get(name)
        if name not in fields:
            if name != "limit_price":
                errors.append(FieldError(name, "is missing"))
        elif not isinstance(value, str) or not pattern.fullmatch(value):
            errors.append(FieldError(name, rule))
        elif pattern is _DECIMAL and not value.strip("0."):
            errors.append(FieldError(name, "must be above zero"))
    if fields.get("type") == "limit" and "limit_price" not in fields:
        errors.append(FieldError("limit_price", "is missing, and a limit order needs it"))
    if fields.get("type") == "market" and "limit_price" in fields:
        errors.append(FieldError("limit_price", "must be absent: a market order has none"))
    return errors
