"""The sandbox's `random` provider. It generates values once, which are then kept in the stack's state.

Like the real provider, it replaces a resource when any input changes. It doesn't set
`RandomPassword.bcryptHash`.
"""

from __future__ import annotations

import base64
import importlib.metadata
import secrets
import string

from sandbox import sdk_schema
from sandbox.rpc import Call, CheckFailure, Difference, Provider, ProviderError, plain_difference
from sandbox.values import UNKNOWN, Properties

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
    """Supports `RandomPassword`, `RandomString` and `RandomId`."""

    name = "random"
    version = importlib.metadata.version("pulumi_random")

    def check(self, call: Call) -> tuple[Properties, list[CheckFailure]]:
        """Validates the inputs without changing them."""
        token, news = call.type, call.inputs
        if token not in _OUTPUTS:
            raise ProviderError(f"the sandbox's random provider supports {', '.join(_OUTPUTS)}, not {token}")
        failures = [
            CheckFailure(problem.path, problem.message) for problem in sdk_schema.validate(token, news)
        ]
        if not failures and token != _ID and UNKNOWN not in news.values():
            alphabets, minimums = _alphabets(news)
            length = int(news["length"])
            if not alphabets:
                failures.append(
                    CheckFailure("", "at least one of lower, upper, numeric and special must be true")
                )
            if length < max(1, sum(minimums.values())):
                failures.append(
                    CheckFailure("length", f"{length} is less than 1, or less than the sum of the minimums")
                )
        return news, failures

    def diff(self, call: Call) -> Difference:
        """Every change forces a replacement."""
        difference = plain_difference(call.old_inputs, call.inputs)
        difference.replaces = set(difference.changes)
        return difference

    def create(self, call: Call) -> tuple[str, Properties]:
        """Generates the value."""
        if call.preview:
            return "", {**call.inputs, **dict.fromkeys(_OUTPUTS[call.type], UNKNOWN)}
        if call.type == _ID:
            return _identifier(call.inputs)
        result = _characters(call.inputs)
        return ("none" if call.type == _PASSWORD else result), {**call.inputs, "result": result}

    def read(self, call: Call) -> tuple[Properties, Properties] | None:
        """Returns the state, because nothing exists outside of it."""
        return call.inputs, call.outputs

    def delete(self, call: Call) -> None:
        """Does nothing, because nothing exists outside the state."""


def _alphabets(inputs: Properties) -> tuple[dict[str, str], dict[str, int]]:
    """By kind: the characters to choose from, and the minimum number of each."""
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
