"""The `random` provider's stand-in: values that are made once and kept in the stack's state.

Like the real provider, every changed input replaces the resource. `RandomPassword.bcryptHash` is not made.
"""

from __future__ import annotations

import base64
import importlib.metadata
import secrets
import string

from sandbox.rpc import CheckFailure, Difference, Properties, Provider, ProviderError, plain_difference, urn_type

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
"""The real provider's default special characters."""

_CHARACTERS = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "numeric": string.digits,
    "special": SPECIAL,
}
_STRING_INPUTS: dict[str, type] = {
    "length": int,
    "keepers": dict,
    "overrideSpecial": str,
    **{name: bool for name in _CHARACTERS},
    **{f"min{name.capitalize()}": int for name in _CHARACTERS},
}
_INPUTS: dict[str, dict[str, type]] = {
    "random:index/randomPassword:RandomPassword": _STRING_INPUTS,
    "random:index/randomString:RandomString": _STRING_INPUTS,
    "random:index/randomId:RandomId": {"byteLength": int, "prefix": str, "keepers": dict},
}
_REQUIRED = {"length", "byteLength"}
