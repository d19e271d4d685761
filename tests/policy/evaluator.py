"""A second evaluator of policy documents, which shares no code with `policy.documents`.

It answers one request, as AWS documents it (IAM User Guide, "Policy evaluation logic", "IAM JSON policy
elements: Condition operators" and "Policy elements: Principal"). It is deliberately small: it knows no
session policies, boundaries or control policies.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policy.values import is_map


@dataclass(frozen=True)
class Request:
    """One request to AWS."""

    action: str
    resource: str
    account: str = ""
    """The caller's account; empty for anonymous callers and services."""
    arn: str = ""
    service: str = ""
    """The calling service, such as `s3.amazonaws.com`."""
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    """Condition key in lower case → value."""


def allows(document: str, request: Request) -> bool:
    """Whether a document allows a request."""
    policy: Any = json.loads(document.strip().strip("\ufeff"))
    statements: list[Any] = _many(policy["Statement"])
    matching = [item["Effect"] for item in statements if _applies(item, request)]
    return "Allow" in matching and "Deny" not in matching


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]


def _applies(item: Mapping[str, Any], request: Request) -> bool:
    if "Principal" in item and not _is_principal(item["Principal"], request):
        return False
    if "NotPrincipal" in item and _is_principal(item["NotPrincipal"], request):
        return False
    if "Action" in item:
        if not any(_glob(action.strip(), request.action, True) for action in _many(item["Action"])):
            return False
    elif any(_glob(action.strip(), request.action, True) for action in _many(item["NotAction"])):
        return False
    if "Resource" in item and not any(_arn(text, request) for text in _many(item["Resource"])):
        return False
    if "NotResource" in item and any(_arn(text, request) for text in _many(item["NotResource"])):
        return False
    return all(
        _holds(operator, key.strip().lower(), [str(value) for value in _many(values)], request)
        for operator, keys in item.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _is_principal(principal: Any, request: Request) -> bool:
    if not is_map(principal):
        return any(str(value).strip() == "*" for value in _many(principal))
    for kind, values in principal.items():
        for value in map(str.strip, map(str, _many(values))):
            if value == "*" and kind == "AWS":
                return True
            if kind == "Service" and _glob(value, request.service):
                return bool(request.service)
            if kind == "AWS" and request.account:
                account = value if value.isdigit() else value.split(":")[4] if value.count(":") >= 5 else ""
                whole = value.isdigit() or value.endswith(":root")
                if (whole and _glob(account, request.account)) or _glob(value, request.arn):
                    return True
    return False


def _arn(text: str, request: Request) -> bool:
    def value(found: re.Match[str]) -> str:
        name = found[1].split(",")[0].strip()
        return f"[{name}]" if name in "*?$" else request.context.get(name.lower(), "\0")

    parts = re.sub(r"\$\{([^}]*)\}", value, text.strip())
    if parts.startswith("arn:"):
        parts += ":*" * (5 - parts.count(":"))
    return _glob(parts, request.resource)


@functools.cache
def _glob(pattern: str, text: str, fold: bool = False) -> bool:
    """Matches character by character, without regular expressions."""
    if fold:
        pattern, text = pattern.lower(), text.lower()
    reached: set[int] = {0}
    for char in pattern:
        if char == "*":
            reached = set(range(min(reached, default=len(text) + 1), len(text) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(text) and char in ("?", text[at])}
        if not reached:
            return False
    return len(text) in reached


def _holds(operator: str, key: str, wanted: list[str], request: Request) -> bool:
    quantifier, _, operator = operator.rpartition(":")
    has = request.context.get(key)
    if operator == "Null":
        return (has is None) == (wanted[0].lower() == "true")
    if has is None:
        return "Not" in operator or operator.endswith("IfExists") or quantifier == "ForAllValues"
    operator = operator.removesuffix("IfExists")
    negated = "Not" in operator
    return any(_compares(operator.replace("Not", ""), has, value) for value in wanted) != negated


def _compares(operator: str, has: str, value: str) -> bool:
    match operator:
        case "StringEquals":
            return has == value
        case "StringEqualsIgnoreCase" | "Bool":
            return has.lower() == value.lower()
        case "StringLike":
            return _glob(value, has)
        case "ArnLike" | "ArnEquals":
            ours, theirs = value.split(":", 5), has.split(":", 5)
            return len(ours) == len(theirs) and all(map(_glob, ours, theirs))
        case "IpAddress" | "IpAddr":
            return ipaddress.ip_address(has) in ipaddress.ip_network(value, strict=False)
        case _:
            raise ValueError(f"unknown operator {operator}")
