"""The `random` provider's stand-in: values that are made once and then live in the stack's state.

Like the real provider, it replaces a resource when any input changes. `RandomPassword.bcryptHash` is not
made.
"""

# Signatures are the base class's.
# ruff: noqa: ARG002

from __future__ import annotations

import base64
import importlib.metadata
import secrets
import string

from sandbox import sdk_schema
from sandbox.rpc import (
    UNKNOWN,
    CheckFailure,
    Difference,
    Properties,
    Provider,
    ProviderError,
    plain_difference,
    urn_type,
)

_PASSWORD = "random:index/randomPassword:RandomPassword"  # noqa: S105 (a type)
_STRING = "random:index/randomString:RandomString"
_ID = "random:index/randomId:RandomId"
_OUTPUTS = {_PASSWORD: ("result",), _STRING: ("result",), _ID: ("b64Std", "b64Url", "dec", "hex")}

_CHARACTERS = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "numeric": string.digits,
    "special": "!@#$%&*()-_=+[]{}<>:?",
}


class RandomProvider(Provider):
    """`RandomPassword`, `RandomString` and `RandomId`."""

    name = "random"
    version = importlib.metadata.version("pulumi_random")

    def check(
        self, config: Properties, urn: str, olds: Properties, news: Properties, seed: bytes
    ) -> tuple[Properties, list[CheckFailure]]:
        """Validates; the inputs stay as they are."""
        token = urn_type(urn)
        if token not in _OUTPUTS:
            raise ProviderError(f"the sandbox's random provider knows {', '.join(_OUTPUTS)}, not {token}")
        failures = [
            CheckFailure(problem.path, problem.message) for problem in sdk_schema.validate(token, news)
        ]
        if not failures and token != _ID and UNKNOWN not in news.values():
            alphabets, minimums = _alphabets(news)
            length = int(news["length"])
            if not alphabets:
                failures.append(CheckFailure("", "one of lower, upper, numeric, special must be true"))
            if length < max(1, sum(minimums.values())):
                failures.append(
                    CheckFailure("length", f"{length} is less than 1 or than the sum of the minimums")
                )
        return news, failures

    def diff(
        self,
        config: Properties,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: list[str],
    ) -> Difference:
        """Every change replaces."""
        difference = plain_difference(old_inputs, news)
        difference.replaces = set(difference.changes)
        return difference

    def create(
        self, config: Properties, urn: str, inputs: Properties, preview: bool
    ) -> tuple[str, Properties]:
        """Makes the value."""
        token = urn_type(urn)
        if preview:
            return "", {**inputs, **dict.fromkeys(_OUTPUTS[token], UNKNOWN)}
        if token == _ID:
            return _identifier(inputs)
        result = _characters(inputs)
        return ("none" if token == _PASSWORD else result), {**inputs, "result": result}

    def read(
        self, config: Properties, urn: str, identifier: str, inputs: Properties, outputs: Properties
    ) -> tuple[Properties, Properties] | None:
        """There is nothing outside the state to read."""
        return inputs, outputs

    def delete(
        self, config: Properties, urn: str, identifier: str, inputs: Properties, outputs: Properties
    ) -> None:
        """There is nothing outside the state to delete."""


def _alphabets(inputs: Properties) -> tuple[dict[str, str], dict[str, int]]:
    """The characters to choose from and how many of each there must be, by kind."""
    characters = {**_CHARACTERS, "special": inputs.get("overrideSpecial") or _CHARACTERS["special"]}
    alphabets = {
        kind: characters[kind]
        for kind in characters
        if inputs.get(kind, inputs.get("number", True) if kind == "numeric" else True)
    }
    return alphabets, {kind: int(inputs.get(f"min{kind.capitalize()}") or 0) for kind in alphabets}


def _characters(inputs: Properties) -> str:
    alphabets, minimums = _alphabets(inputs)
    chosen = [secrets.choice(alphabets[kind]) for kind, count in minimums.items() for _ in range(count)]
    every = "".join(alphabets.values())
    chosen += [secrets.choice(every) for _ in range(int(inputs["length"]) - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def _identifier(inputs: Properties) -> tuple[str, Properties]:
    value = secrets.token_bytes(int(inputs["byteLength"]))
    prefix = inputs.get("prefix") or ""
    url = base64.urlsafe_b64encode(value).decode().rstrip("=")
    return url, {
        **inputs,
        "b64Std": prefix + base64.b64encode(value).decode(),
        "b64Url": prefix + url,
        "dec": prefix + str(int.from_bytes(value)),
        "hex": prefix + value.hex(),
    }
