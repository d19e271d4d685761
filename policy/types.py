"""Which resource types a stack may have: those that a rule checks, and those in `types.yaml`.

A type that is in neither is refused, because nobody has decided what a wrong setting of it can do.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy import places
from policy.places import Pattern
from policy.values import read_yaml

FILE = Path(__file__).with_name("types.yaml")
ALIASES = Path(__file__).with_name("aliases.yaml")

CARRIERS = (
    "aws-native:*",
    "aws:cloudcontrol/*",
    "aws:cloudformation/*",
    "aws:codebuild/*",
    "aws:serverlessrepository/*",
    "aws:servicecatalog/*",
    "aws:ssm/association:Association",
    "aws:ssm/document:Document",
    "command:*",
    "docker*:*",
    "kubernetes:helm.sh/v3:*",
    "kubernetes:kustomize*",
    "kubernetes:yaml*",
    "pulumi-nodejs:*",
    "pulumi-python:*",
    "pulumiservice:*",
    "terraform*:*",
)
"""Patterns of the types that carry resources or code which no rule sees. An entry for one of these must also
name the resources. A chart (`kubernetes:helm.sh/v4:Chart`) isn't one, because its objects are resources."""


class TypesError(Exception):
    """Raised for an invalid file of types. The text names the entry and what would be accepted."""


class TypeEntry(BaseModel):
    """Says why some types need no rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    types: list[str] = Field(min_length=1)
    """Type tokens. Those of components can end with `:*`, because a component has no settings of a provider,
    and its children are checked."""
    components: bool = False
    """Limits the entry to components."""
    resources: list[Pattern] = []
    """Limits the entry to resources at these places. Required for types that carry resources or code."""
    reason: str = Field(min_length=20)
    """Why no setting of these types needs a rule, or who checks what these resources carry."""
    owner: str = Field(min_length=1)
    """Who is responsible for the entry."""

    def names(self, type_: str) -> bool:
        """Whether the entry is about this type."""
        return any(fnmatchcase(type_, known) for known in self.types)

    def covers(self, urn: str, *, is_component: bool) -> bool:
        """Whether the entry is about this resource, which has one of its types."""
        return (is_component or not self.components) and (
            not self.resources or any(places.covers(pattern, urn) for pattern in self.resources)
        )


@functools.cache
def _canonical() -> Mapping[str, str]:
    known: Mapping[str, Sequence[str]] = read_yaml(ALIASES)
    return {other: token for token, others in known.items() for other in others}


def canonical(type_: str) -> str:
    """The token under which rules know a type: `aws:s3/bucket:Bucket` for `aws:s3/bucketV2:BucketV2`."""
    return _canonical().get(type_, type_)


def carries_others(type_: str) -> bool:
    """Whether resources of a type carry resources or code which no rule sees."""
    return any(fnmatchcase(type_, pattern) for pattern in CARRIERS)


def load(path: Path = FILE) -> list[TypeEntry]:
    """Reads the entries of the file.

    Raises:
        TypesError: an entry is incomplete or invalid.
    """
    entries: list[TypeEntry] = []
    for index, values in enumerate(read_yaml(path)["types"]):
        try:
            entry = TypeEntry.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise TypesError(f"{path.name}: types[{index}].{key}: {first['msg']}") from None
        for problem in _problems(entry):
            raise TypesError(f"{path.name}: types[{index}]: {problem}")
        entries.append(entry)
    return entries


def _problems(entry: TypeEntry) -> list[str]:
    found: list[str] = []
    for type_ in entry.types:
        wild = type_.removesuffix(":*") if entry.components else type_
        if "*" in wild or "?" in wild or ":" not in type_:
            found.append(f"{type_}: name one type; only a component's token can end with :*")
        if carries_others(type_) and not entry.resources:
            found.append(
                f"{type_} carries resources or code which no rule sees: add `resources` with the places of "
                "those that are right"
            )
        if canonical(type_) != type_:
            found.append(f"{type_} is another token of {canonical(type_)}: name that one")
    return found
