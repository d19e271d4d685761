"""Finds policy documents in a resource's properties, and parses them.

A document is found by its form, wherever it is: an object with statements, or text that contains one. A
document that AWS would refuse is not interpreted: it is a problem of its own.

Source: IAM User Guide, "Grammar of the IAM JSON policy language" (commit 0baff9b of awsdocs/iam-user-guide):
names of elements and effects are literal, and no object has the same key twice. Names of condition keys are
not case-sensitive ("IAM JSON policy elements: Condition"), nor are actions ("IAM JSON policy elements:
Action").
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pulumi_policy.proxy import UnknownValueError

from policy.values import SECRET, is_map, listed, members

_DOCUMENT_NAME = re.compile(r"(polic(y|ies)|policydocument|policyjson)$", re.IGNORECASE)
"""Names of properties that hold policy documents, among others such as `sslPolicy`."""

_NO_DOCUMENTS = ("contentSecurityPolicy", "permissionsPolicy")
"""HTTP headers, which are the only texts with spaces under such a name in the AWS provider (7.51)."""

_BODY_NAME = "body"
"""The property of an API with its OpenAPI document, which can contain a policy."""

_WORD = re.compile(r"[\w.:/+=,@-]*")
"""A name, an ARN or an option, but not a document."""

_YAML_POLICY = re.compile(r"x-amazon-apigateway-policy|\bStatement\b['\"]?\s*:")

_TOP = frozenset({"Version", "Id", "Statement"})
_VERSIONS = ("2008-10-17", "2012-10-17")
_ELEMENTS = frozenset(
    {
        *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource"),
        "Condition",
    }
)
_FOLDED = frozenset(element.lower() for element in _ELEMENTS - {"Sid"})
_PRINCIPALS = ("AWS", "CanonicalUser", "Federated", "Service")
_DATA_PROTECTION = frozenset({"DataIdentifier", "DataDirection", "Operation"})
"""Elements of a data protection policy, which has statements but grants nothing (CloudWatch Logs User Guide,
"Syntax for data protection policy operations"; SNS Developer Guide, "Data protection policies")."""


class DocumentError(Exception):
    """Raised for a document that can't be interpreted. The text says what is wrong with it."""


@dataclass(frozen=True)
class Principal:
    """A principal of a statement."""

    kind: str
    """`AWS`, `CanonicalUser`, `Federated` or `Service`."""
    value: str


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement, with values that have one form: lists, without white space around them."""

    allows: bool
    """Whether the effect is Allow, and not Deny."""
    principals: tuple[Principal, ...] = ()
    not_principals: tuple[Principal, ...] = ()
    actions: tuple[str, ...] = ()
    """In lower case."""
    not_actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()
    condition: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Operator → key in lower case → values."""

    @property
    def is_about_callers(self) -> bool:
        """Whether the statement names principals, as policies of resources and roles do."""
        return bool(self.principals or self.not_principals)


@dataclass(frozen=True)
class Document:
    """A policy document, or the reason why it can't be read."""

    path: str
    """Where it is, such as `inlinePolicies[0].policy`."""
    statements: tuple[Statement, ...]
    problem: str = ""

    @property
    def allowed(self) -> Iterator[Statement]:
        """The statements that allow something."""
        return (statement for statement in self.statements if statement.allows)

    @property
    def property(self) -> str:
        """The name of the property, such as `assumeRolePolicy`."""
        return re.split(r"[.\[]", self.path)[0]


def documents(properties: Mapping[str, Any]) -> Iterator[Document]:
    """The policy documents in a resource's properties, at any depth.

    Raises:
        UnknownValueError: a preview doesn't know a property yet. All documents in the others come first.
    """
    unknown: list[UnknownValueError] = []
    yield from _within(properties, "", unknown)
    if unknown:
        raise unknown[0]


def _within(value: Any, path: str, unknown: list[UnknownValueError]) -> Iterator[Document]:
    if isinstance(value, str):
        yield from _in_text(value, path, unknown)
    try:
        if is_map(value) and _is_document(value):
            yield _document(value, path)
            return
    except UnknownValueError as error:
        unknown.append(error)
        return
    for key, member in members(value, unknown):
        where = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}" if path else key
        yield from _within(member, where, unknown)


def _in_text(text: str, path: str, unknown: list[UnknownValueError]) -> Iterator[Document]:
    name = re.sub(r"\[\d+\]$", "", path).rsplit(".", 1)[-1]
    must_be_document = _DOCUMENT_NAME.search(name) is not None and name not in _NO_DOCUMENTS
    if text == SECRET:
        if must_be_document or name == _BODY_NAME:
            yield Document(path, (), "is secret as a whole, so no rule can check it: keep only values secret")
        return
    if _WORD.fullmatch(text):
        return
    try:
        parsed = _parsed(text)
    except DocumentError as error:
        if must_be_document or _mentions_statements(text):
            yield Document(path, (), str(error))
        return
    if parsed is not None:
        yield from _within(parsed, path, unknown)
    elif must_be_document:
        yield Document(path, (), "is not JSON: write the policy as JSON")


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    """The JSON or YAML of a text; None if it is neither."""
    stripped = text.strip().lstrip("\ufeff").strip()
    problem = "is neither valid JSON nor YAML: write the policy as JSON"
    if stripped.startswith(("{", "[", '"')):
        try:
            return json.loads(stripped, object_pairs_hook=_without_repetition)
        except ValueError as error:
            problem = f"is not valid JSON ({error}): write the policy as JSON"
    elif not _YAML_POLICY.search(stripped):
        return None
    try:
        return json.loads(json.dumps(yaml.safe_load(stripped), default=str))
    except (yaml.YAMLError, ValueError, TypeError):
        raise DocumentError(problem) from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        # json.loads would silently use the last value. Another parser can use the first.
        raise DocumentError(f"contains {repeated} twice in the same object: remove one")
    return made


def _mentions_statements(text: str) -> bool:
    return all(word in text.lower() for word in ("statement", "effect", "action"))


def _is_document(value: Mapping[str, Any]) -> bool:
    """Whether an object is a policy document, even one that AWS refuses because of its spelling."""
    for key in value:
        if str(key).strip().lower() != "statement":
            continue
        items = [item for item in _statements(value[key]) if is_map(item)]
        names = {str(name).strip().lower() for item in items for name in item}
        if _FOLDED & names and not any(set(item) >= _DATA_PROTECTION for item in items):
            return True
    return False


def _statements(value: Any) -> list[Any]:
    return [value] if is_map(value) else listed(value)


def _document(value: Mapping[str, Any], path: str) -> Document:
    try:
        return Document(path, _checked(value))
    except DocumentError as error:
        return Document(path, (), str(error))


def _checked(value: Mapping[str, Any]) -> tuple[Statement, ...]:
    for key in value:
        if key not in _TOP and not str(key).startswith("__"):
            raise DocumentError(f"has the element {key}: use only {', '.join(sorted(_TOP))}")
    version = value.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise DocumentError(f"has the version {version}: use {_VERSIONS[1]}")
    return tuple(_statement(item) for item in _statements(value["Statement"]))


def _statement(item: Any) -> Statement:
    if not is_map(item):
        raise DocumentError("has a statement that is not an object: write it as one")
    for key in item:
        if key not in _ELEMENTS and not str(key).startswith("__"):
            raise DocumentError(
                f"has a statement with the element {key}: use only {', '.join(sorted(_ELEMENTS))}"
            )
    for name in ("Principal", "Action", "Resource"):
        if name in item and f"Not{name}" in item:
            raise DocumentError(f"has a statement with both {name} and Not{name}: use one of them")
    effect = item.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise DocumentError(f"has a statement with the effect {effect}: use Allow or Deny")
    if not item.get("Action") and not item.get("NotAction"):
        raise DocumentError("has a statement without an action: name the actions")
    return Statement(
        allows=effect == "Allow",
        principals=_principals(item, "Principal"),
        not_principals=_principals(item, "NotPrincipal"),
        actions=tuple(action.lower() for action in _texts(item, "Action")),
        not_actions=tuple(action.lower() for action in _texts(item, "NotAction")),
        resources=_texts(item, "Resource"),
        not_resources=_texts(item, "NotResource"),
        condition=_condition(item.get("Condition")),
    )


def _texts(item: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = listed(item.get(key))
    if not all(isinstance(value, str) for value in values):
        raise DocumentError(f"has a statement whose {key} is not text: write text, or a list of texts")
    return tuple(str(value).strip() for value in values)


def _principals(item: Mapping[str, Any], key: str) -> tuple[Principal, ...]:
    value = item.get(key)
    if value is None:
        if key in item:
            raise DocumentError(f"has a statement whose {key} is null: name the principals")
        return ()
    if is_map(value):
        for kind in value:
            if kind not in _PRINCIPALS:
                raise DocumentError(
                    f"has a statement whose {key} has the kind {kind}: use {', '.join(_PRINCIPALS)}"
                )
        return tuple(Principal(kind, text) for kind in value for text in _texts(value, kind))
    if set(_texts(item, key)) == {"*"}:
        return (Principal("AWS", "*"),)
    raise DocumentError(f'has a statement whose {key} is neither "*" nor an object: write an object')


def _condition(value: Any) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    if value is None:
        return {}
    if not is_map(value) or not all(is_map(keys) for keys in value.values()):
        raise DocumentError("has a statement whose Condition is not an object of operators and keys")
    return {
        str(operator).strip(): {
            str(key).strip().lower(): tuple(_text(item) for item in listed(values))
            for key, values in keys.items()
        }
        for operator, keys in value.items()
    }


def _text(value: Any) -> str:
    """A value of a condition as text. The engine has no integers, and sends numbers with a fraction."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).strip()
