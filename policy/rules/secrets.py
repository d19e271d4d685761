"""Rules that recognize secrets by their values, whatever the property is called."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterator

from policy.rule import SECRET, Resource, Stack, rule, stack_rule

STACK = "pulumi:pulumi:Stack"
CONFIGURATION = "configuration"
"""Property of the stack with its configuration in plain text, which the policy pack adds to its outputs."""

KNOWN_FORMS = {
    "an AWS access key": r"\b(A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z2-7]{16}\b",
    "a private key": r"-----BEGIN ([A-Z]+ )*PRIVATE KEY( BLOCK)?-----",
    "a JSON Web Token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",
    "a GitHub token": r"\b(gh[opsur]_\w{36,}|github_pat_\w{22,})",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "a Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "a Slack webhook": r"hooks\.slack\.com/(services|workflows)/\w+/\w+",
    "a Stripe key": r"\b[rs]k_(live|test)_\w{16,}",
    "a Google API key": r"\bAIza[\w-]{35}",
    "an npm token": r"\bnpm_\w{36}\b",
    "a Pulumi token": r"\bpul-[0-9a-f]{40}\b",
    "a SendGrid key": r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s:/@$<{]*:[^\s/@$<{]{3,}@",
}
"""What it is → a pattern of values. Gitleaks has most of them (`config/gitleaks.toml`, read 2026-11-27)."""

_FORMS = {what: re.compile(pattern) for what, pattern in KNOWN_FORMS.items()}

_ASSIGNMENT = re.compile(
    r"\b\w*(password|passwd|passphrase|secret|token|api_?key|private_?key)['\"]?\s*(=|:\s)\s*['\"]?"
    r"(?P<value>[^\s'\"$<{(\[|&;,]{6,})",
    re.IGNORECASE,
)
"""A secret that a script or a file of settings contains, such as `DB_PASSWORD=…`."""

_CERTIFICATES = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_TOKENS = re.compile(r"(?<![\w/+=-])[A-Za-z0-9/+_-]{20,}={0,2}(?![\w/+=-])")
_IDENTIFIERS = re.compile(
    r"\barn:aws[\w-]*:secretsmanager:[a-z\d-]+:\d{12}:secret:[\w/+=.@!-]+|\b[a-z]{2}(-[a-z]+)+-\d+_[A-Za-z\d]{9}\b"
)
"""Identifiers of which AWS chooses a part at random, with letters of both cases: ARNs of secrets, and ids of
user pools."""

_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{24,}={0,2}\s*")

LEAST_BITS = 4.0
"""Bits of entropy in each character of a random string; identifiers and words have fewer."""

FREE_TEXT = re.compile(
    r"(^|\.)(environment|env\[\d+\]\.value|command|args|userData|userDataBase64|annotations|data|binaryData"
    r"|stringData|outputs|configuration|values|commandLine|containerDefinitions|configurationValues|entryPoint)"
    r"(\.|\[|$)"
)
"""Places in which programs find their settings, so that random values there are suspicious. Elsewhere AWS's
own identifiers would be found."""

_INTERNAL = re.compile(r"(^|\.)__")
"""Properties of the engine's own, such as `__defaults`."""


@rule("No value has the form of a secret, unless it is a Pulumi secret")
def values_are_no_secrets(resource: Resource) -> Iterator[str]:
    yield from _secrets(resource)


@stack_rule("Neither the stack's outputs nor its configuration show secrets", STACK)
def stack_shows_no_secrets(stack: Resource, _: Stack) -> Iterator[str]:
    yield from _secrets(stack)


def _secrets(resource: Resource) -> Iterator[str]:
    for text in resource.texts():
        if text.value == SECRET or _INTERNAL.search(text.path):
            continue
        if what := secret_in(text.value, text.path):
            yield (
                f"{text.path} contains {what}: make it a secret (pulumi.Output.secret), or refer to "
                "Secrets Manager"
            )


def secret_in(text: str, path: str) -> str:
    """What a text contains that looks like a secret; empty if there is nothing."""
    for candidate in filter(None, (text, _decoded(text))):
        for what, form in _FORMS.items():
            if form.search(candidate):
                return what
        if FREE_TEXT.search(path):
            plain = _IDENTIFIERS.sub("", _CERTIFICATES.sub("", candidate))
            if any(_is_value(found["value"]) for found in _ASSIGNMENT.finditer(plain)):
                return "the value of a password, secret, token or key"
            if any(_is_random(token) for token in _TOKENS.findall(plain)):
                return "a random value, as passwords and keys are"
    return ""


def _decoded(text: str) -> str:
    """The text that a Base64 string has; empty if it is none."""
    if len(text) % 4 or not _BASE64.fullmatch(text):
        return ""
    try:
        return base64.b64decode(text).decode()
    except (binascii.Error, ValueError):
        return ""


def _is_value(text: str) -> bool:
    """Whether an assigned text is a value, and not the path of a file, an address or a variable's name."""
    return not re.match(r"(/|\./|arn:|https?://|env\.|os\.|process\.)", text) and bool(
        re.search(r"\d|[^\w.-]", text)
    )


def _is_random(token: str) -> bool:
    """Whether a text is random: digits and letters of both cases, in no order that words would have."""
    core = token.rstrip("=")
    classes = (re.findall("[a-z]", core), re.findall("[A-Z]", core), re.findall("[0-9]", core))
    if any(len(found) < 2 for found in classes):
        return False
    # Words and paths change the case or the kind of sign where one part ends and the next begins.
    changes = len(re.findall(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[0-9]|(?<=[0-9])[A-Za-z]", core))
    return changes >= len(core) / 5 and _bits(core) >= LEAST_BITS


def _bits(text: str) -> float:
    """Shannon's entropy of a text, in bits for each character."""
    shares = (count / len(text) for count in Counter(text).values())
    return -sum(share * math.log2(share) for share in shares)
